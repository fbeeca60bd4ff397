"""A coordinator without a network: its database, mailbox, log and jobs, and parties that answer at once.

A party answers in the thread that asks it. It can be told to keep silent, to fail or to say something else, and the
coordinator can be stopped and started again over the same database, as after a crash.
"""

import atexit
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from sqlalchemy import Engine, event, select

from consortia_common import sealed
from consortia_common.audit_log import AuditLog
from consortia_common.content import Content
from consortia_common.documents.jobspec import JobSpec, Submission
from consortia_coordinator.conductor import Conductor
from consortia_coordinator.jobrun import JobRun, Tools
from consortia_coordinator.mailbox import Mailbox
from consortia_coordinator.store.database import open_database
from consortia_coordinator.store.jobs import JobStore
from consortia_coordinator.store.tables import metadata, tasks
from consortia_crypto.audit.entry import Entry
from consortia_crypto.keys import PrivateIdentity
from consortia_crypto.sum.institution import LatticeInstitution, new_secret, public_part
from consortia_proto.v1 import exchange_pb2 as pb

ANALYST = PrivateIdentity.generate("lab", "bank-a", "analyst", "ana")
COORDINATOR = PrivateIdentity.generate("lab", "coordinator", "coordinator", "coordinator")
NOW_MS = 1_750_000_000_000
Said = Content | pb.Failure | None
"""None: keeps silent."""


def submission(spec: JobSpec, nonce: int = 0) -> Submission:
    return Submission(
        network="lab", spec=spec, nonce=f"{nonce:032x}", submitted_ms=NOW_MS, analyst=ANALYST.public.fingerprint
    )


@dataclass
class Lab:
    """One coordinator over one database."""

    engine: Engine
    log: AuditLog
    says: dict[str, Callable[[pb.Task, str], Said]] = field(default_factory=dict)
    """By step: what parties say other than the usual."""
    asked: list[str] = field(default_factory=list)
    """The ids of the tasks that parties were asked, in order."""
    witnessed: Callable[[Entry], None] = lambda _: None
    offer_timeout: float = 5
    step_timeout: float = 5

    @property
    def secret(self) -> bytes:
        """What opens the sealed sums."""
        return _secret()

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """A mailbox and a conductor as after a start; what is in the database is all they know."""
        self.mailbox = Mailbox(self.engine)
        self.store = JobStore(self.engine)
        self.tools = Tools(
            self.mailbox, self.store, self.log, self.offer_timeout, self.step_timeout, self.witnessed
        )
        self.conductor = Conductor(self.tools, lambda: [ANALYST.public], lambda: NOW_MS)

    def restart(self) -> None:
        """Stop as a process stops, start again, and have the parties answer what they were asked."""
        self.mailbox.close()
        self.conductor.stop(10)
        self.start()
        self.conductor.resume()

    def connect(self, parties: Sequence[str]) -> None:
        """Have these parties' nodes connected."""
        for party in parties:
            answer = partial(self._answer, party)
            self.mailbox.listen(party, answer)
            answer()

    def submit(self, spec: JobSpec, nonce: int = 0) -> str:
        """Store a job; it is not started."""
        asked = submission(spec, nonce)
        self.store.add(
            job_id=asked.job_id,
            submission=asked.canonical(),
            signature=b"signature",
            analyst=asked.analyst,
            kind=spec.kind,
            name=spec.name,
            submitted_ms=NOW_MS,
        )
        return asked.job_id

    def conduct(self, job_id: str) -> None:
        """Run a job until its thread ends."""
        self.conductor.start(job_id)
        self.conductor.stop(10)

    def run(self, job_id: str, spec: JobSpec) -> JobRun:
        """The job as its kind sees it."""
        return JobRun(job_id, spec, self.tools)

    def events(self, name: str = "") -> list[dict[str, object]]:
        """The bodies of the log's entries, or of those of that type."""
        bodies = [dict(Entry.parse(raw).body) for raw in self.log.read()]
        return [body for body in bodies if name in ("", body["type"])]

    def journalled(self) -> list[str]:
        """The ids of all tasks there are, in the order in which they were posted."""
        with self.engine.connect() as connection:
            return list(connection.scalars(select(tasks.c.task_id).order_by(tasks.c.sequence)))

    def _answer(self, party: str) -> None:
        while waiting := self.mailbox.outgoing(party):
            task = pb.Task.FromString(waiting[1])
            self.mailbox.delivered(party, task.task_id, len(waiting[1]))
            self.asked.append(task.task_id)
            said = self.says.get(task.step, self._usual)(task, party)
            reply = pb.Reply(task_id=task.task_id, job_id=task.job_id)
            if isinstance(said, Content):
                reply.content.CopyFrom(said.to_proto())
            elif said is not None:
                reply.failure.CopyFrom(said)
            if said is not None:
                self.mailbox.receive(party, task.task_id, reply.SerializeToString())

    def _usual(self, task: pb.Task, party: str) -> Content:
        spec = self._spec(task.job_id)
        others = spec.parties[1:]
        match task.step:
            case "epoch.make":
                envelopes = {f"envelope.{other}": b"sealed key" for other in others}
                return Content(config={"public": _public(), **envelopes})
            case "query.tabulate":
                policy = sealed.policy_of(task.job_id, spec, "table", 0)
                values = np.full(policy.length, 1 + spec.parties.index(party), np.int64)
                institution = LatticeInstitution(policy, self.secret)
                return sealed.to_content(institution.seal(values, spec.parties.index(party)))
            case "query.conclude":
                return Content(config={"envelope.analyst": f"sealed by {party}".encode()})
            case "close":
                return Content(config={"receipt": f"receipt of {party}".encode(), "signature": b"signature"})
        return Content()

    def _spec(self, job_id: str) -> JobSpec:
        return Submission.from_canonical(self.store.get(job_id).submission, "the test's").spec


@cache
def _secret() -> bytes:
    return new_secret()


@cache
def _public() -> bytes:
    return public_part(_secret())


@cache
def _database() -> Engine:
    """One database for all tests, made once, because that takes longer than most tests."""
    folder = mkdtemp()
    atexit.register(shutil.rmtree, folder)
    engine = open_database(Path(folder) / "coordinator.db")
    event.listen(engine, "connect", lambda made, _: made.execute("PRAGMA synchronous=OFF"))
    engine.dispose()
    return engine


def _empty_database() -> Engine:
    with _database().begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    return _database()


@contextmanager
def lab(folder: Path, offer_timeout: float = 5, step_timeout: float = 5) -> Iterator[Lab]:
    """A coordinator in ``folder``."""
    engine = _empty_database()
    log = AuditLog.open(folder / "log", COORDINATOR, "coordinator", lambda: datetime.now(UTC))
    made = Lab(engine, log, offer_timeout=offer_timeout, step_timeout=step_timeout)
    try:
        yield made
    finally:
        made.mailbox.close()
        made.conductor.stop(10)
        log.close()
        engine.dispose()


LOGGED = [
    *["job.decided"] * 3,
    *["envelope.relayed"] * 2,
    "sum.added",
    *["envelope.relayed"] * 3,
    *["job.receipt"] * 3,
    "job.finished",
]
"""What the coordinator logs of a statistics job of three banks, each exactly once."""
