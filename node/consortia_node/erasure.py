"""Erasing customers: key, consents, payloads and the link to the customer number; earlier proofs still hold.

Order, never bent: write down that it is begun, so that no row is used any more; log it, with what it reaches; have
a new key-encryption key; remove the rows; bring every other customer's key under the new one; destroy the old one.
From then on an earlier backup of the database says nothing of the erased customer, and nothing of anybody else. A
crash anywhere in between is made good at the next start, without a second entry in the log.

What it can't reach: the institution's own tables, and a model that was trained. See docs/erasure.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, select
from sqlalchemy.dialects.sqlite import insert

from consortia_common.audit_log import AuditLog
from consortia_common.database import reading
from consortia_crypto import canonical
from consortia_crypto.audit.entry import Entry
from consortia_node import results
from consortia_node.consent import PERMITTING
from consortia_node.errors import StoreError
from consortia_node.keyring import Keyring
from consortia_node.store.cohorts import CohortStore
from consortia_node.store.current_register import count_up
from consortia_node.store.jobs import JobStore
from consortia_node.store.models import ModelStore
from consortia_node.store.subjects import Subject, SubjectStore, count, count_dead
from consortia_node.store.tables import erasures, subjects
from consortia_node.tools import Tools

ERASED = "erasure.done"


@dataclass(frozen=True)
class Reach:
    """What is known of a customer's traces: jobs and models, and of the jobs those that are under way."""

    subject: Subject = field(repr=False)
    jobs: Sequence[str]
    running: Sequence[str]
    models: Sequence[str]

    @property
    def purposes(self) -> list[str]:
        """The purposes for which consent stood until now."""
        return [record.purpose for record in self.subject.records if record.state in PERMITTING]


@dataclass(frozen=True)
class Erased:
    """A customer who was erased, and the log's entry that says so."""

    entry: int
    reach: Reach


def open_ring(path: Path, engine: Engine, log: AuditLog) -> Keyring:
    """The node's keys of customers' keys. Raises StoreError if they are missing, or not those of the database.

    An empty file in their place tells that they are lost for good: customers who can't be told apart any more are
    removed, which is logged before.
    """
    with engine.begin() as connection:
        on_record = count(connection)
        if on_record and path.exists() and not path.stat().st_size:
            log.append("subjects.lost", count=on_record)
            connection.execute(delete(subjects))
            CohortStore(connection).forget_all()
            count_up(connection)
            on_record = 0
    ring = Keyring.open(path, lambda: bool(on_record))
    with reading(engine) as connection:
        if dead := count_dead(connection, ring):
            raise StoreError(
                f"{dead} customers in the database are under keys that {path} does not have",
                blame="whoever put back an older copy of the database or of the keys",
                remedy="put back the newest copy of both. If that is lost, empty the file of keys: the customers "
                "are then removed, and their consents must be imported again",
            )
    return ring


def reach_of(connection: Connection, subject: Subject) -> Reach:
    """Where the customer's rows went."""
    reached = CohortStore(connection).reached_by(subject.id)
    running = [job.job_id for job in JobStore(connection).under_way() if job.job_id in reached]
    return Reach(subject, reached, running, ModelStore(connection).made_by(reached))


class Erasures:
    """Erases, and at start finishes what a crash interrupted."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def erase(self, numbers: Sequence[str]) -> list[Erased]:
        """Erase the customers with these numbers, all or none. Raises StoreError for one who is not known."""
        tools = self._tools
        with tools.keys.lock:
            with tools.engine.begin() as connection:
                store = SubjectStore(connection, tools.keys)
                begun = [store.require(number).id for number in dict.fromkeys(numbers)]
                rows = [{"subject_id": subject_id, "log_size": tools.log.size} for subject_id in begun]
                connection.execute(insert(erasures).on_conflict_do_nothing(), rows)
                count_up(connection)
            return self._carry_out()

    def resume(self) -> None:
        """Finish what was begun before the last start."""
        with self._tools.keys.lock:
            if not self._carry_out() and self._tools.keys.is_rolling:
                self._roll()

    def _carry_out(self) -> list[Erased]:
        """Log and do every erasure that is written down."""
        tools = self._tools
        with reading(tools.engine) as connection:
            store = SubjectStore(connection, tools.keys)
            begun = [(store.get(row.subject_id), row.log_size) for row in connection.execute(select(erasures))]
            reaches = [(reach_of(connection, subject), since) for subject, since in begun if subject]
        if not reaches:
            return []
        logged = [self._logged(reach, since) for reach, since in reaches]
        tools.witnessed(logged[-1])
        erased = [Erased(entry.index, reach) for entry, (reach, _) in zip(logged, reaches, strict=True)]
        for reach, _ in reaches:
            results.forget(tools.settings.folder, reach.jobs, reach.subject.number)
        tools.keys.begin_roll()
        with tools.engine.begin() as connection:
            for reach, _ in reaches:
                SubjectStore(connection, tools.keys).remove(reach.subject)
            count_up(connection)
        self._roll()
        return erased

    def _logged(self, reach: Reach, since: int) -> Entry:
        """The entry that records this erasure; written now unless it was, at or after ``since``."""
        log = self._tools.log
        for raw in log.read(since if since <= log.size else 0):  # a new year's log counts from zero
            entry = Entry.parse(raw)
            if entry.type == ERASED and entry.body["subject"] == reach.subject.pseudonym:
                return entry
        document = {"v": 1, "jobs": list(reach.jobs), "models": list(reach.models)}
        return log.append(
            ERASED,
            subject=reach.subject.pseudonym,
            payload_commit=log.attach(canonical.encode(document)),
            purposes=reach.purposes,
            running=reach.running,
            jobs=len(reach.jobs),
            models=len(reach.models),
            payloads=len(reach.subject.payloads),
        )

    def _roll(self) -> None:
        """Bring every key under the newest key-encryption key, in short transactions, then destroy the others."""
        tools, done = self._tools, 0
        while True:
            with tools.engine.begin() as connection:
                more = SubjectStore(connection, tools.keys).rewrap()
            if not more:
                break
            done += more
        tools.log.append("keys.rolled", key=tools.keys.newest.id, subjects=done)
        tools.keys.end_roll()
