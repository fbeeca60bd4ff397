"""Customers in the database: each row opens under the customer's own key, and that under the node's newest one.

Works within the caller's connection; whoever writes holds ``Keyring.lock``. A row under a key that was destroyed
opens for nobody; there is none but in an older copy of the database, which ``count_dead`` tells.
"""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
from sqlalchemy import Connection, bindparam, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from consortia_crypto import subject as keys
from consortia_crypto.subject import Payload
from consortia_node.consent import ConsentRecord, pseudonym
from consortia_node.differencing import Ids
from consortia_node.errors import StoreError
from consortia_node.keyring import Keyring
from consortia_node.store.cohorts import CohortStore
from consortia_node.store.subject_record import Consents, Held, Key, decoded, encoded
from consortia_node.store.tables import erasures, payloads, subjects

BATCH_ROWS = 5_000


class SubjectRow(NamedTuple):
    """A customer's row as it lies in the database."""

    id: int
    tag: bytes
    wrapped_by: str
    wrapped: bytes
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Subject:
    """One customer: the bank's own number, K_subject, every version of every consent record, and payloads."""

    id: int
    key: bytes = field(repr=False)
    number: str = field(repr=False)
    pseudonym: str
    """How the log names this customer."""
    consents: Consents = field(default_factory=dict)
    payloads: tuple[str, ...] = ()

    @classmethod
    def new(cls, number: str) -> Self:
        """A customer who was not known, under a fresh key."""
        key = keys.new_key()
        return cls(int.from_bytes(secrets.token_bytes(8)) >> 1, key, number, pseudonym(key))

    @property
    def in_force(self) -> dict[Key, Held]:
        """The version in force of each record, by purpose and notice."""
        return {key: versions[-1] for key, versions in sorted(self.consents.items())}

    @property
    def records(self) -> list[ConsentRecord]:
        """The records in force, by purpose and notice."""
        return [held.record for held in self.in_force.values()]

    def held(self, record: ConsentRecord) -> Held:
        """A record of this customer's with its commitment, which takes K_subject to make."""
        return Held(record, bytes.fromhex(keys.prove(self.key, record.canonical()).commitment))

    def holding(self, held: Held, *payloads: str) -> Self:
        """This customer with that record in force, and payloads more."""
        key = held.record.key
        consents = {**self.consents, key: (*self.consents.get(key, ()), held)}
        return type(self)(self.id, self.key, self.number, self.pseudonym, consents, (*self.payloads, *payloads))


class SubjectStore:
    """Reads and writes of customers on one connection."""

    def __init__(self, connection: Connection, ring: Keyring) -> None:
        self._connection = connection
        self._ring = ring

    def find(self, numbers: Sequence[str]) -> dict[str, Subject]:
        """The customers with these numbers, by number, as far as they are known."""
        found = (opened(self._ring, row) for row in self.rows(numbers))
        return {subject.number: subject for subject in found}

    def require(self, number: str) -> Subject:
        """The customer with that number. Raises StoreError for an unknown one."""
        subject = self.find([number]).get(number)
        if subject is None:
            raise StoreError(
                "no consent of this customer is on record",
                blame="whoever asked for it",
                remedy="check the customer number",
            )
        return subject

    def rows(self, numbers: Sequence[str]) -> list[SubjectRow]:
        """The rows, unopened, of the customers with these numbers, as far as they are known."""
        tags = [key.tag(number) for key in self._ring.keys for number in numbers]
        found = self._connection.execute(select(subjects).where(subjects.c.tag.in_(tags)))
        return [SubjectRow(*row) for row in found]

    def get(self, subject_id: int) -> Subject | None:
        """The customer of that row."""
        row = self._connection.execute(select(subjects).where(subjects.c.id == subject_id)).one_or_none()
        return opened(self._ring, SubjectRow(*row)) if row else None

    def all_rows(self) -> Iterator[list[tuple[int, bytes, str, bytes, bytes]]]:
        """The rows, unopened, of every customer whose erasure was not begun, in no order that means anything."""
        begun = select(erasures.c.subject_id)
        query = select(subjects).where(subjects.c.id.not_in(begun)).execution_options(yield_per=BATCH_ROWS)
        for part in self._connection.execute(query).partitions(BATCH_ROWS):
            yield [(row[0], row[1], row[2], row[3], row[4]) for row in part]

    def save(self, changed: Iterable[Subject]) -> None:
        """Write customers, new or known, under the newest key."""
        self.save_rows([closed(self._ring, subject) for subject in changed])

    def save_rows(self, rows: list[SubjectRow]) -> None:
        """Write rows as ``closed`` makes them."""
        if rows:
            statement = insert(subjects)
            fresh = {name: statement.excluded[name] for name in SubjectRow._fields[1:]}
            saved = statement.on_conflict_do_update(index_elements=["id"], set_=fresh)
            compiled = saved.compile(dialect=self._connection.dialect, column_keys=SubjectRow._fields)
            self._connection.exec_driver_sql(
                str(compiled), sorted(rows)
            )  # as the driver has it: an import saves a million

    def keep(self, payload: Payload) -> None:
        """Keep what an entry of the log commits to; the customer's row must name it."""
        self._connection.execute(insert(payloads).values(vars(payload)))

    def payloads(self, subject: Subject) -> list[Payload]:
        """What entries of the log committed to about this customer, oldest first."""
        query = select(payloads).where(payloads.c.commitment.in_(subject.payloads))
        found = {row.commitment: Payload(**row._mapping) for row in self._connection.execute(query)}
        return [found[commitment] for commitment in subject.payloads]

    def remove(self, subject: Subject) -> None:
        """Remove the customer's row and payloads, and the customer from what is noted of cohorts."""
        self._connection.execute(delete(payloads).where(payloads.c.commitment.in_(subject.payloads)))
        self._connection.execute(delete(subjects).where(subjects.c.id == subject.id))
        CohortStore(self._connection).forget(subject.id)

    def rewrap(self, limit: int = BATCH_ROWS) -> int:
        """Bring up to ``limit`` rows under the newest key; how many that were."""
        old = subjects.c.wrapped_by != self._ring.newest.id
        found = [
            opened(self._ring, SubjectRow(*row))
            for row in self._connection.execute(select(subjects).where(old).limit(limit))
        ]
        if found:
            names = ("row_id", "tag", "wrapped_by", "wrapped")
            rows = [dict(zip(names, closed(self._ring, subject)[:4], strict=True)) for subject in found]
            here = subjects.c.id == bindparam("row_id")
            values: dict[str, Any] = {name: bindparam(name) for name in names[1:]}
            self._connection.execute(update(subjects).where(here).values(values), rows)
        return len(found)


def opened(ring: Keyring, row: SubjectRow) -> Subject:
    """The customer in the row. Raises SubjectKeyError."""
    place = _place(row.id)
    key = (ring.find(row.wrapped_by) or ring.newest).unwrap(place, row.wrapped)
    name = pseudonym(key)
    number, payloads, consents = decoded(keys.unseal(key, place, row.sealed), name)
    return Subject(row.id, key, number, name, consents, payloads)


def closed(ring: Keyring, subject: Subject) -> SubjectRow:
    """The customer's row, under the newest key."""
    newest, place = ring.newest, _place(subject.id)
    sealed = keys.seal(subject.key, place, encoded(subject.number, subject.payloads, subject.consents))
    return SubjectRow(subject.id, newest.tag(subject.number), newest.id, newest.wrap(place, subject.key), sealed)


def on_record(connection: Connection, ids: Ids) -> Ids:
    """Those of the customers who are on record, ascending."""
    return np.intersect1d(ids, np.fromiter(connection.execute(select(subjects.c.id)).scalars(), np.int64))


def count(connection: Connection) -> int:
    """How many customers are on record."""
    return connection.scalar(select(func.count()).select_from(subjects)) or 0


def count_dead(connection: Connection, ring: Keyring) -> int:
    """How many of them are under keys that are not in the ring."""
    alive = [key.id for key in ring.keys]
    dead = select(func.count()).select_from(subjects).where(subjects.c.wrapped_by.not_in(alive))
    return connection.scalar(dead) or 0


def _place(subject_id: int) -> bytes:
    return b"subject" + subject_id.to_bytes(8, "big")
