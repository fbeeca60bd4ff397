"""``consortia consent import | notice | notices``: whole tables of consents, and the notices that they cite."""

from pathlib import Path
from typing import Any

import click

from consortia_client.cli import options
from consortia_common import terminal

_DATABASES = ("postgresql://", "postgres://")


@click.command(name="import")
@click.argument("source")
@click.option(
    "--table", default="", help="The table or view to read, if SOURCE is a database: consents, or bank.consents."
)
@click.option("--dry-run", is_flag=True, help="Tell what would change and which rows are wrong; change nothing.")
@options.config
@options.as_json
def import_(source: str, table: str, dry_run: bool, config_file: Path, as_json: bool) -> None:
    """Take over the consent table in SOURCE, all of it or nothing.

    SOURCE is a Parquet or CSV file, or the address of a PostgreSQL database (postgresql://host/name, without a
    password) with --table. Columns: subject, purpose, state, effective_at, valid_until, notice, evidence if any.
    With --dry-run, exits with 1 if there are wrong rows.
    """
    from consortia_client import control
    from consortia_proto.v1 import control_pb2

    is_database = source.startswith(_DATABASES)
    if is_database != bool(table):
        raise click.UsageError("--table goes with a database, and a database needs it")
    if not is_database and not Path(source).is_file():
        raise click.UsageError(f"there is no file {source}")
    where = {"address": source, "table": table} if is_database else {"path": str(Path(source).absolute())}
    with control.node(config_file) as node:
        report = node.ImportConsent(control_pb2.ImportConsentRequest(dry_run=dry_run, **where), timeout=3600)
    _show(report, dry_run, as_json)
    if report.mistaken_rows:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@options.config
@options.as_json
def notice(file: Path, config_file: Path, as_json: bool) -> None:
    """Register the notice in FILE (YAML), so that consents can cite it.

    What it says of purposes, data and recipients is what consent under it allows. A notice is never altered: what
    has changed gets a new version.
    """
    from consortia_client import control
    from consortia_common.documents.consent_notice import ConsentNotice
    from consortia_proto.v1 import control_pb2

    document = ConsentNotice.from_yaml(options.text_of(file), str(file))
    with control.node(config_file) as node:
        node.AddConsentNotice(control_pb2.AddConsentNoticeRequest(document=document.canonical()), timeout=60)
    if as_json:
        terminal.as_json({"notice": document.reference, "digest": document.hash()})
        return
    terminal.done(f"notice {document.reference} is registered")


@click.command()
@options.config
@options.as_json
def notices(config_file: Path, as_json: bool) -> None:
    """List the notices that consents can cite."""
    from consortia_client import control
    from consortia_common.documents.consent_notice import ConsentNotice
    from consortia_proto.v1 import control_pb2

    with control.node(config_file) as node:
        found = node.ListConsentNotices(control_pb2.ListConsentNoticesRequest(), timeout=60).documents
    documents = [ConsentNotice.from_canonical(document, "the notice") for document in found]
    if as_json:
        terminal.as_json({"notices": [document.model_dump(mode="json") for document in documents]})
        return
    terminal.table(
        ("notice", "purposes", "data", "recipients"),
        [
            (
                document.reference,
                ", ".join(purpose.name for purpose in document.purposes),
                ", ".join(f"{part.dataset} ({len(part.columns)} columns)" for part in document.data),
                ", ".join(recipient.institution for recipient in document.recipients) or "none",
            )
            for document in documents
        ],
    )


def _show(report: Any, dry_run: bool, as_json: bool) -> None:
    counts = {state: int(count) for state, count in sorted(report.counts.items())}
    transitions = {name: int(count) for name, count in sorted(report.transitions.items())}
    if as_json:
        terminal.as_json(
            {
                "dry_run": dry_run,
                "rows": int(report.rows),
                "changed": int(report.changed),
                "counts": counts,
                "transitions": transitions,
                "mistaken_rows": int(report.mistaken_rows),
                "mistakes": list(report.mistakes),
                "log_entry": None if dry_run else int(report.log_entry),
            }
        )
        return
    if dry_run:
        terminal.note(f"A dry run: of {report.rows:,} rows, {report.changed:,} would change what is in force.")
    else:
        terminal.done(f"{report.rows:,} consent records imported, {report.changed:,} changed what was in force")
    terminal.facts({name: f"{count:,}" for name, count in transitions.items()})
    if report.mistaken_rows:
        terminal.table(
            (f"{report.mistaken_rows:,} rows are wrong; the first of them",), [(one,) for one in report.mistakes]
        )
