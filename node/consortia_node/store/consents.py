"""Every change of consent, and whose rows may be used.

A change is one transaction that also counts up ``version``, so that a running job notices, and that is committed
only after its audit entry is durable. A record never gives way to one that took effect before it: importing an old
table can't bring back a consent that was withdrawn since.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine

from consortia_common.database import reading
from consortia_common.documents.consent_notice import ConsentNotice
from consortia_node.consent import Change, ConsentRecord, Need, covers
from consortia_node.consent_import import ConsentRow, Findings
from consortia_node.keyring import Keyring
from consortia_node.store.consent_batches import Step, ending, judged
from consortia_node.store.consent_change import write_change
from consortia_node.store.consent_intake import Intake, Log, Taken
from consortia_node.store.consent_notices import NoticeStore
from consortia_node.store.current_register import CurrentRegister, count_up, version_of
from consortia_node.store.register import Register, row_of
from consortia_node.store.subjects import Subject, SubjectStore


@dataclass(frozen=True)
class Allowed:
    """Whose rows may be used: customer numbers, each once, with their ids and the pairs relied on."""

    numbers: pa.Array
    subject_ids: pa.Array
    pairs: NDArray[np.void]


Also = Callable[[Connection, int, ConsentRecord], object]
"""What is done with a changed record of a customer, by the id of the customer's row."""


class ConsentStore:
    """Reads and writes of consent. Subjects go in as customer numbers; only pseudonyms may go to a log."""

    def __init__(self, engine: Engine, ring: Keyring) -> None:
        self._engine = engine
        self._ring = ring
        self._current = CurrentRegister(ring)

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
                intake = Intake(connection, self._ring, register)
                written = intake.take(chosen, findings, now_ms, log)
                for subject_id, record in intake.ended(chosen):
                    ended(connection, subject_id, record)
            self._current.renew(written.version, written.register)
        return written.taken

    def run_out(self, now_ms: int, log: Log) -> Taken | None:
        """Let the clock end what is over: given becomes expired, requested lapsed. None if nothing is."""
        with self._ring.lock:
            with self._engine.begin() as connection:
                register = self._current.read(connection)
                steps = [ending(register, position) for position in register.run_out(now_ms).tolist()]
                if not steps:
                    return None
                findings = Findings(rows=len(steps))
                findings.states.update(step.row.state for step in steps)
                written = Intake(connection, self._ring, register).take(steps, findings, now_ms, log)
            self._current.renew(written.version, written.register)
        return written.taken

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
                register = self._current.read(connection)
                subject, changed = write_change(connection, self._ring, number, purpose, change, now_ms)
                version = count_up(connection)
                for record, commitment in changed:
                    log(record, commitment)
                    also(connection, subject.id, record)
            self._current.renew(version, _with(register, subject))
        return [record for record, _ in changed]

    def find(self, number: str) -> Subject:
        """The customer with that number. Raises StoreError for an unknown one."""
        with reading(self._engine) as connection:
            return SubjectStore(connection, self._ring).require(number)

    def allowed(self, need: Need, now_ms: int) -> Allowed:
        """Whose rows may be used for what is needed, and by which records; of several of a customer's the first."""
        with reading(self._engine) as connection:
            register = self._current.read(connection)
            terms = NoticeStore(connection).terms()
        notices = [reference for reference, offered in terms.items() if covers(offered, need)]
        found = register.first_of_each(register.allowed(need.purpose, notices, now_ms))
        return _chosen(register, found, found)

    def known(self) -> Allowed:
        """Every customer on record, for data that are read on another basis than consent; none is relied on."""
        with reading(self._engine) as connection:
            register = self._current.read(connection)
        everybody = register.first_of_each(np.ones(len(register.subject_id), bool))
        return _chosen(register, everybody, np.zeros_like(everybody))

    def _judged(
        self, connection: Connection, rows: Sequence[ConsentRow], findings: Findings
    ) -> tuple[Register, list[Step]]:
        """The rows that come into force, and the register that they were held against."""
        register = self._current.read(connection)
        return register, judged(register, NoticeStore(connection).terms(), rows, findings)


def _chosen(register: Register, found: NDArray[np.bool_], relied_on: NDArray[np.bool_]) -> Allowed:
    numbers = register.number.filter(pa.array(found))
    return Allowed(numbers, pa.array(register.subject_id[found]), register.pair[relied_on])


def _with(register: Register, subject: Subject) -> Register:
    """The register after a change of this customer alone."""
    gone = np.flatnonzero(register.subject_id == subject.id).tolist()
    rows = [row_of(subject.number, subject.id, held) for held in subject.in_force.values()]
    return register.replaced(gone, Register.of(rows))
