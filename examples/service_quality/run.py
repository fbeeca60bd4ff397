"""The example from beginning to end; writes ``summary.json`` and stops everything.

python -m examples.service_quality.run [--folder .demo-service]
"""

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from consortia_client.consortium import Consortium
from consortia_client.plan import Plan
from consortia_client.results import Result
from consortia_common import terminal
from consortia_common.documents.jobspec import JobSpec
from examples.credit_risk import network as places_of
from examples.credit_risk.network import Places
from examples.credit_risk.processes import Processes, free_port
from examples.credit_risk.split import BANKS
from examples.credit_risk.story import Story
from examples.service_quality import data, network, reference

QUESTION = network.SPECS / "service-quality.yaml"


@click.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".demo-service"),
    show_default=True,
    help="Where the network is built; what an earlier run left there is deleted.",
)
def main(folder: Path) -> None:
    """Three banks compare their customer service, each seeing its own place and nobody else's figures."""
    story = Story(Console(highlight=False))
    places = places_of.clear(folder.resolve())
    with Processes(places.root / "logs") as processes:
        with story.step("network", "A network of three banks, and what they agree on"):
            fingerprints = network.build(places, free_port(), processes)
            signed = network.agree(places, fingerprints)
            story.remark("noted", f"signed by all: {signed[:40]}…")
        with Consortium.connect(places.analyst) as consortium:
            summary = _play(story, places, consortium)
    (places.root / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")


def _play(story: Story, places: Places, consortium: Consortium) -> dict[str, Any]:
    spec = JobSpec.from_yaml(QUESTION.read_text(encoding="utf-8"), str(QUESTION))
    with story.step("plan", "Before anything is asked: the plan"):
        plan = consortium.plan(spec)
        _tell_plan(story, plan)
    with story.step("job", "The joint question"):
        result = consortium.run(spec, progress=False)
        _tell(story, result)
    with story.step("places", "Where each bank stands: known to that bank alone"):
        told = {bank: _place(story, places, bank, result) for bank in BANKS}
    with story.step("refused", "A question too near to the first"):
        again = consortium.plan(_regrouped(consortium))
        for party in again.parties:
            why = party.answer.sentence if party.answer else ""
            story.remark("refused", f"{party.institution} {party.verdict}: {why}")
    return {
        "job": result.job_id,
        "errors": reference.check(result.document, (data.table(bank) for bank in BANKS)),
        "places": told,
        "refused": sorted({party.answer.clause for party in again.parties if party.answer}),
        "bytes": result.facts["bytes"],
        "seconds": story.seconds,
    }


def _tell_plan(story: Story, plan: Plan) -> None:
    for party in plan.parties:
        story.remark("noted", f"{party.institution} {party.verdict}")
    story.remark("noted", f"{plan.bytes.up + plan.bytes.down:,} bytes in {plan.rounds} sealed sums")
    for who, what in plan.learns.items():
        story.remark("kept", f"{who}: {what}")


def _tell(story: Story, result: Result) -> None:
    for name in ("groups", "quantiles", "compare"):
        table = result.table(name)
        rows = [[_cell(value) for value in row] for row in table.cells()]
        story.table(table.columns, rows)
    for name, text in result.facts.items():
        story.remark("proved" if name == "participants" else "noted", f"{name}: {text}")


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _place(story: Story, places: Places, bank: str, result: Result) -> float:
    """What the bank reads in its own folder: its response time, in standard deviations from the joint one."""
    path = places.node(bank).parent / "results" / result.job_id / "place.json"
    place = json.loads(path.read_text(encoding="utf-8"))
    reference.check_place(place, data.table(bank), result.document)
    apart = float(place["columns"]["minutes"]["standard_deviations_apart"])
    story.remark("kept", f"{bank}: {apart:+.2f} standard deviations from the joint mean of response times")
    return apart


def _regrouped(consortium: Consortium) -> JobSpec:
    """The same rows divided otherwise: both answers together could show a small group."""
    return consortium.spec(
        "statistics",
        agreement="service-quality",
        dataset="contacts",
        columns=["minutes"],
        by=["channel"],
        categories={"channel": ["branch", "phone"]},
    )


if __name__ == "__main__":
    terminal.run(main)
