"""The consent record in force for each customer and purpose.

Every change is one transaction that also counts up ``version``, so that a running job notices, and that is
committed only after its audit entry is durable. A record never gives way to one that took effect before it:
importing an old table can't bring back a consent that was withdrawn since.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects.sqlite import insert

from consortia_common.database import reading
from consortia_crypto import canonical
from consortia_crypto.subject import seal_payload
from consortia_node.consent import (
    Change,
    ConsentRecord,
    begin,
    change_of,
    consent_root,
    milliseconds,
    permits,
    takes_over,
)
from consortia_node.errors import StoreError
from consortia_node.keyring import Keyring
from consortia_node.sources.consent_file import ConsentRow
from consortia_node.store.subjects import Subject, SubjectStore
from consortia_node.store.tables import counters

ALLOWED = pa.schema(
    [
        ("subject", pa.string()),
        ("pseudonym", pa.string()),
        ("record_hash", pa.binary(32)),
        ("subject_id", pa.int64()),
    ]
)
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

    def __init__(self, engine: Engine, ring: Keyring) -> None:
        self._engine = engine
        self._ring = ring

    def version(self) -> int:
        """A number that every change of consent makes larger. The passing of time does not."""
        with reading(self._engine) as connection:
            return connection.scalar(select(counters.c.value).where(counters.c.name == _COUNTER)) or 0

    def import_rows(self, batches: Iterable[Sequence[ConsentRow]], log: Callable[[Imported], object]) -> Imported:
        """Take over all rows or none; ``log`` is called before they come into force."""
        counts: Counter[str] = Counter()
        pairs: list[tuple[str, bytes]] = []
        changed = 0
        purposes: set[str] = set()
        with self._ring.lock, self._engine.begin() as connection:
            store = SubjectStore(connection, self._ring)
            for rows in batches:
                changed += _take_over(store, rows, pairs)
                counts.update(row.state for row in rows)
                purposes.update(row.purpose for row in rows)
            count_up(connection)
            report = Imported(dict(counts), changed, consent_root(pairs), _in_force(store, purposes))
            log(report)
        return report

    def change(
        self, number: str, purpose: str, change: Change, log: Callable[[ConsentRecord, str], object]
    ) -> ConsentRecord:
        """Change one consent by the state table, or begin one. Raises StateError or ConsentError.

        ``log`` is given the record and the commitment to it, before it comes into force.
        """
        with self._ring.lock, self._engine.begin() as connection:
            store = SubjectStore(connection, self._ring)
            subject = store.find([number]).get(number) or Subject.new(number)
            now = subject.consents.get(purpose)
            record = change_of(now.record, change) if now else begin(subject.pseudonym, purpose, change)
            payload = seal_payload(subject.key, _evidence(number, record))
            store.keep(payload)
            store.save([subject.holding(subject.held(record), payload.commitment)])
            count_up(connection)
            log(record, payload.commitment)
        return record

    def find(self, number: str) -> Subject:
        """The customer with that number. Raises StoreError for an unknown one."""
        with reading(self._engine) as connection:
            return require(SubjectStore(connection, self._ring), number)

    def records(self, number: str) -> list[ConsentRecord]:
        """The records in force of one subject, by purpose. Raises StoreError for an unknown subject."""
        return self.find(number).records

    def allowed(self, purpose: str, now: datetime) -> pa.Table:
        """Whose rows may be processed for ``purpose`` now, and by which record; see ALLOWED for the columns."""
        at = milliseconds(now)
        rows: list[tuple[str, str, bytes, int]] = []
        with reading(self._engine) as connection:
            for subject in SubjectStore(connection, self._ring).all():
                held = subject.consents.get(purpose)
                if held and permits(held.record, purpose, at):
                    rows.append((subject.number, held.record.pseudonym, held.commitment, subject.id))
        columns = [[row[i] for row in rows] for i in range(len(ALLOWED))]
        return pa.table(columns, schema=ALLOWED)


def require(store: SubjectStore, number: str) -> Subject:
    """The customer with that number. Raises StoreError for an unknown one."""
    subject = store.find([number]).get(number)
    if subject is None:
        raise StoreError(
            "no consent of this customer is on record",
            blame="whoever asked for it",
            remedy="check the customer number",
        )
    return subject


def count_up(connection: Connection) -> None:
    """Let running jobs notice that consent has changed."""
    first = insert(counters).values(name=_COUNTER, value=1)
    more = first.on_conflict_do_update(index_elements=["name"], set_={"value": counters.c.value + 1})
    connection.execute(more)


def _take_over(store: SubjectStore, rows: Sequence[ConsentRow], pairs: list[tuple[str, bytes]]) -> int:
    """Take over rows; how many came into force. What each amounts to is added to ``pairs``."""
    known = store.find([row.subject for row in rows])
    changed: list[str] = []
    for row in rows:
        subject = known.get(row.subject) or Subject.new(row.subject)
        new = subject.held(ConsentRecord(subject.pseudonym, *row[1:]))
        pairs.append((subject.pseudonym, new.commitment))
        old = subject.consents.get(row.purpose)
        if takes_over(new.record, old.record if old else None):
            subject = subject.holding(new)
            changed.append(row.subject)
        known[row.subject] = subject
    store.save(known[number] for number in dict.fromkeys(changed))
    return len(changed)


def _in_force(store: SubjectStore, purposes: Iterable[str]) -> dict[str, dict[str, int]]:
    """For each purpose, how many records are in each state."""
    counts: dict[str, Counter[str]] = {purpose: Counter() for purpose in sorted(purposes)}
    for subject in store.all():
        for purpose in counts.keys() & subject.consents.keys():
            counts[purpose][subject.consents[purpose].record.state] += 1
    return {purpose: dict(states) for purpose, states in counts.items()}


def _evidence(number: str, record: ConsentRecord) -> bytes:
    """What is kept off the log of a change of consent: the whole record, and whose it is by customer number."""
    return canonical.encode({"v": 1, "customer": number, "record": record.document()})
