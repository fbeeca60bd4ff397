"""``consortia consent``: what an institution's officer or service desk does with customers' consent."""

import sys
from pathlib import Path
from typing import Any

import click

from consortia_client.cli import options
from consortia_client.cli.consent_proofs import history, prove
from consortia_client.cli.consent_tables import import_, notice, notices
from consortia_common import terminal

_PURPOSE = click.option(
    "--purpose", required=True, help="The purpose that the consent is for, as in the agreement."
)
_EFFECTIVE_AT = click.option("--effective-at", default="", help="Since when, in ISO 8601; now unless given.")
_EVIDENCE = click.option(
    "--evidence",
    default="",
    metavar="SHA256",
    help="SHA-256 of what the institution keeps as evidence, such as a signed form.",
)
_STATES = ("requested", "given", "refused", "lapsed", "renewed", "withdrawn", "terminated", "invalidated")


def _read_subject(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    return sys.stdin.readline().strip() if value == "-" else value


_SUBJECT = click.argument("subject", callback=_read_subject)


@click.group()
def consent() -> None:
    """Import, change, look up and prove customers' consent.

    Customers are named by the institution's own numbers here; the log and the network see keyed pseudonyms only.
    Given as "-", a customer's number is read from standard input, so that neither the shell's history nor other
    users of the machine see it.
    """


for command in (history, import_, notice, notices, prove):
    consent.add_command(command)


@consent.command()
@_SUBJECT
@_PURPOSE
@click.option("--notice", required=True, help="The notice that the customer was shown, as credit-risk@2.")
@click.option("--until", "valid_until", default="", help="Until when, in ISO 8601; without end unless given.")
@_EFFECTIVE_AT
@_EVIDENCE
@options.config
@options.as_json
def give(subject: str, config_file: Path, as_json: bool, **values: str) -> None:
    """Record that the customer SUBJECT gave consent."""
    _set(config_file, as_json, subject=subject, state="given", **values)


@consent.command()
@_SUBJECT
@_PURPOSE
@click.option("--notice", default="", help="Only the consent under this notice; under every one unless given.")
@_EFFECTIVE_AT
@_EVIDENCE
@options.config
@options.as_json
def withdraw(subject: str, config_file: Path, as_json: bool, **values: str) -> None:
    """Record that the customer SUBJECT withdrew consent.

    Takes effect at the next read of every job, also of those that are running; those stop if their agreement says
    so. Shows the jobs, models and recipients that it reaches; the recipients are told, and never by whom.
    """
    _set(config_file, as_json, subject=subject, state="withdrawn", **values)


@consent.command()
@_SUBJECT
@_PURPOSE
@click.option("--state", required=True, type=click.Choice(_STATES), help="What the consent becomes.")
@click.option("--notice", default="", help="The notice that the consent is under, as credit-risk@2.")
@click.option("--until", "valid_until", default="", help="Until when, in ISO 8601; as before unless given.")
@_EFFECTIVE_AT
@_EVIDENCE
@options.config
@options.as_json
def change(subject: str, config_file: Path, as_json: bool, **values: str) -> None:
    """Record any other change of the consent of the customer SUBJECT.

    A state can follow another as docs/consent.md tells; closed ones are final. Only `invalidated` may reach back.
    """
    _set(config_file, as_json, subject=subject, **values)


@consent.command()
@_SUBJECT
@options.config
@options.as_json
def show(subject: str, config_file: Path, as_json: bool) -> None:
    """Show the consent of the customer SUBJECT, and what used the customer's data."""
    from consortia_client import control
    from consortia_proto.v1 import control_pb2

    with control.node(config_file) as node:
        view = node.ShowConsent(control_pb2.ShowConsentRequest(subject=subject), timeout=120)
    _show(view, as_json)


def _set(config_file: Path, as_json: bool, **values: str) -> None:
    from consortia_client import control
    from consortia_proto.v1 import control_pb2

    with control.node(config_file) as node:
        view = node.SetConsent(control_pb2.SetConsentRequest(**values), timeout=120)
    if not as_json:
        terminal.done(f"consent for {values['purpose']} is now {values['state']}")
    _show(view, as_json)


def _show(view: Any, as_json: bool) -> None:
    records = [record_of(record) for record in view.records]
    told = [{"institution": one.institution, "received_at": one.received_at} for one in view.acknowledgements]
    if as_json:
        terminal.as_json(
            {
                "pseudonym": view.pseudonym,
                "records": records,
                "reached_jobs": list(view.reached_jobs),
                "models": list(view.models),
                "recipients": list(view.recipients),
                "stopped_jobs": list(view.stopped),
                "statement": view.statement or None,
                "acknowledgements": told,
            }
        )
        return
    terminal.facts(
        {
            "pseudonym": view.pseudonym,
            "used by jobs": ", ".join(view.reached_jobs) or "none",
            "models": ", ".join(view.models) or "none",
            "recipients": ", ".join(view.recipients) or "none",
            **({"stopped": ", ".join(view.stopped)} if view.stopped else {}),
            **({"acknowledged": ", ".join(one["institution"] for one in told)} if told else {}),
        }
    )
    terminal.table(
        ("purpose", "state", "since", "until", "notice"),
        [
            (one["purpose"], one["state"], one["effective_at"], one["valid_until"] or "", one["notice"])
            for one in records
        ],
    )


def record_of(record: Any) -> dict[str, Any]:
    """One version of a consent record as plain values."""
    return {
        "purpose": record.purpose,
        "state": record.state,
        "effective_at": record.effective_at,
        "valid_until": record.valid_until or None,
        "notice": record.notice,
        "record": record.record,
        "recorded_at": record.recorded_at,
        "evidence": record.evidence or None,
    }
