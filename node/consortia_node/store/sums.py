"""Where each sealed sum of a job stands at this node: its attempt, and the protocol's state as bytes.

Works within the caller's connection: a state is stored in the transaction that stores the message it stands for,
so nothing is said that a crash could make this node say otherwise (docs/sealed-sum.md). What is kept of a sum that
is done is who was in it, for the receipt; its secrets go when it is done.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects.sqlite import insert

from consortia_crypto import canonical
from consortia_node.store.tables import sums

_INSERTED = insert(sums)
_PUT = _INSERTED.on_conflict_do_update(
    index_elements=["job_id", "name", "turn"],
    set_={name: _INSERTED.excluded[name] for name in ("attempt", "state", "institutions")},
)
_GET = select(sums).where(
    sums.c.job_id == bindparam("of_job"), sums.c.name == bindparam("of_name"), sums.c.turn == bindparam("of_turn")
)
"""Both made once: each step of a sum asks and keeps."""


@dataclass(frozen=True)
class StoredSum:
    """The sum ``name`` of round ``turn``; ``institutions`` once it is opened: whose uploads are in it."""

    job_id: str
    name: str
    turn: int
    attempt: int
    state: bytes
    institutions: tuple[str, ...] = ()


class SumStore:
    """Reads and writes of sums on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, stored: StoredSum) -> None:
        """Keep the newest state, in place of an earlier one."""
        values = {
            "job_id": stored.job_id,
            "name": stored.name,
            "turn": stored.turn,
            "attempt": stored.attempt,
            "state": stored.state,
            "institutions": canonical.encode(list(stored.institutions)),
        }
        self._connection.execute(_PUT, values)

    def get(self, job_id: str, name: str, turn: int) -> StoredSum | None:
        """The sum, if it was begun here."""
        asked = {"of_job": job_id, "of_name": name, "of_turn": turn}
        row = self._connection.execute(_GET, asked).one_or_none()
        return _stored(row._asdict()) if row else None

    def opened(self, job_id: str) -> Sequence[StoredSum]:
        """The job's sums that were opened here, in no order."""
        rows = self._connection.execute(select(sums).where(sums.c.job_id == job_id))
        found = [_stored(row._asdict()) for row in rows]
        return [stored for stored in found if stored.institutions]


def _stored(row: Mapping[str, Any]) -> StoredSum:
    return StoredSum(**{**row, "institutions": tuple(canonical.decode(row["institutions"]))})
