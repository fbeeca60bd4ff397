"""What a witness remembers of each log: the newest checkpoint that it cosigned, compared and swapped.

Trusted for: a new state is committed before ``swap`` returns, and only if the one it was decided on was still
there; so no two histories are cosigned, whatever comes at once. The table lies in the node's or the coordinator's
own database; ``witness_table`` declares it in either.
"""

from dataclasses import dataclass, field

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    LargeBinary,
    MetaData,
    String,
    Table,
    delete,
    insert,
    select,
    update,
)

from consortia_common.database import reading
from consortia_crypto.audit.witness import NOTHING_SEEN, WitnessState


def witness_table(metadata: MetaData) -> Table:
    """The table of what this party has witnessed, in its database."""
    return Table(
        "witnessed",
        metadata,
        Column("origin", String(255), primary_key=True),
        Column("size", BigInteger, nullable=False),
        Column("root", LargeBinary(32), nullable=False),
        Column("note", LargeBinary, nullable=False),
        Column("identity", LargeBinary, nullable=False),  # of the log's owner
        Column("vkeys", LargeBinary, nullable=False),  # of the log's checkpoints, endorsed by that
    )


@dataclass(frozen=True)
class Owner:
    """Whose log it is, as canonical JSON: the identity, and the keys of its checkpoints that it endorsed."""

    identity: bytes = field(repr=False)
    keys: bytes = field(repr=False)


class WitnessStore:
    """Reads and writes of the table. Safe in several threads."""

    def __init__(self, engine: Engine, table: Table) -> None:
        self._engine = engine
        self._table = table

    def state(self, origin: str) -> WitnessState:
        """The newest checkpoint of the log ``origin`` that was cosigned here."""
        with reading(self._engine) as connection:
            return self._state(connection, origin)

    def swap(self, origin: str, old: WitnessState, new: WitnessState, owner: Owner) -> bool:
        """Put ``new`` in the place of ``old``, durably; False if another state is there by now."""
        row = {
            "size": new.size,
            "root": new.root,
            "note": new.note,
            "identity": owner.identity,
            "vkeys": owner.keys,
        }
        with self._engine.begin() as connection:
            found = self._state(connection, origin)
            if (found.size, found.root) != (old.size, old.root):
                return False
            if found.note:
                connection.execute(update(self._table).where(self._table.c.origin == origin).values(row))
            else:
                connection.execute(insert(self._table).values(row | {"origin": origin}))
        return True

    def owner(self, origin: str) -> Owner | None:
        """Whose the log ``origin`` is, as it was shown when it was cosigned last."""
        query = select(self._table.c.identity, self._table.c.vkeys).where(self._table.c.origin == origin)
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        return Owner(bytes(row.identity), bytes(row.vkeys)) if row else None

    def notes(self, limit: int) -> list[bytes]:
        """The newest checkpoints of up to ``limit`` logs."""
        with reading(self._engine) as connection:
            query = select(self._table.c.note).order_by(self._table.c.origin.desc()).limit(limit)
            return [bytes(note) for note in connection.scalars(query)]

    def forget(self, origin: str) -> bool:
        """Remember nothing of the log ``origin`` any more; whether there was anything."""
        with self._engine.begin() as connection:
            return connection.execute(delete(self._table).where(self._table.c.origin == origin)).rowcount == 1

    def _state(self, connection: Connection, origin: str) -> WitnessState:
        row = connection.execute(select(self._table).where(self._table.c.origin == origin)).one_or_none()
        return WitnessState(row.size, bytes(row.root), bytes(row.note)) if row else NOTHING_SEEN
