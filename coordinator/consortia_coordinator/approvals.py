"""Waits, after all gates have accepted, until the officers of every party that asks for them have decided.

Decides nothing: each node says for itself whether its job waits, may begin, or is refused. It is asked again
whenever an officer's statement about the job has been queued for a node, and once more when its time is over. The
number of those statements numbers the asking, so a restarted coordinator asks what it asked before.
"""

from collections.abc import Callable, Mapping
from functools import partial

from consortia_common.content import Content
from consortia_coordinator.errors import PartiesRefusedError
from consortia_coordinator.jobrun import JobRun
from consortia_coordinator.mailbox import Mailbox
from consortia_proto.v1 import exchange_pb2

WAITING_MS = "waiting_ms"
GRACE_MS = 2_000
"""A node's clock may be behind this one's."""


def await_officers(
    run: JobRun,
    offered: Mapping[str, Content],
    mailbox: Mailbox,
    now_ms: Callable[[], int],
) -> None:
    """Return once no party waits any more.

    Raises PartiesRefusedError if one refuses, StoppingError if the coordinator stops.
    """
    waiting = _waiting(offered)
    while waiting:
        seen = mailbox.notices(run.job_id)
        waiting = _waiting(run.ask("approval", dict.fromkeys(waiting, Content()), seen))
        if waiting:
            run.progress(f"waiting for the officers of {', '.join(waiting)}", 0, 0)
            seconds = (min(waiting.values()) + GRACE_MS - now_ms()) / 1000
            if not mailbox.wait_for(partial(_is_over, run, mailbox, seen), max(seconds, 0)):
                _require_none(_waiting(run.ask("approval.end", dict.fromkeys(waiting, Content()))))


def _is_over(run: JobRun, mailbox: Mailbox, seen: int) -> bool:
    """Whether there is a new decision to ask about, or nothing more to wait for."""
    return run.is_given_up() or mailbox.notices(run.job_id) > seen


def _waiting(answers: Mapping[str, Content]) -> dict[str, int]:
    """Until when each party that waits does so."""
    found = {party: content.config.get(WAITING_MS, 0) for party, content in answers.items()}
    return {party: until for party, until in found.items() if isinstance(until, int) and until > 0}


def _require_none(waiting: Mapping[str, int]) -> None:
    """A node that waits longer than it said has a clock that nobody can wait for."""
    if waiting:
        failures = {
            party: exchange_pb2.Failure(
                code="failed",
                what=f"{party} still waits for its officers, after the time that it gave them",
                blame=f"the clock of {party}, or of this coordinator",
                remedy="set both clocks, then submit the job again",
            )
            for party in waiting
        }
        raise PartiesRefusedError(failures)
