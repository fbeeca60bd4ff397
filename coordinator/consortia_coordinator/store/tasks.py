"""The journal of tasks: what was asked of which institution, whether its node has it, and what it answered.

Trusted for: every change is committed before a method returns, and survives a power cut, with a reply's file, where
nodes could not say the same again; a task's first request and first reply stand, whatever comes later. States:
queued → delivered → answered | failed (a reply may overtake the acknowledgement).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import BigInteger, Connection, Engine, String, and_, bindparam, exists, func, insert, select, update

from consortia_common.contents import REPLY, TASK, Contents, Held, Message
from consortia_common.database import reading, recoverable, scrub
from consortia_common.inbox import Inbox
from consortia_coordinator.store.tables import contents, tasks, traffic

QUEUED = "queued"
DELIVERED = "delivered"
ANSWERED = "answered"
FAILED = "failed"
"""Answered, by a refusal or an error."""
OVER = ANSWERED, FAILED
_ASKED_AGAIN = "/sum.", "/train/"
"""In the ids of tasks of rounds: their nodes keep what they answered until the job ends, which is much later."""
_CONTENTS = contents.contents.c
_OTHERS = tasks.alias()
_JOB_IS_ERASED = exists().where(_OTHERS.c.job_id == tasks.c.job_id, _OTHERS.c.erased)

# What is asked at each message is made once: making a statement takes longer than most of them do.
_THIS, _THESE = bindparam("this", type_=String), bindparam("these", type_=String, expanding=True)
_AT = tasks.c.institution == bindparam("at")
_KNOWN = select(tasks.c.task_id).where(tasks.c.task_id.in_(_THESE))
_LAST = select(func.max(tasks.c.sequence))
_ADD = insert(tasks)
_FIND = select(tasks.c.task_id, tasks.c.job_id, tasks.c.institution, tasks.c.state).where(tasks.c.task_id == _THIS)
_FIRST_QUEUED = (
    select(tasks.c.task_id, tasks.c.job_id)
    .where(_AT, tasks.c.state == QUEUED)
    .where(tasks.c.task_id.not_in(bindparam("under_way", expanding=True)))
    .where(tasks.c.job_id.not_in(bindparam("busy", expanding=True)))
    .order_by(tasks.c.sequence)
    .limit(2)
)
_DELIVER = update(tasks).where(tasks.c.task_id == _THIS, _AT, tasks.c.state == QUEUED).values(state=DELIVERED)
_IS_ERASED = select(_JOB_IS_ERASED).where(tasks.c.task_id == _THIS)
_ANSWER = (
    update(tasks)
    .where(tasks.c.task_id == _THIS, tasks.c.state.not_in(OVER))
    .values(state=bindparam("to"), erased=bindparam("is_erased"))
)
_ANSWERED = select(tasks.c.task_id, tasks.c.state).where(tasks.c.task_id.in_(_THESE), tasks.c.state.in_(OVER))
_WHOSE = select(tasks.c.job_id).where(tasks.c.task_id == _THIS, tasks.c.job_id != "").scalar_subquery()
_UP, _DOWN = bindparam("up", type_=BigInteger), bindparam("down", type_=BigInteger)
_COUNT = (
    update(traffic)
    .where(traffic.c.job_id == _WHOSE)
    .values(bytes_up=traffic.c.bytes_up + _UP, bytes_down=traffic.c.bytes_down + _DOWN)
)
_COUNT_FIRST = insert(traffic).from_select(
    ["job_id", "bytes_up", "bytes_down"], select(_WHOSE, _UP, _DOWN).where(_WHOSE.is_not(None))
)


def said_again(task_id: str) -> bool:
    """Whether a node that is asked this again, later in the job, surely says the same again."""
    return any(part in task_id for part in _ASKED_AGAIN)


NOTICE = "notice/"
"""How the ids of tasks begin that pass on a statement."""


@dataclass(frozen=True)
class Entry:
    """One task, without its contents."""

    task_id: str
    job_id: str
    institution: str
    state: str


@dataclass(frozen=True)
class Posted:
    """A task to be queued."""

    task_id: str
    job_id: str
    institution: str
    content: Held = field(repr=False)

    def row(self, sequence: int) -> dict[str, object]:
        """The task as it is stored behind all before ``sequence``."""
        return {
            "task_id": self.task_id,
            "job_id": self.job_id,
            "institution": self.institution,
            "state": QUEUED,
            "sequence": sequence,
        }


class TaskJournal:
    """All tasks of all jobs. Safe in several threads. ``folder`` is where long contents are."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.contents = Contents(contents, folder)

    def add(self, posts: Sequence[Posted]) -> list[Posted]:
        """Queue tasks behind all others, together; those that are new. Of one that is there, the first stands."""
        ids = [post.task_id for post in posts]
        with self._transaction(ids) as connection:
            there = set(connection.scalars(_KNOWN, {"these": ids}))
            added = [post for post in posts if post.task_id not in there]
            if added:
                last = connection.scalar(_LAST) or 0
                rows = [post.row(sequence) for sequence, post in enumerate(added, start=last + 1)]
                connection.execute(_ADD, rows)
                self.contents.keep_all(connection, TASK, {post.task_id: post.content for post in added})
        for post in posts:
            if post.task_id in there:
                self.contents.discard(post.content)
        return added

    def find(self, task_id: str) -> Entry | None:
        """The task with this id."""
        with reading(self.engine) as connection:
            row = connection.execute(_FIND, {"this": task_id}).one_or_none()
        return Entry(*row) if row else None

    def first_queued(self, institution: str, under_way: Collection[str], busy: Collection[str]) -> Message | None:
        """The oldest task that ``institution`` has not acknowledged, but for those ids and for ``busy`` jobs."""
        asked = {"at": institution, "under_way": tuple(under_way), "busy": tuple(busy)}
        with reading(self.engine) as connection:
            found = connection.execute(_FIRST_QUEUED, asked).all()
            row = found[0] if found else None
            request = self.contents.get(connection, row.task_id, TASK) if row else None
        return Message(row.task_id, request, row.job_id, len(found) > 1) if row and request else None

    def waiting(self, institution: str) -> int:
        """How many tasks ``institution`` has not answered."""
        open_ = tasks.c.institution == institution, tasks.c.state.not_in(OVER)
        with reading(self.engine) as connection:
            return int(connection.scalar(select(func.count()).where(*open_)) or 0)

    def deliver(self, institution: str, sizes: Mapping[str, int]) -> None:
        """``institution`` has acknowledged these tasks, for which so many bytes were sent."""
        if sizes:
            with recoverable(self.engine) as connection:
                _deliver(connection, institution, sizes)

    def answer(self, entry: Entry, reply: Held, size: int, state: str, delivered: Mapping[str, int]) -> bool:
        """Store the reply, which took ``size`` bytes and is ANSWERED or FAILED; False if there was one already.
        Its institution has acknowledged the tasks ``delivered``, as in ``deliver``.

        Of one that comes after its job was erased, only that it came is kept.
        """
        files: list[Path] = []
        task_id, others = entry.task_id, dict(delivered)
        down = others.pop(task_id, 0)
        with self._transaction([task_id]) as connection:
            erased = connection.scalar(_IS_ERASED, {"this": task_id})
            change = {"this": task_id, "to": state, "is_erased": erased}
            stored = connection.execute(_ANSWER, change).rowcount == 1
            if stored and not erased:
                self.contents.keep(connection, task_id, REPLY, reply)
            elif stored:
                files = self.contents.drop(connection, _CONTENTS.message_id == task_id)
            _count(connection, task_id, up=size, down=down)
            _deliver(connection, entry.institution, others)
        self.contents.remove(files)
        if erased or not stored:
            self.contents.discard(reply)
        return stored

    def requeue(self, institution: str = "") -> None:
        """Have everything sent again that has no answer, to ``institution`` or to all."""
        whose = [tasks.c.institution == institution] if institution else []
        with recoverable(self.engine) as connection:
            connection.execute(update(tasks).where(tasks.c.state == DELIVERED, *whose).values(state=QUEUED))

    def inbox(self, institution: str) -> Inbox:
        """What comes from ``institution`` on a new stream; see ``mend`` for what need not outlast a power cut."""
        return Inbox(self.engine, self.contents, institution, lasting=lambda task_id: not said_again(task_id))

    def mend(self) -> None:
        """At start: replies that a power cut has damaged are asked for again."""
        answered = _CONTENTS.message_id.in_(select(tasks.c.task_id).where(tasks.c.state.in_(OVER)))
        damaged = [each for each in self.contents.damaged(self.engine, REPLY, answered) if said_again(each)]
        with self.engine.begin() as connection:
            self.contents.drop(connection, and_(_CONTENTS.message_id.in_(damaged), _CONTENTS.side == REPLY))
            connection.execute(update(tasks).where(tasks.c.task_id.in_(damaged)).values(state=QUEUED))

    def sweep(self) -> None:
        """At start: remove what a crash has left of contents."""
        self.contents.sweep(self.engine)

    def _transaction(self, task_ids: Iterable[str]) -> AbstractContextManager[Connection]:
        """Of a round's many messages the latest may go in a power cut: asked again, nodes answer the same again."""
        return recoverable(self.engine) if all(map(said_again, task_ids)) else self.engine.begin()

    def answered(self, task_ids: Sequence[str]) -> dict[str, str]:
        """Those of these tasks that have been answered, with their state: ANSWERED or FAILED."""
        with reading(self.engine) as connection:
            found = connection.execute(_ANSWERED, {"these": task_ids})
            return {str(task_id): str(state) for task_id, state in found}

    def replies(self, task_ids: Collection[str]) -> dict[str, Held]:
        """The stored replies of those tasks that were answered, unless they have been erased since."""
        with reading(self.engine) as connection:
            return self.contents.get_all(connection, task_ids, REPLY)

    def first_failure(self, job_id: str, institution: str) -> Held | None:
        """The reply of the job's first task that ``institution`` failed, if what it said is still there."""
        failed = (
            select(tasks.c.task_id)
            .where(tasks.c.job_id == job_id, tasks.c.institution == institution, tasks.c.state == FAILED)
            .order_by(tasks.c.sequence)
            .limit(1)
        )
        with reading(self.engine) as connection:
            task_id = connection.scalar(failed)
            return self.contents.get(connection, task_id, REPLY) if task_id else None

    def notices(self, job_id: str) -> int:
        """How many statements about the job have been queued for nodes."""
        of_job = tasks.c.job_id == job_id, tasks.c.task_id.startswith(NOTICE, autoescape=True)
        with reading(self.engine) as connection:
            return int(connection.scalar(select(func.count()).where(*of_job)) or 0)

    def empty(self, task_ids: Sequence[str]) -> None:
        """Erase what these answered tasks and their replies held, in a job that goes on; that they were stays."""
        done = tasks.c.task_id.in_(task_ids), tasks.c.state == ANSWERED
        with recoverable(self.engine) as connection:
            whose = _CONTENTS.message_id.in_(select(tasks.c.task_id).where(*done))
            files = self.contents.drop(connection, whose)
        self.contents.remove(files)

    def erase(self, job_id: str) -> None:
        """Erase what the job's answered tasks and their replies held; that they were stays."""
        done = tasks.c.job_id == job_id, tasks.c.state.in_(OVER)
        with self.engine.begin() as connection:
            whose = _CONTENTS.message_id.in_(select(tasks.c.task_id).where(*done))
            files = self.contents.drop(connection, whose)
            connection.execute(update(tasks).where(*done).values(erased=True))
        self.contents.remove(files)
        scrub(self.engine)


def _deliver(connection: Connection, institution: str, sizes: Mapping[str, int]) -> None:
    for task_id, size in sizes.items():
        connection.execute(_DELIVER, {"this": task_id, "at": institution})
        _count(connection, task_id, down=size)


def _count(connection: Connection, task_id: str, up: int = 0, down: int = 0) -> None:
    """Add to what the task's job has sent."""
    sent = {"this": task_id, "up": up, "down": down}
    if not connection.execute(_COUNT, sent).rowcount:
        connection.execute(_COUNT_FIRST, sent)
