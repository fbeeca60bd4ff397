"""``consortia job plan``: what a job would do, before it is submitted."""

import time
from pathlib import Path
from typing import Any

import click

from consortia_client.cli import options
from consortia_common import terminal


@click.command()
@click.argument("spec", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@options.profile
@options.as_json
def plan(spec: Path, folder: Path, as_json: bool) -> None:
    """Ask every party what its gate would say to the job spec SPEC, and what the job would take. Nothing is run.

    Each institution's node answers for itself, signed, without reading a row, and logs that it was asked. Exits
    with 1 if any would refuse, or if the parties declare a column of the job differently.
    """
    from consortia_client.profile import Profile
    from consortia_client.session import Session
    from consortia_common.documents.jobspec import JobSpec

    found = JobSpec.from_yaml(options.text_of(spec), str(spec))
    with Session(Profile.load(folder)) as session:
        made = session.plan(found, int(time.time() * 1000))
    if as_json:
        terminal.as_json(made.document())
    else:
        _show(made)
    if not made.ready:
        raise SystemExit(1)


def _show(made: Any) -> None:
    rows = [
        (
            party.institution,
            party.verdict,
            _customers(party),
            f"{party.traffic.up:,}",
            f"{party.traffic.down:,}",
        )
        for party in made.parties
    ]
    terminal.table(("party", "its gate", "customers", "bytes up", "bytes down"), rows)
    for (clause, sentence, remedy), parties in _refusals(made).items():
        why = {"clause": clause, "why": sentence, "what to do": remedy}
        terminal.facts({"refused by": ", ".join(parties)} | why)
    for party in made.parties:
        if party.failure is not None:
            terminal.facts({"no answer": party.institution, "what to do": party.failure.remedy})
    terminal.facts(_facts(made))
    terminal.facts({f"{who} learns": what for who, what in made.learns.items()})
    for unlike in made.unlike:
        terminal.note(unlike)
    if made.accepted:
        terminal.done("every party's gate would accept the job as things stand now")


def _refusals(made: Any) -> dict[tuple[str, str, str], list[str]]:
    """Who refuses for one and the same reason."""
    told: dict[tuple[str, str, str], list[str]] = {}
    for party in made.parties:
        if party.answer is not None and not party.accepts:
            answer = party.answer
            told.setdefault((answer.clause, answer.sentence, answer.remedy), []).append(party.institution)
    return told


def _facts(made: Any) -> dict[str, str]:
    first = next((party.answer for party in made.parties if party.accepts), None)
    reads = [f"{', '.join(one.columns)} of {one.dataset}" for one in first.reads] if first else []
    budgets = {
        f"budget {one.name}": f"{one.used:,} used, {one.cost:,} more, of {one.limit:,}"
        for party in made.parties
        if party.answer
        for one in party.answer.budgets
    }
    return {
        **({"reads": "; ".join(reads)} if reads else {}),
        "sealed sums": f"{made.rounds}, one after the other" if made.rounds else "none",
        "bytes": f"{made.bytes.up:,} up, {made.bytes.down:,} down",
        **({"takes about": made.time, "memory": f"about {made.memory_mib} MiB at a node"} if first else {}),
        **budgets,
    }


def _customers(party: Any) -> str:
    if not party.accepts or not party.answer.reads or party.answer.reads[0].customers is None:
        return "–"
    one = party.answer.reads[0].customers
    return f"{one.low:,} to {one.high:,}"
