"""``consortia consent``: what an institution's officer or service desk does with customers' consent."""

import sys
from pathlib import Path
from typing import Any

import click

from consortia_client.cli import options
from consortia_common import terminal

_PURPOSE = click.option(
    "--purpose", required=True, help="The purpose that the consent is for, as in the agreement."
)


def _read_subject(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    return sys.stdin.readline().strip() if value == "-" else value


_SUBJECT = click.argument("subject", callback=_read_subject)


@click.group()
def consent() -> None:
    """Import, change and look up customers' consent.

    Customers are named by the institution's own numbers here; the log and the network see keyed pseudonyms only.
    Given as "-", a customer's number is read from standard input, so that neither the shell's history nor other
    users of the machine see it.
    """


@consent.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@options.config
@options.as_json
def import_(file: Path, config_file: Path, as_json: bool) -> None:
    """Take over the consent table in FILE (Parquet or CSV), all of it or nothing.

    Columns: subject, purpose, state, effective_at, valid_until, notice.
    """
    from consortia_client import control
    from consortia_proto.v1 import control_pb2

    request = control_pb2.ImportConsentRequest(path=str(file.absolute()))
    with control.node(config_file) as node:
        report = node.ImportConsent(request, timeout=3600)
    counts = {state: int(count) for state, count in sorted(report.counts.items())}
    if as_json:
        terminal.as_json({"counts": counts, "log_entry": report.log_entry})
        return
    terminal.done(f"{sum(counts.values()):,} consent records imported")
    terminal.facts({state: f"{count:,}" for state, count in counts.items()})


@consent.command()
@_SUBJECT
@_PURPOSE
@click.option("--notice", required=True, help="The notice that the customer was shown, as notice-3.")
@options.config
@options.as_json
def give(subject: str, purpose: str, notice: str, config_file: Path, as_json: bool) -> None:
    """Record that the customer SUBJECT gave consent."""
    _set(config_file, as_json, subject=subject, purpose=purpose, state="given", notice=notice)


@consent.command()
@_SUBJECT
@_PURPOSE
@options.config
@options.as_json
def withdraw(subject: str, purpose: str, config_file: Path, as_json: bool) -> None:
    """Record that the customer SUBJECT withdrew consent.

    Takes effect at the next step of every job, also of those that are running.
    """
    _set(config_file, as_json, subject=subject, purpose=purpose, state="withdrawn", notice="")


@consent.command()
@_SUBJECT
@options.config
@options.as_json
def show(subject: str, config_file: Path, as_json: bool) -> None:
    """Show the consent of the customer SUBJECT, and the jobs that used the customer's data."""
    from consortia_client import control
    from consortia_proto.v1 import control_pb2

    with control.node(config_file) as node:
        view = node.ShowConsent(control_pb2.ShowConsentRequest(subject=subject), timeout=60)
    _show(view, as_json)


def _set(config_file: Path, as_json: bool, **values: str) -> None:
    from consortia_client import control
    from consortia_proto.v1 import control_pb2

    with control.node(config_file) as node:
        view = node.SetConsent(control_pb2.SetConsentRequest(**values), timeout=60)
    if not as_json:
        terminal.done(f"consent for {values['purpose']} is now {values['state']}")
    _show(view, as_json)


def _show(view: Any, as_json: bool) -> None:
    records = [
        {
            "purpose": record.purpose,
            "state": record.state,
            "effective_at": record.effective_at,
            "valid_until": record.valid_until or None,
            "notice": record.notice,
        }
        for record in view.records
    ]
    if as_json:
        terminal.as_json({"pseudonym": view.pseudonym, "records": records, "reached_jobs": list(view.reached_jobs)})
        return
    terminal.facts({"pseudonym": view.pseudonym, "used by jobs": ", ".join(view.reached_jobs) or "none"})
    terminal.table(
        ("purpose", "state", "since", "until", "notice"),
        [
            (
                record["purpose"],
                record["state"],
                record["effective_at"],
                record["valid_until"] or "",
                record["notice"],
            )
            for record in records
        ],
    )
