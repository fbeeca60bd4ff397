"""A coordinator without a network: its database, mailbox, log and jobs, and parties that answer at once.

A party answers in the thread that asks it. It can be told to keep silent, to fail or to say something else, and the
coordinator can be stopped and started again over the same database, as after a crash.
"""

import atexit
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp

from sqlalchemy import Engine, event, select

from consortia_common.audit_log import AuditLog
from consortia_common.content import Content
from consortia_common.contents import TASK, Contents, Held, Message, in_memory
from consortia_common.documents.jobspec import JobSpec, Submission
from consortia_coordinator.adding import Workers
from consortia_coordinator.conductor import Conductor
from consortia_coordinator.jobrun import JobRun
from consortia_coordinator.jobtasks import Tools
from consortia_coordinator.mailbox import Mailbox
from consortia_coordinator.store.database import open_database
from consortia_coordinator.store.jobs import JobStore
from consortia_coordinator.store.tables import contents, metadata, tasks
from consortia_coordinator.store.tasks import DELIVERED
from consortia_crypto.audit.entry import Entry
from consortia_crypto.errors import ConsortiaError
from consortia_crypto.keys import PrivateIdentity
from consortia_proto.v1 import exchange_pb2 as pb
from tests.support.members import Institution

ANALYST = PrivateIdentity.generate("lab", "bank-a", "analyst", "ana")
COORDINATOR = PrivateIdentity.generate("lab", "coordinator", "coordinator", "coordinator")
NOW_MS = 1_750_000_000_000
PATIENCE = 60
"""Seconds; a job takes far less, unless the machine has much else to do."""
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
    folder: Path
    """Of totals in the making."""
    says: dict[str, Callable[[pb.Task, str], Said]] = field(default_factory=dict)
    """By step: what parties say other than the usual."""
    asked: list[str] = field(default_factory=list)
    """The ids of the tasks that parties were asked, in order."""
    witnessed: Callable[[Entry], None] = lambda _: None
    offer_timeout: float = 5
    step_timeout: float = 5
    dropout_timeout: float = 5
    now_ms: int = NOW_MS
    workers: Workers = field(default_factory=lambda: Workers(2048, 60))
    _institutions: dict[tuple[str, str], Institution] = field(default_factory=dict)
    _over: set[tuple[str, str]] = field(default_factory=set)
    _one_at_a_time: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """A mailbox and a conductor as after a start; what is in the database is all they know."""
        self.mailbox = Mailbox(self.engine, self.folder / "exchange")
        self.store = JobStore(self.engine)
        self.tools = Tools(
            self.mailbox,
            self.store,
            self.log,
            self.offer_timeout,
            self.step_timeout,
            self.dropout_timeout,
            self.folder,
            self.workers,
            self.witnessed,
            lambda: self.now_ms,
        )
        self.conductor = Conductor(self.tools, lambda: [ANALYST.public], lambda: self.now_ms)

    def restart(self) -> None:
        """Stop as a process stops, start again, and have the parties answer what they were asked."""
        self.mailbox.close()
        self.wait()
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
        self.wait()

    def wait(self) -> None:
        """Wait until the threads of all jobs have ended."""
        self.conductor.stop(60)

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

    def institution(self, job_id: str, party: str) -> Institution:
        """The party in the job's sums."""
        made = Institution(job_id, self._spec(job_id), party)
        return self._institutions.setdefault((job_id, party), made)

    def usual(self, task: pb.Task, party: str) -> Content:
        """What an honest node answers."""
        said = self.institution(task.job_id, party).answer(task)
        if said is not None:
            return said
        match task.step:
            case "query.conclude":
                own = {"envelope.analyst": f"sealed by {party}".encode()}
            case "close":
                own = {"receipt": f"receipt of {party}".encode(), "signature": b"signature"}
            case _:
                own = {}
        return Content(config={**own, **self.institution(task.job_id, party).ride(task)})

    def answer_late(self) -> None:
        """Have the parties answer honestly what they were asked and have not answered."""
        unanswered = select(tasks.c.institution, tasks.c.task_id).where(tasks.c.state == DELIVERED)
        with self.engine.connect() as connection:
            waiting = connection.execute(unanswered.order_by(tasks.c.sequence)).all()
        kept = Contents(contents, self.folder / "exchange")
        for party, task_id in waiting:
            with self.engine.connect() as connection:
                request = kept.get(connection, task_id, TASK)
            assert request is not None
            self._say(_whole(request), party, self.usual)

    def _answer(self, party: str) -> None:
        while waiting := self._taken(party):
            self._say(waiting, party, self.says.get(waiting.step, self.usual))

    def _taken(self, party: str) -> pb.Task | None:
        with self._one_at_a_time:
            waiting = self.mailbox.outgoing(party)
            if waiting is None:
                return None
            task = _whole(waiting.content)
            self.mailbox.delivered(party, {task.task_id: waiting.content.total})
            self.asked.append(task.task_id)
            return task

    def _say(self, task: pb.Task, party: str, answer: Callable[[pb.Task, str], Said]) -> None:
        with self._one_at_a_time:
            said = self._said(task, party, answer)
        reply = pb.Reply(task_id=task.task_id, job_id=task.job_id)
        if isinstance(said, Content):
            reply.content.CopyFrom(said.to_proto())
        elif said is not None:
            reply.failure.CopyFrom(said)
        if said is not None:
            self.mailbox.receive(party, Message(task.task_id, in_memory(reply.SerializeToString())))

    def _said(self, task: pb.Task, party: str, answer: Callable[[pb.Task, str], Said]) -> Said:
        """As at a node: what it refuses ends the job there, and nothing but the end is listened to afterwards."""
        if (task.job_id, party) in self._over and task.step != "close":
            return pb.Failure(code="failed", what="the job is not under way here", blame="the coordinator")
        try:
            said = answer(task, party)
        except ConsortiaError as error:
            said = pb.Failure(code="failed", what=error.what, blame=error.blame, remedy=error.remedy)
        if isinstance(said, pb.Failure):
            self._over.add((task.job_id, party))
        return said

    def _spec(self, job_id: str) -> JobSpec:
        return Submission.from_canonical(self.store.get(job_id).submission, "the test's").spec


def _whole(request: Held) -> pb.Task:
    """A task with what is in its body put back, so that parties need not know of bodies."""
    task = pb.Task.FromString(request.head())
    content = Content.from_proto(task.content, "the coordinator", request)
    task.content.CopyFrom(content.to_proto())
    return task


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
def lab(
    folder: Path, offer_timeout: float = 5, step_timeout: float = 5, dropout_timeout: float = 5
) -> Iterator[Lab]:
    """A coordinator in ``folder``."""
    engine = _empty_database()
    log = AuditLog.open(folder / "log", COORDINATOR, "coordinator", lambda: datetime.now(UTC))
    made = Lab(
        engine,
        log,
        folder / "sums",
        offer_timeout=offer_timeout,
        step_timeout=step_timeout,
        dropout_timeout=dropout_timeout,
    )
    try:
        yield made
    finally:
        made.mailbox.close()
        made.wait()
        log.close()
        engine.dispose()


LOGGED = [
    *["job.decided"] * 3,
    *["envelope.relayed"] * 6,
    "sum.added",
    *["envelope.relayed"] * 3,
    *["job.receipt"] * 3,
    "job.finished",
]
"""What the coordinator logs of a statistics job of three banks, each exactly once."""
