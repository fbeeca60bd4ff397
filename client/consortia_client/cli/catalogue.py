"""``consortia catalogue``: what the institutions of a network offer to jobs, under which agreement."""

import time
from pathlib import Path
from typing import Any

import click

from consortia_client.cli import options
from consortia_common import terminal


@click.group()
def catalogue() -> None:
    """See what institutions offer to jobs under agreements.

    Descriptions only: names, types, meanings and about how many rows; never a value of a row.
    """


@catalogue.command(name="list")
@click.option("--agreement", "wanted", default="", help="Only this agreement, by id or id@version.")
@options.profile
@options.as_json
@options.as_csv
def list_(wanted: str, folder: Path, as_json: bool, as_csv: bool) -> None:
    """List datasets and columns, as each institution declares them.

    Every party is asked, answers for itself, signed, and logs that it was asked; it answers analysts whom the
    agreement names. What institutions declare differently is marked: sums over such a column can't be trusted.
    """
    from consortia_client.catalogue import Catalogue
    from consortia_client.offering import Offering
    from consortia_client.profile import Profile
    from consortia_client.session import Session

    offerings, silent = [], []
    with Session(Profile.load(folder)) as session:
        for agreement in session.agreements():
            if wanted in {"", agreement.id, agreement.short}:
                told = session.catalogue(agreement, int(time.time() * 1000))
                offerings.append(Offering.of(agreement, [one.answer for one in told if one.answer]))
                silent += [(agreement.short, one) for one in told if one.answer is None]
    if as_json:
        terminal.as_json([_document(offering) for offering in offerings])
    elif as_csv:
        table = Catalogue(offerings).table
        terminal.as_csv(table.columns, table.cells())
    else:
        for offering in offerings:
            _show(offering)
    for short, one in silent:
        terminal.note(f"{one.institution} tells nothing under {short}: {one.failure.what if one.failure else ''}")


def _show(offering: Any) -> None:
    for dataset in offering.datasets:
        rows = [
            (column.name, column.type or "not told", column.unit, column.meaning, column.allowed)
            for column in dataset.columns
        ]
        about = f": {dataset.meaning}" if dataset.meaning else ""
        terminal.table(
            ("column", "type", "unit", "meaning", "allowed"), rows, f"{offering.agreement} · {dataset.name}{about}"
        )
        terminal.facts({owner: dataset.rows.get(owner, "not told") + " rows" for owner in dataset.owners})
        for column in dataset.columns:
            if column.differs:
                terminal.note(f"{dataset.name}.{column.name} is not the same everywhere: {column.differs}")


def _document(offering: Any) -> dict[str, object]:
    return {
        "agreement": offering.agreement,
        "purposes": list(offering.purposes),
        "parties": list(offering.parties),
        "kinds": list(offering.kinds),
        "datasets": [
            {
                "name": dataset.name,
                "meaning": dataset.meaning,
                "owners": list(dataset.owners),
                "rows": dict(dataset.rows),
                "columns": [vars(column) for column in dataset.columns],
            }
            for dataset in offering.datasets
        ],
    }
