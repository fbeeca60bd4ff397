"""The consent record in force for each subject and purpose, and each subject's key.

Every change is one transaction that also counts up ``version``, so that a running job notices, and that is
committed only after its audit entry is durable. A record never gives way to one that took effect before it:
importing an old table can't bring back a consent that was withdrawn since.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, Engine, and_, func, or_, select
from sqlalchemy.dialects.sqlite import Insert, insert

from consortia_common.database import reading
from consortia_node.consent import (
    PERMITTING,
    Change,
    ConsentRecord,
    begin,
    change_of,
    consent_root,
    milliseconds,
    pseudonym,
)
from consortia_node.errors import StoreError
from consortia_node.sources.consent_file import ConsentRow
from consortia_node.store.tables import consents, counters, subjects

ALLOWED = pa.schema([("subject", pa.string()), ("pseudonym", pa.string()), ("record_hash", pa.binary(32))])
"""What ``allowed`` returns."""
_COUNTER = "consent"


@dataclass(frozen=True)
class Imported:
    """What an import did: its records per state, how many changed what was in force, the root over all of them,
    and for each of its purposes how many records are in each state now.
    """

    counts: Mapping[str, int]
    changed: int
    root: str
    in_force: Mapping[str, Mapping[str, int]]


class ConsentStore:
    """Reads and writes of consent. Subjects go in as customer numbers; only pseudonyms may go to a log."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def version(self) -> int:
        """A number that every change of consent makes larger. The passing of time does not."""
        with reading(self._engine) as connection:
            return _version(connection)

    def import_rows(self, batches: Iterable[Sequence[ConsentRow]], log: Callable[[Imported], object]) -> Imported:
        """Take over all rows or none; ``log`` is called before they come into force."""
        counts: Counter[str] = Counter()
        pairs: list[tuple[str, bytes]] = []
        changed = 0
        purposes: set[str] = set()
        with self._engine.begin() as connection:
            for rows in batches:
                keys = _keys(connection, [row.subject for row in rows])
                records = [_record_of(row, keys[row.subject]) for row in rows]
                values = [_columns(row.subject, record) for row, record in zip(rows, records, strict=True)]
                changed += connection.execute(_IMPORT, values).rowcount
                counts.update(row.state for row in rows)
                purposes.update(row.purpose for row in rows)
                pairs += [
                    (record.pseudonym, value["record_hash"]) for record, value in zip(records, values, strict=True)
                ]
            _count_up(connection)
            in_force = {purpose: _in_force(connection, purpose) for purpose in sorted(purposes)}
            report = Imported(dict(counts), changed, consent_root(pairs), in_force)
            log(report)
        return report

    def change(
        self, subject: str, purpose: str, change: Change, log: Callable[[ConsentRecord], object]
    ) -> ConsentRecord:
        """Change one consent by the state table, or begin one. Raises StateError or ConsentError."""
        with self._engine.begin() as connection:
            key = _keys(connection, [subject])[subject]
            now = _record(connection, subject, purpose, pseudonym(key))
            record = change_of(now, change) if now else begin(pseudonym(key), purpose, change)
            connection.execute(_REPLACE, _columns(subject, record))
            _count_up(connection)
            log(record)
        return record

    def records(self, subject: str) -> list[ConsentRecord]:
        """The records in force of one subject, by purpose. Raises StoreError for an unknown subject."""
        with reading(self._engine) as connection:
            key = connection.execute(select(subjects.c.key).where(subjects.c.subject == subject)).scalar()
            if key is None:
                raise StoreError(
                    "no consent of this customer is on record",
                    blame="whoever asked for it",
                    remedy="check the customer number",
                )
            query = select(consents.c.purpose).where(consents.c.subject == subject).order_by(consents.c.purpose)
            purposes = connection.execute(query).scalars().all()
            found = [_record(connection, subject, purpose, pseudonym(key)) for purpose in purposes]
        return [record for record in found if record]

    def allowed(self, purpose: str, now: datetime) -> pa.Table:
        """Whose rows may be processed for ``purpose`` now, and by which record; see ALLOWED for the columns."""
        at = milliseconds(now)
        query = (
            select(consents.c.subject, subjects.c.key, consents.c.record_hash)
            .join(subjects, subjects.c.subject == consents.c.subject)
            .where(
                consents.c.purpose == purpose,
                consents.c.state.in_(sorted(PERMITTING)),
                consents.c.effective_ms <= at,
                or_(consents.c.valid_until_ms.is_(None), consents.c.valid_until_ms > at),
            )
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        columns = [
            [row[0] for row in rows],
            [pseudonym(row[1]) for row in rows],
            [row[2] for row in rows],
        ]
        return pa.table(columns, schema=ALLOWED)


def _version(connection: Connection) -> int:
    return connection.execute(select(counters.c.value).where(counters.c.name == _COUNTER)).scalar() or 0


def _in_force(connection: Connection, purpose: str) -> dict[str, int]:
    """How many records of ``purpose`` are in each state."""
    query = select(consents.c.state, func.count()).where(consents.c.purpose == purpose)
    return {str(state): int(count) for state, count in connection.execute(query.group_by(consents.c.state))}


def _count_up(connection: Connection) -> None:
    first = insert(counters).values(name=_COUNTER, value=1)
    more = first.on_conflict_do_update(index_elements=["name"], set_={"value": counters.c.value + 1})
    connection.execute(more)


def _keys(connection: Connection, names: Sequence[str]) -> dict[str, bytes]:
    """K_subject of each, made now for those who have none."""
    fresh = [{"subject": name, "key": secrets.token_bytes(32)} for name in dict.fromkeys(names)]
    connection.execute(insert(subjects).on_conflict_do_nothing(), fresh)
    query = select(subjects.c.subject, subjects.c.key).where(subjects.c.subject.in_(names))
    return {subject: bytes(key) for subject, key in connection.execute(query)}


def _record_of(row: ConsentRow, key: bytes) -> ConsentRecord:
    return ConsentRecord(pseudonym(key), row.purpose, row.state, row.effective_ms, row.valid_until_ms, row.notice)


def _columns(subject: str, record: ConsentRecord) -> dict[str, Any]:
    return {
        "subject": subject,
        "purpose": record.purpose,
        "state": record.state,
        "effective_ms": record.effective_ms,
        "valid_until_ms": record.valid_until_ms,
        "notice": record.notice,
        "record_hash": record.hash(),
    }


def _record(connection: Connection, subject: str, purpose: str, name: str) -> ConsentRecord | None:
    """The record in force, under the subject's pseudonym ``name``."""
    table = consents.c
    query = select(table.purpose, table.state, table.effective_ms, table.valid_until_ms, table.notice)
    row = connection.execute(query.where(table.subject == subject, table.purpose == purpose)).one_or_none()
    return ConsentRecord(name, *row) if row else None


def _upsert(*, only_newer: bool) -> Insert:
    """Insert, or replace what is in force; if ``only_newer``, unless it took effect later or is stricter."""
    statement = insert(consents)
    new, old = statement.excluded, consents.c
    stricter = and_(new.effective_ms == old.effective_ms, *(new.state != state for state in sorted(PERMITTING)))
    newer = and_(new.record_hash != old.record_hash, or_(new.effective_ms > old.effective_ms, stricter))
    replaced = {column.name: new[column.name] for column in consents.columns if not column.primary_key}
    return statement.on_conflict_do_update(
        index_elements=["subject", "purpose"], set_=replaced, where=newer if only_newer else None
    )


_IMPORT = _upsert(only_newer=True)
_REPLACE = _upsert(only_newer=False)
