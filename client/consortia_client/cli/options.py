"""Options that several commands share."""

from pathlib import Path

import click

config = click.option(
    "--config",
    "config_file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The settings file (node.toml) of the institution's node, which must be running.",
)
profile = click.option(
    "--profile",
    "folder",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of the person's profile, made by `consortia user init`.",
)
as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON for programs instead of text for people."
)


def text_of(file: Path) -> str:
    """The text of a document that somebody wrote. Raises DocumentError for what is no text."""
    from consortia_common.documents.base import refuse

    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise refuse(str(file), ["it can't be read as UTF-8 text"]) from error
