"""Alembic's way in: consortia_node.store.database runs it with a connection of its own."""

from consortia_common.database import migrate
from consortia_node.store.tables import metadata

migrate(metadata)
