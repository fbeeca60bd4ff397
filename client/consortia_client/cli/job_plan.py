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
    from consortia_client.plan import COLUMNS

    rows = [
        (
            party.institution,
            party.verdict,
            party.customers,
            f"{party.traffic.up:,}",
            f"{party.traffic.down:,}",
        )
        for party in made.parties
    ]
    terminal.table(COLUMNS, rows)
    for refusal in made.refusals:
        terminal.facts(refusal)
    for party in made.parties:
        if party.failure is not None:
            terminal.facts({"no answer": party.institution, "what to do": party.failure.remedy})
    terminal.facts(made.facts)
    terminal.facts({f"{who} learns": what for who, what in made.learns.items()})
    for unlike in made.unlike:
        terminal.note(unlike)
    if made.accepted:
        terminal.done("every party's gate would accept the job as things stand now")
