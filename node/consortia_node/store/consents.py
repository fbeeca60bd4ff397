"""Every change of consent, and whose rows may be used.

A change is one transaction that also counts up ``version``, so that a running job notices, and that is committed
only after its audit entry is durable. A record never gives way to one that took effect before it: importing an old
table can't bring back a consent that was withdrawn since.
"""

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects.sqlite import insert

from consortia_common import consent_tree
from consortia_common.database import reading
from consortia_common.documents.consent_notice import ConsentNotice
from consortia_crypto import canonical
from consortia_crypto.subject import seal_payload
from consortia_node.consent import (
    ENDING,
    LIFE,
    Change,
    ConsentRecord,
    Need,
    Terms,
    begin,
    change_of,
    covers,
    notice_id,
    refuse,
)
from consortia_node.consent_import import ConsentRow, Findings, judge
from consortia_node.errors import StoreError
from consortia_node.keyring import Keyring
from consortia_node.spread import spread
from consortia_node.store.cohorts import CohortStore
from consortia_node.store.consent_batches import Batch, Step, ending, read, take
from consortia_node.store.consent_notices import NoticeStore
from consortia_node.store.register import Register, RegisterRow, ordered_pairs, row_of
from consortia_node.store.subject_record import Key
from consortia_node.store.subjects import BATCH_ROWS, Subject, SubjectStore, count
from consortia_node.store.tables import counters

_COUNTER = "consent"


@dataclass(frozen=True)
class Taken:
    """What an import or the clock changed: its transitions' pairs with the root over them, and for each of its
    purposes how many records are in each state now."""

    findings: Findings
    root: str
    pairs: bytes
    in_force: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Allowed:
    """Whose rows may be used: customer numbers, each once, with their ids and the pairs relied on."""

    numbers: pa.Array
    subject_ids: pa.Array
    pairs: NDArray[np.void]


Log = Callable[[Taken], object]
Also = Callable[[Connection, int, ConsentRecord], object]
"""What is done with a changed record of a customer, by the id of the customer's row."""


class ConsentStore:
    """Reads and writes of consent. Subjects go in as customer numbers; only pseudonyms may go to a log."""

    def __init__(self, engine: Engine, ring: Keyring) -> None:
        self._engine = engine
        self._ring = ring
        self._opened: tuple[int, Register] | None = None
        self._opening = threading.Lock()

    def version(self) -> int:
        """A number that every change of consent makes larger. The passing of time does not."""
        with reading(self._engine) as connection:
            return version_of(connection)

    def add_notice(self, notice: ConsentNotice, log: Callable[[], object]) -> None:
        """Keep a notice that records may cite from now on. Raises ConsentError for another one of that name."""
        with self._engine.begin() as connection:
            if NoticeStore(connection).add(notice):
                log()

    def notices(self) -> list[ConsentNotice]:
        """Every notice, by reference."""
        with reading(self._engine) as connection:
            return NoticeStore(connection).all()

    def examine(self, rows: Sequence[ConsentRow], findings: Findings) -> Findings:
        """What importing ``rows`` would do; nothing is changed."""
        with reading(self._engine) as connection:
            self._judged(connection, rows, findings)
        return findings

    def import_rows(
        self,
        rows: Sequence[ConsentRow],
        findings: Findings,
        now_ms: int,
        log: Log,
        ended: Also = lambda *_: None,
    ) -> Taken | None:
        """Take over all rows, or none if there is a mistake; ``log`` is called before they come into force.

        ``ended`` does what belongs into the same transaction for each record that a person ended, if a job has
        used the customer's row.
        """
        with self._ring.lock:
            with self._engine.begin() as connection:
                register, chosen = self._judged(connection, rows, findings)
                if findings.mistaken:
                    return None
                taken, version, renewed = self._commit(connection, register, chosen, findings, now_ms, log)
                for subject_id, record in self._ended(connection, register, chosen):
                    ended(connection, subject_id, record)
            self._renew(version, renewed)
        return taken

    def run_out(self, now_ms: int, log: Log) -> Taken | None:
        """Let the clock end what is over: given becomes expired, requested lapsed. None if nothing is."""
        with self._ring.lock:
            with self._engine.begin() as connection:
                register = self._register(connection)
                steps = [ending(register, position) for position in register.run_out(now_ms).tolist()]
                if not steps:
                    return None
                findings = Findings(rows=len(steps))
                findings.states.update(step.row.state for step in steps)
                taken, version, renewed = self._commit(connection, register, steps, findings, now_ms, log)
            self._renew(version, renewed)
        return taken

    def change(
        self,
        number: str,
        purpose: str,
        change: Change,
        now_ms: int,
        log: Callable[[ConsentRecord, str], object],
        also: Also = lambda *_: None,
    ) -> list[ConsentRecord]:
        """Change a customer's consent for a purpose by the state table, or begin one.

        Without a notice, all open records for the purpose change. ``log`` is given each record and the commitment
        to it before it comes into force; ``also`` does what belongs into the same transaction. Raises StateError,
        ConsentError.
        """
        with self._ring.lock:
            with self._engine.begin() as connection:
                register = self._register(connection)
                if change.notice:
                    _require_notice(NoticeStore(connection).terms(), change.notice, purpose)
                store = SubjectStore(connection, self._ring)
                subject = store.find([number]).get(number) or Subject.new(number)
                changed = []
                for key in _meant(subject, purpose, change):
                    record = _changed(subject, key, change, now_ms)
                    payload = seal_payload(subject.key, _evidence(number, record))
                    store.keep(payload)
                    subject = subject.holding(subject.held(record), payload.commitment)
                    changed.append((record, payload.commitment))
                store.save([subject])
                version = count_up(connection)
                for record, commitment in changed:
                    log(record, commitment)
                    also(connection, subject.id, record)
            self._renew(version, _with(register, subject))
        return [record for record, _ in changed]

    def find(self, number: str) -> Subject:
        """The customer with that number. Raises StoreError for an unknown one."""
        with reading(self._engine) as connection:
            return require(SubjectStore(connection, self._ring), number)

    def allowed(self, need: Need, now_ms: int) -> Allowed:
        """Whose rows may be used for what is needed, and by which records; of several of a customer's the first."""
        with reading(self._engine) as connection:
            register = self._register(connection)
            terms = NoticeStore(connection).terms()
        notices = [reference for reference, offered in terms.items() if covers(offered, need)]
        found = register.first_of_each(register.allowed(need.purpose, notices, now_ms))
        return _chosen(register, found, found)

    def known(self) -> Allowed:
        """Every customer on record, for data that are read on another basis than consent; none is relied on."""
        with reading(self._engine) as connection:
            register = self._register(connection)
        everybody = register.first_of_each(np.ones(len(register.subject_id), bool))
        return _chosen(register, everybody, np.zeros_like(everybody))

    def _judged(
        self, connection: Connection, rows: Sequence[ConsentRow], findings: Findings
    ) -> tuple[Register, list[Step]]:
        """The rows that come into force."""
        register = self._register(connection)
        positions = register.positions()
        terms = NoticeStore(connection).terms()
        ids = {row.notice: notice_id(row.notice) for row in rows}
        unfit = {pair for pair in {(row.notice, row.purpose) for row in rows} if not _fits(terms, *pair)}
        seen: set[tuple[str, str, str]] = set()
        chosen = []
        findings.rows = len(rows)
        for number, row in enumerate(rows, 1):
            findings.states[row.state] += 1
            key = (row.subject, row.purpose, ids[row.notice])
            if (row.notice, row.purpose) in unfit:
                findings.wrong(number, "cites a notice that is not registered here, or not for this purpose")
            elif key in seen:
                findings.wrong(number, "repeats the subject, purpose and notice of an earlier row")
            else:
                seen.add(key)
                position = positions.get(key)
                old = None if position is None else register.standing(position)
                verdict = judge(old, row)
                if verdict.mistake:
                    findings.wrong(number, verdict.mistake)
                    continue
                findings.see(row, old, verdict)
                if verdict.taken:
                    chosen.append(Step(row, position, verdict.anew))
        return register, chosen

    def _take(self, connection: Connection, steps: Sequence[Step], register: Register, now_ms: int) -> Register:
        """Write the changes; what the register has of them."""
        store = SubjectStore(connection, self._ring)
        numbers = {step.row.subject for step in steps}
        is_new = not len(register.subject_id) and len(numbers) == len(steps)

        def batches() -> Iterator[Batch]:
            for start in range(0, len(steps), BATCH_ROWS):
                batch = steps[start : start + BATCH_ROWS]
                known = [] if is_new else store.rows(sorted({step.row.subject for step in batch}))
                yield Batch(batch, known, self._keys, now_ms)

        fresh: list[RegisterRow] = []
        for done in spread(take, batches(), len(steps) if is_new else 0):
            store.save_rows(done.rows)
            fresh += done.fresh
        return Register.of(fresh)

    def _commit(
        self,
        connection: Connection,
        register: Register,
        steps: Sequence[Step],
        findings: Findings,
        now_ms: int,
        log: Log,
    ) -> tuple[Taken, int, Register]:
        """Write the changes and log them: the version that they make, and the register as it is then."""
        added = self._take(connection, steps, register, now_ms)
        renewed = register.replaced((step.position for step in steps if step.position is not None), added)
        pairs = ordered_pairs(added.pair)
        in_force = {purpose: renewed.counts(purpose) for purpose in sorted({step.row.purpose for step in steps})}
        taken = Taken(findings, consent_tree.root(pairs), pairs, in_force)
        version = count_up(connection)
        log(taken)
        return taken, version, renewed

    def _ended(
        self, connection: Connection, register: Register, steps: Sequence[Step]
    ) -> Iterator[tuple[int, ConsentRecord]]:
        """The records that stood before and that people ended, of customers whose rows jobs have used."""
        over = [
            (int(register.subject_id[step.position]), (step.row.purpose, notice_id(step.row.notice)))
            for step in steps
            if step.position is not None and step.row.state in ENDING
        ]
        used = CohortStore(connection).used(np.array([subject_id for subject_id, _ in over], np.int64))
        store = SubjectStore(connection, self._ring)
        for subject_id, key in over:
            subject = store.get(subject_id) if subject_id in used else None
            if subject is not None:
                yield subject_id, subject.in_force[key].record

    @property
    def _keys(self) -> tuple[bytes, ...]:
        return tuple(key.key for key in self._ring.keys)

    def _register(self, connection: Connection) -> Register:
        """The records in force as of now."""
        with self._opening:
            version = version_of(connection)
            if self._opened is None or self._opened[0] != version:
                parts = SubjectStore(connection, self._ring).all_rows()
                batches = (Batch((), part, self._keys, 0) for part in parts)
                self._opened = version, Register.joined(list(spread(read, batches, count(connection))))
            return self._opened[1]

    def _renew(self, version: int, register: Register) -> None:
        with self._opening:
            self._opened = version, register


def _chosen(register: Register, found: NDArray[np.bool_], relied_on: NDArray[np.bool_]) -> Allowed:
    numbers = register.number.filter(pa.array(found))
    return Allowed(numbers, pa.array(register.subject_id[found]), register.pair[relied_on])


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


def count_up(connection: Connection) -> int:
    """Let running jobs notice that consent has changed; the number that it has come to."""
    first = insert(counters).values(name=_COUNTER, value=1)
    more = first.on_conflict_do_update(index_elements=["name"], set_={"value": counters.c.value + 1})
    connection.execute(more)
    return version_of(connection)


def version_of(connection: Connection) -> int:
    """The number that every change of consent makes larger."""
    return connection.scalar(select(counters.c.value).where(counters.c.name == _COUNTER)) or 0


def _meant(subject: Subject, purpose: str, change: Change) -> list[tuple[str, str]]:
    """Which records are meant: that of the notice, else all open ones for the purpose, else a closed one."""
    if change.notice:
        return [(purpose, notice_id(change.notice))]
    of_purpose = {key: held.record for key, held in subject.in_force.items() if key[0] == purpose}
    still = [key for key, record in of_purpose.items() if record.state not in LIFE.final]
    if not of_purpose:
        raise refuse(f"there is no consent on record for {purpose} that could become {change.state}")
    if not still and len(of_purpose) > 1:
        raise refuse("several notices are on record for this purpose; name the one that is meant")
    return still or list(of_purpose)


def _changed(subject: Subject, key: Key, change: Change, now_ms: int) -> ConsentRecord:
    """The next version of the customer's record of that purpose and notice, or the first one of a new record."""
    held = subject.in_force.get(key)
    fresh = secrets.token_hex(8)
    if held is None:
        return begin(subject.pseudonym, fresh, key[0], change, now_ms)
    return change_of(held.record, change, fresh, now_ms)


def _with(register: Register, subject: Subject) -> Register:
    """The register after a change of this customer alone."""
    gone = np.flatnonzero(register.subject_id == subject.id).tolist()
    rows = [row_of(subject.number, subject.id, held) for held in subject.in_force.values()]
    return register.replaced(gone, Register.of(rows))


def _fits(terms: Mapping[str, Terms], notice: str, purpose: str) -> bool:
    return notice in terms and purpose in terms[notice].purposes


def _require_notice(terms: Mapping[str, Terms], notice: str, purpose: str) -> None:
    if not _fits(terms, notice, purpose):
        raise refuse(f"notice {notice} is not registered here, or not for {purpose}")


def _evidence(number: str, record: ConsentRecord) -> bytes:
    """What is kept off the log of a change of consent: the whole record, and whose it is by customer number."""
    return canonical.encode({"v": 1, "customer": number, "record": record.document()})
