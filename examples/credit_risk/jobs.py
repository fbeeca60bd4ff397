"""The analyst's side of the story: submitting a spec, watching it, reading what comes back."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.credit_risk import commands
from examples.credit_risk.errors import DemoError
from examples.credit_risk.story import Story

SPECS = Path(__file__).parent / "specs"
STILL_SECONDS = 180
"""A job whose stage has not changed for so long is stuck."""
_OVER = frozenset({"finished", "refused", "failed"})


@dataclass(frozen=True)
class Job:
    """A job that is over: its state as the coordinator tells it, the opened result and the parties' receipts."""

    id: str
    name: str
    state: str
    bytes_up: int
    bytes_down: int
    refusals: list[dict[str, Any]]
    result: dict[str, Any]
    receipts: list[dict[str, Any]]

    @property
    def sealing(self) -> str:
        """How its sums were sealed, as every party's receipt says."""
        sums = self.receipts[0]["sums"]
        if any(receipt["sums"] != sums for receipt in self.receipts):
            raise _stuck(self.id, "its parties' receipts say different things of its sums")
        gone = "nobody dropped out" if not sums["missing"] else f"dropped out: {sums['missing']}"
        opened = "1 sum" if sums["opened"] == 1 else f"{sums['opened']} sums"
        return (
            f"engine {sums['engine']} ({sums['parameters']}); {opened} of {sums['institutions']} "
            f"parties, {sums['threshold']} of them needed, {sums['colluding']} may collude; {gone}"
        )

    @property
    def travelled(self) -> int:
        """Bytes that went through the coordinator, both ways."""
        return self.bytes_up + self.bytes_down


def submit(spec: str, profile: Path) -> str:
    """Check and submit ``specs/<spec>.yaml``; returns the job's id."""
    path = SPECS / f"{spec}.yaml"
    commands.run("job", "check", path)
    return str(commands.ask("job", "submit", path, "--profile", profile)["job_id"])


def watch(job: str, profile: Path, tell: Callable[[str], None], until: Callable[[Any], bool]) -> Any:
    """The job's status once ``until(status)`` or once it is over; ``tell`` hears how far it is meanwhile."""
    stage, since = "", time.monotonic()
    while True:
        status = commands.ask("job", "show", job, "--profile", profile)
        if status["state"] in _OVER or until(status):
            return status
        now = status["stage"] or status["state"]
        if now != stage:
            stage, since = now, time.monotonic()
            tell(stage)
        if time.monotonic() > since + STILL_SECONDS:
            raise _stuck(job, f"nothing has happened for {STILL_SECONDS} s: {stage}")
        time.sleep(0.3)


def finish(job: str, profile: Path, tell: Callable[[str], None], expected: str = "finished") -> Job:
    """The job when it is over. Raises DemoError if it did not end as ``expected``."""
    status = watch(job, profile, tell, until=lambda _: False)
    if status["state"] != expected:
        raise _stuck(job, f"it {status['state']}: {status['refusals'] or status['stage']}")
    opened = commands.ask("job", "result", job, "--profile", profile) if expected == "finished" else {}
    return Job(
        job,
        status["name"],
        status["state"],
        status["bytes_up"],
        status["bytes_down"],
        status["refusals"],
        opened.get("result", {}),
        opened.get("receipts", []),
    )


def run(spec: str, profile: Path, tell: Callable[[str], None], expected: str = "finished") -> Job:
    """``submit`` and ``finish``."""
    return finish(submit(spec, profile), profile, tell, expected)


def clauses(job: Job) -> list[str]:
    """The clauses that a refused job was refused for."""
    return sorted({str(refusal["clause"]) for refusal in job.refusals})


def tell_refusals(story: Story, job: Job) -> None:
    """Who refused the job, and why."""
    for clause, what in sorted({(refusal["clause"], refusal["what"]) for refusal in job.refusals}):
        banks = ", ".join(sorted(refusal["institution"] for refusal in job.refusals if refusal["what"] == what))
        story.remark("refused", f"by {banks}: {what} (clause {clause})")


def _stuck(job: str, why: str) -> DemoError:
    return DemoError(
        f"the job {job} did not end as the demo expects: {why}",
        blame="one of the processes",
        remedy="read logs/*.log in the demo's folder, and run the demo again",
    )
