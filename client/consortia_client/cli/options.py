"""Options that several commands share."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click


def _config(*, required: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(
        "--config",
        "config_file",
        required=required,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="The settings file (node.toml) of the institution's node, which must be running.",
    )


config = _config(required=True)
optional_config = _config(required=False)
profile = click.option(
    "--profile",
    "folder",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of the person's profile, made by `consortia user init`.",
)


@dataclass(frozen=True)
class AsNode:
    """Act as the institution's node with these settings."""

    config_file: Path


@dataclass(frozen=True)
class AsOfficer:
    """Act as the officer with this profile."""

    folder: Path


Actor = AsNode | AsOfficer

_NODE_OR_OFFICER = (
    click.option(
        "--config",
        "config_file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Act as the institution's running node, of which this is the settings file (node.toml).",
    ),
    click.option(
        "--profile",
        "folder",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Act as an officer, of whom this is the profile's folder; then REFERENCE is id@version#hash.",
    ),
)
as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON for programs instead of text for people."
)

as_csv = click.option("--csv", "as_csv", is_flag=True, help="Print CSV for spreadsheets and programs.")


def by_node_or_officer(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command ``actor``, an AsNode or AsOfficer: one of --config and --profile."""

    @functools.wraps(command)
    def given(config_file: Path | None, folder: Path | None, **options: Any) -> Any:
        node = AsNode(config_file) if config_file else None
        officer = AsOfficer(folder) if folder else None
        if (node is None) == (officer is None):
            raise click.UsageError("Give one of --config (the node) and --profile (an officer).")
        return command(actor=node or officer, **options)

    for option in _NODE_OR_OFFICER:
        given = option(given)
    return given


def text_of(file: Path) -> str:
    """The text of a document that somebody wrote. Raises DocumentError for what is no text."""
    from consortia_common.documents.base import refuse

    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise refuse(str(file), ["it can't be read as UTF-8 text"]) from error
