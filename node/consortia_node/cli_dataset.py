"""``consortia dataset``: an institution describes its tables, and holds them against the description."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from consortia_common import terminal

if TYPE_CHECKING:
    from consortia_node.config import NodeSettings
    from consortia_node.datasets import DatasetSettings
    from consortia_node.sources.checks import Report

_CONFIG = click.option(
    "--config",
    "config_file",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The node's settings file, node.toml.",
)
_AS_JSON = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON for programs instead of text for people."
)


@click.group()
def dataset() -> None:
    """Describe the tables that jobs may read, and check them.

    All of it happens on this machine; nothing leaves it. docs/datasets.md explains the description.
    """


@dataset.command()
@click.argument("name")
@click.argument("source")
@click.option("--id", "subject", required=True, help="The column with the customer number.")
@click.option("--table", help="The table in a DuckDB file or PostgreSQL; NAME unless given.")
@_CONFIG
def add(name: str, source: str, subject: str, table: str | None, config_file: Path) -> None:
    """Draft the description of the table NAME at SOURCE.

    SOURCE is a CSV, Parquet or DuckDB file, a folder of Parquet files, or the address of a PostgreSQL database. The
    entry is appended to datasets.toml, for you to complete: meanings, units, public ranges. Values that few rows
    have are not written into it.
    """
    from consortia_common import keyfiles
    from consortia_node.drafts import Source, draft
    from consortia_node.sources.places import refuse

    settings = _settings(config_file)
    known = settings.dataset(name)
    if known is not None:
        raise refuse(known, "it is described already", "edit its entry in datasets.toml, or give another name")
    is_server = source.startswith(("postgresql://", "postgres://"))
    path = None if is_server else Path(source).absolute()
    text = draft(Source(name, source if path is None else str(path), path, table, subject))
    before = settings.datasets_file.read_text() if settings.datasets_file.exists() else ""
    _require_loadable(settings.datasets_file, before + text)
    keyfiles.write_file(settings.datasets_file, (before + text).encode())
    terminal.done(f"dataset {name} drafted in {settings.datasets_file}")
    terminal.note(
        "Next: complete its meanings, units and public ranges there; then run\n"
        f"  consortia dataset check {name} --config {config_file}\n"
        "and restart the node."
    )


@dataset.command()
@click.argument("names", metavar="[NAME…]", nargs=-1)
@_CONFIG
@_AS_JSON
def check(names: tuple[str, ...], config_file: Path, as_json: bool) -> None:
    """Hold each dataset NAME, or all, against its description.

    Says what a job would be refused for, in counts and never by value. Exits with 1 if there is such a fault.
    """
    from consortia_node.sources import checks

    reports = [checks.check(item) for item in _chosen(_settings(config_file), names)]
    if as_json:
        terminal.as_json([_report(report) for report in reports])
    else:
        for report in reports:
            _show(report)
    sys.exit(0 if all(report.is_fit for report in reports) else 1)


@dataset.command()
@click.argument("name")
@_CONFIG
@_AS_JSON
def describe(name: str, config_file: Path, as_json: bool) -> None:
    """Profile the table of dataset NAME: types, gaps, ranges, duplicates.

    What is printed has least and greatest values of customers: it is for this institution alone.
    """
    from dataclasses import asdict

    from consortia_node.sources import profile

    (item,) = _chosen(_settings(config_file), (name,))
    with profile.passes(item, guess_types=True) as open_:
        found = profile.profile(item, open_)
    if as_json:
        terminal.as_json(asdict(found))
        return
    terminal.facts(
        {
            "rows": f"{found.rows:,}",
            "customers": f"{found.customers:,}",
            "customers with several rows": f"{found.repeated:,}",
            "rows without a customer number": f"{found.nameless:,}",
        }
    )
    declared = item.offered
    terminal.table(
        ("column", "declared", "stored", "missing", "different", "least", "greatest"),
        [
            (
                column.name,
                f"{declared[column.name].type}, {declared[column.name].role}" if column.name in declared else "–",
                column.stored,
                f"{column.missing:,}",
                f"{column.distinct:,}",
                column.least,
                column.greatest,
            )
            for column in found.columns
        ],
    )


def _require_loadable(file: Path, text: str) -> None:
    """Return if ``file`` would be read with this text, which must not stand there else. Raises SettingsError."""
    from consortia_common import keyfiles
    from consortia_node import datasets

    draft = file.with_name(f"{file.name}.draft")
    keyfiles.write_file(draft, text.encode())
    try:
        datasets.load(draft)
    finally:
        draft.unlink()


def _settings(config_file: Path) -> "NodeSettings":
    from consortia_node import config

    return config.load(config_file)


def _chosen(settings: "NodeSettings", names: tuple[str, ...]) -> "list[DatasetSettings]":
    from consortia_node.errors import SourceError

    known = [item.name for item in settings.datasets]
    for name in names:
        if name not in known:
            raise SourceError(
                f"datasets.toml describes no dataset {name}",
                blame="whoever named it",
                remedy=f"name one of {', '.join(known) or 'those that `consortia dataset add` drafts'}",
            )
    return [item for item in settings.datasets if not names or item.name in names]


def _show(report: "Report") -> None:
    found, name = report.profile, report.dataset.name
    size = f"{found.rows:,} rows of {found.customers:,} customers" if found else "unreadable"
    if report.is_fit:
        terminal.done(f"{name}: {size}; jobs can read it")
    else:
        terminal.note(f"✗ {name}: {size}; jobs would be refused")
    if report.findings:
        terminal.table(
            ("", "column", "found"),
            [("fault" if item.is_fault else "note", item.column or "–", item.what) for item in report.findings],
        )


def _report(report: "Report") -> dict[str, object]:
    return {
        "dataset": report.dataset.name,
        "fit": report.is_fit,
        "rows": report.profile.rows if report.profile else None,
        "customers": report.profile.customers if report.profile else None,
        "findings": [
            {"column": item.column, "what": item.what, "fault": item.is_fault} for item in report.findings
        ],
    }
