"""Customers in the database: each row opens under the customer's own key, and that under the node's newest one.

Works within the caller's connection; whoever writes holds ``Keyring.lock``. A row under a key that was destroyed
opens for nobody; there is none but in an older copy of the database, which ``count_dead`` tells.
"""

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

from sqlalchemy import Connection, Row, bindparam, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from consortia_crypto import subject as keys
from consortia_crypto.subject import Payload
from consortia_node.consent import ConsentRecord, pseudonym
from consortia_node.keyring import Keyring
from consortia_node.store.tables import erasures, payloads, subjects

BATCH_ROWS = 5_000


@dataclass(frozen=True)
class Held:
    """A consent record in force, and the commitment by which proofs name it."""

    record: ConsentRecord
    commitment: bytes = field(repr=False)


@dataclass(frozen=True)
class Subject:
    """One customer: the bank's own number, K_subject, the consents in force by purpose, and payloads."""

    id: int
    key: bytes = field(repr=False)
    number: str = field(repr=False)
    consents: Mapping[str, Held] = field(default_factory=dict)
    payloads: tuple[str, ...] = ()

    @classmethod
    def new(cls, number: str) -> Self:
        """A customer who was not known, under a fresh key."""
        return cls(secrets.randbits(63), keys.new_key(), number)

    @cached_property
    def pseudonym(self) -> str:
        """How the log names this customer."""
        return pseudonym(self.key)

    @property
    def records(self) -> list[ConsentRecord]:
        """The records in force, by purpose."""
        return [held.record for _, held in sorted(self.consents.items())]

    def held(self, record: ConsentRecord) -> Held:
        """A record of this customer's with its commitment, which takes K_subject to make."""
        return Held(record, bytes.fromhex(keys.prove(self.key, record.canonical()).commitment))

    def holding(self, held: Held, *payloads: str) -> Self:
        """This customer with that record in force, and payloads more."""
        consents = {**self.consents, held.record.purpose: held}
        return replace(self, consents=consents, payloads=(*self.payloads, *payloads))


class SubjectStore:
    """Reads and writes of customers on one connection."""

    def __init__(self, connection: Connection, ring: Keyring) -> None:
        self._connection = connection
        self._ring = ring

    def find(self, numbers: Sequence[str]) -> dict[str, Subject]:
        """The customers with these numbers, by number, as far as they are known."""
        tags = [key.tag(number) for key in self._ring.keys for number in numbers]
        found = self._connection.execute(select(subjects).where(subjects.c.tag.in_(tags)))
        return {subject.number: subject for subject in map(self._opened, found)}

    def get(self, subject_id: int) -> Subject | None:
        """The customer of that row."""
        row = self._connection.execute(select(subjects).where(subjects.c.id == subject_id)).one_or_none()
        return self._opened(row) if row else None

    def all(self) -> Iterator[Subject]:
        """Every customer whose erasure was not begun, in no order that means anything."""
        begun = select(erasures.c.subject_id)
        query = select(subjects).where(subjects.c.id.not_in(begun)).execution_options(yield_per=BATCH_ROWS)
        return map(self._opened, self._connection.execute(query))

    def save(self, changed: Iterable[Subject]) -> None:
        """Write customers, new or known, under the newest key."""
        rows = [self._wrapped(subject) | {"sealed": _sealed(subject)} for subject in changed]
        statement = insert(subjects)
        fresh = {name: statement.excluded[name] for name in ("tag", "wrapped_by", "wrapped", "sealed")}
        if rows:
            self._connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=fresh), rows)

    def keep(self, payload: Payload) -> None:
        """Keep what an entry of the log commits to; the customer's row must name it."""
        self._connection.execute(insert(payloads).values(vars(payload)))

    def payloads(self, subject: Subject) -> list[Payload]:
        """What entries of the log committed to about this customer, oldest first."""
        query = select(payloads).where(payloads.c.commitment.in_(subject.payloads))
        found = {row.commitment: Payload(**row._mapping) for row in self._connection.execute(query)}
        return [found[commitment] for commitment in subject.payloads]

    def remove(self, subject: Subject) -> None:
        """Remove the customer's row and payloads; where it was a member of a cohort goes with the row."""
        self._connection.execute(delete(payloads).where(payloads.c.commitment.in_(subject.payloads)))
        self._connection.execute(delete(subjects).where(subjects.c.id == subject.id))

    def rewrap(self, limit: int = BATCH_ROWS) -> int:
        """Bring up to ``limit`` rows under the newest key; how many that were."""
        old = subjects.c.wrapped_by != self._ring.newest.id
        found = [self._opened(row) for row in self._connection.execute(select(subjects).where(old).limit(limit))]
        if found:
            rows = [{"row_id": subject.id, **self._wrapped(subject)} for subject in found]
            statement = update(subjects).where(subjects.c.id == bindparam("row_id"))
            self._connection.execute(statement, rows)
        return len(found)

    def _wrapped(self, subject: Subject) -> dict[str, Any]:
        newest = self._ring.newest
        return {
            "id": subject.id,
            "tag": newest.tag(subject.number),
            "wrapped_by": newest.id,
            "wrapped": newest.wrap(_place(subject.id), subject.key),
        }

    def _opened(self, row: Row[Any]) -> Subject:
        """The customer in the row. Raises SubjectKeyError."""
        place = _place(row.id)
        key = (self._ring.find(row.wrapped_by) or self._ring.newest).unwrap(place, row.wrapped)
        value = json.loads(keys.unseal(key, place, row.sealed).decode())
        name = pseudonym(key)
        consents = {
            purpose: Held(ConsentRecord(name, purpose, *fields), bytes.fromhex(commitment))
            for purpose, (*fields, commitment) in value["consents"].items()
        }
        return Subject(row.id, key, value["number"], consents, tuple(value["payloads"]))


def count(connection: Connection) -> int:
    """How many customers are on record."""
    return connection.scalar(select(func.count()).select_from(subjects)) or 0


def count_dead(connection: Connection, ring: Keyring) -> int:
    """How many of them are under keys that are not in the ring."""
    alive = [key.id for key in ring.keys]
    dead = select(func.count()).select_from(subjects).where(subjects.c.wrapped_by.not_in(alive))
    return connection.scalar(dead) or 0


def _sealed(subject: Subject) -> bytes:
    consents = {
        purpose: [held.record.state, held.record.effective_ms, held.record.valid_until_ms, held.record.notice,
                  held.commitment.hex()]
        for purpose, held in subject.consents.items()
    }  # fmt: skip
    value = {"number": subject.number, "consents": consents, "payloads": subject.payloads}
    return keys.seal(subject.key, _place(subject.id), json.dumps(value).encode())


def _place(subject_id: int) -> bytes:
    return b"subject" + subject_id.to_bytes(8, "big")
