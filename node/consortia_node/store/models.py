"""The institution's models, by name: imported, or trained by a job that it took part in."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from consortia_common.documents.fitted import Model
from consortia_node.errors import StoreError
from consortia_node.store.tables import models

IMPORTED = "imported"


@dataclass(frozen=True)
class StoredModel:
    """A model and where it came from: IMPORTED or a job id."""

    name: str
    model: Model
    origin: str


class ModelStore:
    """Reads and writes of models on one connection; a name once given always means the same model."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, name: str, model: Model, origin: str) -> None:
        """Keep ``model``; the same one again changes nothing. Raises StoreError if the name means another."""
        known = self.get(name)
        if known is None:
            row = {"name": name, "document": model.canonical(), "origin": origin}
            self._connection.execute(insert(models), row)
        elif known.model != model:
            raise StoreError(
                f"the name {name} already belongs to another model",
                blame="whoever chose the name",
                remedy="choose another name; agreements and logs rely on names that do not change their meaning",
            )

    def get(self, name: str) -> StoredModel | None:
        """The model of that name."""
        row = self._connection.execute(select(models).where(models.c.name == name)).one_or_none()
        return _stored(row.name, row.document, row.origin) if row else None

    def all(self) -> list[StoredModel]:
        """Every model, by name."""
        rows = self._connection.execute(select(models).order_by(models.c.name))
        return [_stored(row.name, row.document, row.origin) for row in rows]

    def made_by(self, job_ids: Collection[str]) -> list[str]:
        """The names of the models that these jobs made: what a withdrawal reaches through them."""
        query = select(models.c.name).where(models.c.origin.in_(job_ids)).order_by(models.c.name)
        return list(self._connection.execute(query).scalars())


def _stored(name: str, document: bytes, origin: str) -> StoredModel:
    return StoredModel(name, Model.from_canonical(document, f"model {name} in the database"), origin)
