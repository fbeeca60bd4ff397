"""``consortia agreement draft|diff``: agreements as text, before anybody has signed anything."""

from pathlib import Path
from typing import Any

import click

from consortia_client.cli import options
from consortia_common import terminal

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--from", "parent", type=_FILE, help="Draft the next version of the agreement in this file.")
def draft(file: Path, parent: Path | None) -> None:
    """Write an agreement to fill in, with every field explained, to the new FILE.

    Editors that know JSON Schema find mistakes while one types: the first line names the schema, which is written
    beside the file. With --from, the draft is the next version of an agreement, which it names as its parent.
    """
    from consortia_client.errors import ClientError
    from consortia_common.documents import agreement_schema
    from consortia_common.documents.agreement import Agreement

    if file.exists():
        raise ClientError(
            f"{file} is there already, and is not overwritten",
            blame="whoever chose the name",
            remedy="choose another name, or remove the file first",
        )
    text = agreement_schema.TEMPLATE
    if parent is not None:
        text = agreement_schema.next_version(Agreement.from_yaml(options.text_of(parent), str(parent)))
    schema = file.with_name(agreement_schema.FILE)
    schema.write_text(agreement_schema.schema_text(), encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    terminal.done(f"a draft is in {file}, its schema in {schema}")
    terminal.note(f"Next: fill it in, then run\n  consortia agreement propose {file} --config node.toml")


@click.command()
@click.argument("old", type=_FILE)
@click.argument("new", type=_FILE)
@options.as_json
def diff(old: Path, new: Path, as_json: bool) -> None:
    """Say field by field what the agreement in NEW (YAML) changes against the one in OLD.

    Order of fields, comments and quoting do not matter; what is signed does. Exits with 1 if anything differs.
    """
    from consortia_common.documents.agreement import Agreement
    from consortia_common.documents.changes import changes_between

    before, after = (Agreement.from_yaml(options.text_of(file), str(file)) for file in (old, new))
    found = changes_between(before.model_dump(mode="json"), after.model_dump(mode="json"))
    if as_json:
        told = [{"field": one.field, "old": one.old, "new": one.new} for one in found]
        terminal.as_json({"old": before.reference, "new": after.reference, "changes": told})
    else:
        _show(before.reference, after.reference, found)
    if found:
        raise SystemExit(1)


def _show(before: str, after: str, found: list[Any]) -> None:
    terminal.facts({"old": before, "new": after})
    for one in found:
        terminal.facts({"field": one.field, "was": one.old_text, "is": one.new_text})
    if not found:
        terminal.done("nothing differs")
