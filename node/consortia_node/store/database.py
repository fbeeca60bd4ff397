"""Opens the node's database and brings it to the shape of tables.py. See consortia_common.database."""

from pathlib import Path

from sqlalchemy import Engine

from consortia_common.database import open_at


def open_database(where: str | Path) -> Engine:
    """The engine of the database ``where`` (a file's path or a database URL). Raises SettingsError."""
    return open_at(where, "consortia_node:migrations")
