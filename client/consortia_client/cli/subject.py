"""``consortia subject``: what an institution keeps about one customer, and how it is erased for good."""

import json
from pathlib import Path
from typing import Any

import click

from consortia_client.cli import options
from consortia_client.cli.subject_report import report
from consortia_common import terminal

_SECONDS = 3600
"""An erasure renews every customer's key; a million take about half a minute."""


@click.group()
def subject() -> None:
    """Show what is kept about a customer, and erase customers.

    Customers are named by the institution's own numbers here; the log and the network see keyed pseudonyms only.
    """


subject.add_command(report)


@subject.command()
@click.argument("subject")
@options.config
@options.as_json
def show(subject: str, config_file: Path, as_json: bool) -> None:
    """Show the pseudonym of the customer SUBJECT, what used their rows, and what the log commits to about them.

    Each commitment in the log is HMAC-SHA256(salt, content); with --json both are shown, so that anybody who is
    given them can check one entry and learns nothing of others.
    """
    from consortia_client import control
    from consortia_proto.v1 import control_pb2

    with control.node(config_file) as node:
        view = node.ShowSubject(control_pb2.ShowSubjectRequest(subject=subject), timeout=60)
    openings = [
        {"commitment": one.commitment, "salt": one.salt.hex(), "content": one.content.decode()}
        for one in view.openings
    ]
    if as_json:
        terminal.as_json(
            {
                "pseudonym": view.pseudonym,
                "jobs": list(view.jobs),
                "models": list(view.models),
                "openings": openings,
            }
        )
        return
    terminal.facts({"pseudonym": view.pseudonym, **_reach(view)})
    rows = [(one["commitment"][:16], *_told(one["content"])) for one in openings]
    terminal.table(("commitment", "purpose", "state", "notice"), rows)
    terminal.note(f"Its entries in the log: consortia audit timeline {view.pseudonym} LOG")


@subject.command()
@click.argument("subjects", nargs=-1, required=True, metavar="SUBJECT…")
@options.config
@click.option("--yes", is_flag=True, help="Do not ask whether it is meant.")
@options.as_json
def erase(subjects: tuple[str, ...], config_file: Path, yes: bool, as_json: bool) -> None:
    """Erase the customers SUBJECT…, all of them or none; nobody can undo it.

    Their keys, consents, what the log commits to about them, and the link to their numbers are destroyed; the log
    keeps pseudonyms that lead to nobody, and every proof still verifies. Models that were trained stay as they are.
    """
    from consortia_client import control
    from consortia_proto.v1 import control_pb2

    if not yes:
        click.confirm(f"Erase {len(subjects)} customer(s) for good?", abort=True, err=True)
    with control.node(config_file) as node:
        request = control_pb2.EraseSubjectsRequest(subjects=subjects)
        erased = node.EraseSubjects(request, timeout=_SECONDS).subjects
    if as_json:
        terminal.as_json({"erased": [_plain(one) for one in erased]})
        return
    for one in erased:
        terminal.done(f"erased by entry {one.log_entry}")
        terminal.facts({"pseudonym": one.pseudonym, **_reach(one)})
        if one.running:
            terminal.note(f"Under way, and dropping the rows at their next step: {', '.join(one.running)}")


def _reach(view: Any) -> dict[str, str]:
    return {"used by jobs": ", ".join(view.jobs) or "none", "models of those": ", ".join(view.models) or "none"}


def _told(content: str) -> tuple[str, str, str]:
    record = json.loads(content)["record"]
    return record["purpose"], record["state"], record["notice"]


def _plain(one: Any) -> dict[str, Any]:
    return {
        "pseudonym": one.pseudonym,
        "log_entry": one.log_entry,
        "jobs": list(one.jobs),
        "running": list(one.running),
        "models": list(one.models),
    }
