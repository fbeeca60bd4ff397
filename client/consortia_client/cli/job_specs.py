"""``consortia job new|check``: job specs as text, before anybody is asked."""

import time
from pathlib import Path
from typing import Any

import click

from consortia_client.cli import options
from consortia_common import terminal


@click.command()
@click.argument("kind")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--profile",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of the person's profile: fills in what the network's institutions offer.",
)
@click.option("--agreement", "wanted", default="", help="Under this agreement, id or id@version; needs --profile.")
def new(kind: str, file: Path, folder: Path | None, wanted: str) -> None:
    """Write a job spec of KIND to fill in, with every field explained, to the new FILE.

    With --profile, what the institutions offer under the agreement is filled in and listed. Editors that know JSON
    Schema find mistakes while one types: the first line names the schema, which is written beside the file.
    """
    from consortia_client.errors import ClientError
    from consortia_client.starting import text
    from consortia_common.documents import job_schema

    if file.exists():
        raise ClientError(
            f"{file} is there already, and is not overwritten",
            blame="whoever chose the name",
            remedy="choose another name, or remove the file first",
        )
    spec = text(kind, _offering(folder, wanted, kind) if folder else None)
    schema = file.with_name(job_schema.FILE)
    schema.write_text(job_schema.schema_text(), encoding="utf-8")
    file.write_text(spec, encoding="utf-8")
    terminal.done(f"a job of kind {kind} is in {file}, its schema in {schema}")
    terminal.note(f"Next: fill in what stands in <>, then run\n  consortia job check {file}")


@click.command()
@click.argument("spec", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@options.as_json
def check(spec: Path, as_json: bool) -> None:
    """Check the job spec SPEC for mistakes, without submitting it; each is shown where it stands.

    Exits with 1 if there are any. Whether the job may run, each institution decides: see `consortia job plan`.
    """
    from consortia_common.documents.jobspec import JobSpec
    from consortia_common.errors import DocumentError

    text = options.text_of(spec)
    try:
        found = JobSpec.from_yaml(text, str(spec))
    except DocumentError as error:
        _tell(str(spec), text, error, as_json)
        raise
    if as_json:
        terminal.as_json({"spec": str(spec), "kind": found.kind, "hash": found.hash(), "mistakes": []})
        return
    terminal.done(f"{spec} is a well-formed {found.kind} job; whether it may run, each institution decides")


def _tell(source: str, text: str, error: Any, as_json: bool) -> None:
    if as_json:
        mistakes = [vars(mistake) for mistake in error.mistakes]
        terminal.as_json({"spec": source, "mistakes": mistakes})
        return
    lines = text.splitlines()
    for mistake in sorted(error.mistakes, key=lambda mistake: (mistake.line, mistake.column)):
        terminal.mistake(
            f"{source}:{mistake.line}:{mistake.column}" if mistake.line else source,
            mistake.text + _meant(mistake.text),
            lines[mistake.line - 1] if 0 < mistake.line <= len(lines) else "",
            mistake.column,
        )


def _meant(mistake: str) -> str:
    """For a field that does not exist, the one that was probably meant."""
    from difflib import get_close_matches

    from consortia_common.documents.base import NO_SUCH_FIELD
    from consortia_common.documents.job_schema import field_names

    field, _, why = mistake.partition(": ")
    if why != NO_SUCH_FIELD:
        return ""
    name = field.rpartition(".")[2]
    near = get_close_matches(name, field_names() - {name}, 1)
    return f"; did you mean {near[0]}?" if near else ""


def _offering(folder: Path, wanted: str, kind: str) -> Any:
    from consortia_client.offering import newest
    from consortia_client.profile import Profile
    from consortia_client.session import Session

    with Session(Profile.load(folder)) as session:
        return session.offering(newest(session.agreements(), wanted, kind), int(time.time() * 1000))
