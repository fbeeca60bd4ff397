"""The institution's models, by name: imported, or trained by a job that it took part in; and which were withdrawn.

Invariant: whoever uses a model asks ``require_standing`` first, so that a withdrawn one answers nobody.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import NoReturn

from sqlalchemy import ColumnElement, Connection, and_, or_, select
from sqlalchemy.dialects.sqlite import insert

from consortia_common.documents.fitted import Model
from consortia_node.consent import moment
from consortia_node.errors import StoreError
from consortia_node.store.tables import model_withdrawals, models

IMPORTED = "imported"


@dataclass(frozen=True)
class Withdrawn:
    """The word of one institution that a model counts no more."""

    digest: str
    job_id: str
    """The job that made the model; empty for an imported one."""
    institution: str
    reason: str
    at_ms: int
    statement: str
    """By which others were told."""

    def refuse(self, name: str) -> NoReturn:
        """Raises StoreError: the model of this name is not to be used."""
        raise StoreError(
            f"model {name} was withdrawn by {self.institution} on {moment(self.at_ms)}: {self.reason}",
            blame="nobody; a withdrawn model is not used any more",
            remedy="use another model, and delete copies of this one; or ask that institution why",
        )


@dataclass(frozen=True)
class StoredModel:
    """A model and where it came from: IMPORTED or a job id."""

    name: str
    model: Model
    origin: str
    withdrawn: Withdrawn | None = None
    """Who was the first to withdraw it."""

    def require_standing(self) -> None:
        """Return if the model may be used. Raises StoreError if it was withdrawn."""
        if self.withdrawn is not None:
            self.withdrawn.refuse(self.name)


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
        return self._stored(row.name, row.document, row.origin) if row else None

    def all(self) -> list[StoredModel]:
        """Every model, by name."""
        rows = self._connection.execute(select(models).order_by(models.c.name))
        return [self._stored(row.name, row.document, row.origin) for row in rows]

    def withdraw(self, withdrawn: Withdrawn) -> None:
        """Note a withdrawal; one of the same institution that is there already is left as it is."""
        self._connection.execute(insert(model_withdrawals).values(asdict(withdrawn)).on_conflict_do_nothing())

    def knows(self, withdrawn: Withdrawn) -> bool:
        """Whether that institution has withdrawn the model before; the job's, whatever digest it gives it."""
        table = model_withdrawals.c
        about = _about(withdrawn.job_id, withdrawn.digest)
        here = select(table.at_ms).where(about, table.institution == withdrawn.institution)
        return self._connection.execute(here).first() is not None

    def of_absent(self) -> list[Withdrawn]:
        """Withdrawals of models that jobs have made and that are not kept here, oldest first."""
        kept = select(models.c.origin)
        table = model_withdrawals.c
        query = select(model_withdrawals).where(table.job_id != "", table.job_id.not_in(kept))
        return [Withdrawn(**row._mapping) for row in self._connection.execute(query.order_by(table.at_ms))]

    def made_by(self, job_ids: Collection[str]) -> list[str]:
        """The names of the models that these jobs made: what a withdrawal reaches through them."""
        query = select(models.c.name).where(models.c.origin.in_(job_ids)).order_by(models.c.name)
        return list(self._connection.execute(query).scalars())

    def _stored(self, name: str, document: bytes, origin: str) -> StoredModel:
        model = Model.from_canonical(document, f"model {name} in the database")
        about = or_(_about(model.origin.job, ""), _about("", model.hash()))
        first = select(model_withdrawals).where(about).order_by(model_withdrawals.c.at_ms).limit(1)
        row = self._connection.execute(first).one_or_none()
        return StoredModel(name, model, origin, Withdrawn(**row._mapping) if row else None)


def _about(job_id: str, digest: str) -> ColumnElement[bool]:
    """Withdrawals of what the job made, here or brought back as a file; without a job, of the imported model."""
    table = model_withdrawals.c
    return table.job_id == job_id if job_id else and_(table.job_id == "", table.digest == digest)
