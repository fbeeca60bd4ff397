"""Alembic's way in: consortia_coordinator.store.database runs it with a connection of its own."""

from consortia_common.database import migrate
from consortia_coordinator.store.tables import metadata

migrate(metadata)
