"""``consortia agreement``: what an institution's officer does with data-sharing agreements."""

from pathlib import Path
from typing import Any

import click

from consortia_client.cli import options
from consortia_common import terminal


@click.group()
def agreement() -> None:
    """Propose, sign and look at data-sharing agreements.

    An agreement binds once every party has signed it with its own keys. Each node decides by its own copy.
    """


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
@options.config
@options.as_json
def sign(reference: str, config_file: Path, as_json: bool) -> None:
    """Sign the agreement REFERENCE (id@version, or more of it) for this institution.

    Read it first with `consortia agreement show`, and compare its hash with the other parties.
    """
    from consortia_client import control
    from consortia_proto.v1 import control_pb2

    with control.node(config_file) as node:
        view = node.SignAgreement(control_pb2.SignAgreementRequest(reference=reference), timeout=60)
    _show("signed", view, as_json)


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
    """Show the agreement REFERENCE in full."""
    import json

    import yaml

    from consortia_client.errors import ClientError

    found = [view for view in _all(config_file) if view.reference.startswith(reference)]
    if len(found) != 1:
        raise ClientError(
            f"{len(found)} agreements here have a reference that begins with {reference!r}",
            blame="whoever asked for it",
            remedy="`consortia agreement list` shows those there are",
        )
    if as_json:
        terminal.as_json(_plain(found[0]))
        return
    terminal.facts(_facts(found[0]))
    terminal.out().print(
        yaml.safe_dump(json.loads(found[0].document), sort_keys=False, allow_unicode=True), markup=False
    )


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
        "missing": ", ".join(view.missing) or "nobody",
    }


def _plain(view: Any) -> dict[str, Any]:
    import json

    return {
        "reference": view.reference,
        "state": view.state,
        "signed_by": list(view.signed_by),
        "missing": list(view.missing),
        "document": json.loads(view.document),
    }
