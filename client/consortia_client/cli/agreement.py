"""``consortia agreement``: what an institution's officer does with data-sharing agreements."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from consortia_client.cli import options
from consortia_client.cli.agreement_simulate import simulate
from consortia_client.cli.agreement_text import diff, draft
from consortia_common import terminal


@click.group()
def agreement() -> None:
    """Draft, propose, sign, look at, suspend and end data-sharing agreements.

    An agreement binds once every party has signed it with its own keys. Each node decides by its own copy.
    """


agreement.add_command(diff)
agreement.add_command(draft)
agreement.add_command(simulate)


@agreement.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@options.config
@options.as_json
def propose(file: Path, config_file: Path, as_json: bool) -> None:
    """Sign the agreement in FILE (YAML) for this institution and send it to the other parties."""
    from consortia_client import control
    from consortia_common.documents.agreement import Agreement
    from consortia_proto.v1 import control_pb2

    document = Agreement.from_yaml(options.text_of(file), str(file)).canonical()
    with control.node(config_file) as node:
        view = node.ProposeAgreement(control_pb2.ProposeAgreementRequest(document=document), timeout=60)
    _show("proposed and signed", view, as_json)


@agreement.command()
@click.argument("reference")
@options.by_node_or_officer
@options.as_json
def sign(reference: str, actor: options.Actor, as_json: bool) -> None:
    """Sign the agreement REFERENCE (id@version, or more of it) for this institution.

    Read it first with `consortia agreement show`, and compare its hash with the other parties. The node signs with
    --config, each officer whom the agreement names with --profile, from a machine of their own.
    """
    from consortia_client import control
    from consortia_proto.v1 import control_pb2

    if isinstance(actor, options.AsOfficer):
        _as_officer(actor, "signed", as_json, lambda officer: officer.sign(reference))
        return
    with control.node(actor.config_file) as node:
        view = node.SignAgreement(control_pb2.SignAgreementRequest(reference=reference), timeout=60)
    _show("signed", view, as_json)


_REASON = click.option("--reason", default="", help="A sentence for the other parties and the logs.")


def _changing(action: str, done: str, text: str) -> None:
    """Add the command that asks for ``action``."""

    @click.argument("reference")
    @_REASON
    @options.by_node_or_officer
    @options.as_json
    def change(reference: str, reason: str, actor: options.Actor, as_json: bool) -> None:
        from consortia_client import control
        from consortia_proto.v1 import control_pb2

        if isinstance(actor, options.AsOfficer):
            now_ms = int(time.time() * 1000)
            _as_officer(actor, done, as_json, lambda officer: officer.change(reference, action, reason, now_ms))
            return
        with control.node(actor.config_file) as node:
            request = control_pb2.ChangeAgreementRequest(reference=reference, action=action, reason=reason)
            view = node.ChangeAgreement(request, timeout=60)
        _show(done, view, as_json)

    change.__doc__ = text
    agreement.command(name=action)(change)


_changing(
    "suspend",
    "suspended",
    """Suspend the agreement REFERENCE, alone and at once.

    No job may cite it any more, and those under way stop at their next step. The node, or any one officer whom the
    agreement names, suspends for the institution, whatever the other parties say.
    """,
)
_changing(
    "resume",
    "resumed",
    """Take back this institution's suspension of the agreement REFERENCE.

    Takes as many officers as to sign it, or the node alone where it names none. It is active again once every party
    that suspended it has resumed it.
    """,
)
_changing(
    "terminate",
    "terminated",
    """End the agreement REFERENCE for good.

    Takes as many officers of this institution as to sign it, or the node alone where it names none.
    """,
)


@agreement.command(name="list")
@options.config
@options.as_json
def list_(config_file: Path, as_json: bool) -> None:
    """Show every agreement that this node knows."""
    found = _all(config_file)
    if as_json:
        terminal.as_json([_plain(view) for view in found])
        return
    terminal.table(
        ("agreement", "state", "signed by", "missing"),
        [
            (view.reference.split("#")[0], view.state, ", ".join(view.signed_by), ", ".join(view.missing))
            for view in found
        ],
    )


@agreement.command()
@click.argument("reference")
@options.config
@options.as_json
def show(reference: str, config_file: Path, as_json: bool) -> None:
    """Show the agreement REFERENCE (id@version, or more or less of it) in full."""
    import json

    import yaml

    from consortia_client.errors import ClientError
    from consortia_common.documents.agreement import is_named

    found = [view for view in _all(config_file) if is_named(view.reference, reference)]
    if len(found) != 1:
        raise ClientError(
            f"{len(found)} agreements here have the reference {reference!r}",
            blame="whoever asked for it",
            remedy="`consortia agreement list` shows those there are; give more of the reference",
        )
    if as_json:
        terminal.as_json(_plain(found[0]))
        return
    terminal.facts(_facts(found[0]))
    terminal.out().print(
        yaml.safe_dump(json.loads(found[0].document), sort_keys=False, allow_unicode=True), markup=False
    )


def _as_officer(actor: options.AsOfficer, done: str, as_json: bool, act: Callable[[Any], Any]) -> None:
    """Have the officer of the profile do something with an agreement, and say which it was."""
    from consortia_client.officer import Officer
    from consortia_client.profile import Profile

    with Officer(Profile.load(actor.folder)) as officer:
        meant = act(officer)
    if as_json:
        terminal.as_json({"reference": meant.reference, "stated": done})
        return
    terminal.done(f"agreement {meant.short} {done}, as far as this officer goes")
    terminal.facts({"reference": meant.reference})


def _all(config_file: Path) -> list[Any]:
    from consortia_client import control
    from consortia_proto.v1 import control_pb2

    with control.node(config_file) as node:
        return list(node.ListAgreements(control_pb2.ListAgreementsRequest(), timeout=30).agreements)


def _show(what: str, view: Any, as_json: bool) -> None:
    if as_json:
        terminal.as_json(_plain(view))
        return
    terminal.done(f"agreement {view.reference.split('#')[0]} {what}")
    terminal.facts(_facts(view))


def _facts(view: Any) -> dict[str, str]:
    return {
        "reference": view.reference,
        "state": view.state,
        "signed by": ", ".join(view.signed_by),
        "signatures": ", ".join(view.signers),
        "missing": ", ".join(view.missing) or "nobody",
    }


def _plain(view: Any) -> dict[str, Any]:
    import json

    return {
        "reference": view.reference,
        "state": view.state,
        "signed_by": list(view.signed_by),
        "missing": list(view.missing),
        "signers": list(view.signers),
        "document": json.loads(view.document),
    }
