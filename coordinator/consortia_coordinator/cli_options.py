"""Options that several of the operator's commands share."""

from pathlib import Path

import click

CONFIG = click.option(
    "--config",
    "config_file",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The coordinator's settings file, coordinator.toml.",
)
FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
LEAVE = click.option(
    "--leave-behind", is_flag=True, help="Go on without members who are not up to date; they are cut off."
)
WHERE = "in a file, or in a hardware module: pkcs11:… (docs/identity.md)."
