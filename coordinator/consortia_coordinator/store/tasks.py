"""The journal of tasks: what was asked of which institution, whether its node has it, and what it answered.

Trusted for: every change is committed before a method returns, and survives a power cut where nodes could not say
the same again; a task's first request and first reply stand, whatever comes later. States: queued → delivered →
answered | failed (a reply may overtake the acknowledgement).
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, case, exists, func, insert, literal, select, update

from consortia_common.database import reading, recoverable, scrub
from consortia_coordinator.store.tables import tasks

QUEUED = "queued"
DELIVERED = "delivered"
ANSWERED = "answered"
FAILED = "failed"
"""Answered, by a refusal or an error."""
OVER = ANSWERED, FAILED
_OF_SUM = "/sum."
"""In the id of every task of the sealed-sum protocol."""
_EMPTIED = b"-"
"""The request of a task that is over and not needed any more, in a job that goes on."""
_OTHERS = tasks.alias()
_IS_ERASED = exists().where(_OTHERS.c.job_id == tasks.c.job_id, _OTHERS.c.request == b"")
"""Whether the job of a task was erased: no request is empty before."""


NOTICE = "notice/"
"""How the ids of tasks begin that pass on a statement."""


@dataclass(frozen=True)
class Entry:
    """One task, without its contents."""

    task_id: str
    job_id: str
    institution: str
    state: str


class TaskJournal:
    """All tasks of all jobs. Safe in several threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, task_id: str, job_id: str, institution: str, request: bytes) -> bool:
        """Queue a task behind all others; False if there is one with this id, which then stands."""
        with self._transaction(task_id) as connection:
            if connection.scalar(select(tasks.c.task_id).where(tasks.c.task_id == task_id)) is not None:
                return False
            last = connection.scalar(select(func.max(tasks.c.sequence))) or 0
            connection.execute(
                insert(tasks).values(
                    task_id=task_id,
                    job_id=job_id,
                    institution=institution,
                    state=QUEUED,
                    sequence=last + 1,
                    request=request,
                )
            )
        return True

    def find(self, task_id: str) -> Entry | None:
        """The task with this id."""
        columns = tasks.c.task_id, tasks.c.job_id, tasks.c.institution, tasks.c.state
        with reading(self._engine) as connection:
            row = connection.execute(select(*columns).where(tasks.c.task_id == task_id)).one_or_none()
        return Entry(*row) if row else None

    def first_queued(self, institution: str) -> tuple[str, bytes] | None:
        """Id and request of the oldest task that ``institution`` has not acknowledged."""
        waiting = (
            select(tasks.c.task_id, tasks.c.request)
            .where(tasks.c.institution == institution, tasks.c.state == QUEUED)
            .order_by(tasks.c.sequence)
            .limit(1)
        )
        with reading(self._engine) as connection:
            row = connection.execute(waiting).one_or_none()
        return (row.task_id, row.request) if row else None

    def deliver(self, task_id: str, institution: str, size: int) -> None:
        """``institution`` has acknowledged the task, for which ``size`` bytes were sent."""
        change = {
            "state": case((tasks.c.state == QUEUED, DELIVERED), else_=tasks.c.state),
            "bytes_down": tasks.c.bytes_down + size,
        }
        with recoverable(self._engine) as connection:
            connection.execute(
                update(tasks).where(tasks.c.task_id == task_id, tasks.c.institution == institution).values(change)
            )

    def answer(self, task_id: str, reply: bytes, size: int, state: str) -> bool:
        """Store the reply, which took ``size`` bytes and is ANSWERED or FAILED; False if there was one already.

        Of one that comes after its job was erased, only that it came is kept.
        """
        count = update(tasks).values(bytes_up=tasks.c.bytes_up + size).where(tasks.c.task_id == task_id)
        kept = {
            "reply": case((_IS_ERASED, b""), else_=literal(reply)),
            "request": case((_IS_ERASED, b""), else_=tasks.c.request),
        }
        store = count.values(state=state, **kept).where(tasks.c.state.not_in(OVER))
        with self._transaction(task_id) as connection:
            stored = connection.execute(store).rowcount == 1
            if not stored:
                connection.execute(count)
        return stored

    def requeue(self) -> None:
        """Have everything sent again that has no answer."""
        with self._engine.begin() as connection:
            connection.execute(update(tasks).where(tasks.c.state == DELIVERED).values(state=QUEUED))

    def _transaction(self, task_id: str) -> AbstractContextManager[Connection]:
        """Of a sum's many messages the latest may go in a power cut: asked again, nodes answer the same again."""
        return recoverable(self._engine) if _OF_SUM in task_id else self._engine.begin()

    def answered(self, task_ids: Sequence[str]) -> dict[str, str]:
        """Those of these tasks that have been answered, with their state: ANSWERED or FAILED."""
        query = select(tasks.c.task_id, tasks.c.state).where(tasks.c.task_id.in_(task_ids), tasks.c.state.in_(OVER))
        with reading(self._engine) as connection:
            return {str(task_id): str(state) for task_id, state in connection.execute(query)}

    def reply(self, task_id: str) -> bytes:
        """The stored reply of a task that was answered; empty if it has been erased since."""
        with reading(self._engine) as connection:
            return connection.scalar(select(tasks.c.reply).where(tasks.c.task_id == task_id)) or b""

    def first_failure(self, job_id: str, institution: str) -> tuple[str, bytes] | None:
        """Id and reply of the job's first task that ``institution`` failed, if what it said is still there."""
        failed = (
            select(tasks.c.task_id, tasks.c.reply)
            .where(tasks.c.job_id == job_id, tasks.c.institution == institution, tasks.c.state == FAILED)
            .order_by(tasks.c.sequence)
            .limit(1)
        )
        with reading(self._engine) as connection:
            row = connection.execute(failed).one_or_none()
        return (row.task_id, row.reply) if row and row.reply else None

    def notices(self, job_id: str) -> int:
        """How many statements about the job have been queued for nodes."""
        of_job = tasks.c.job_id == job_id, tasks.c.task_id.startswith(NOTICE, autoescape=True)
        with reading(self._engine) as connection:
            return int(connection.scalar(select(func.count()).where(*of_job)) or 0)

    def traffic(self, job_id: str) -> tuple[int, int]:
        """Bytes of the job's messages (up, down), each time that one was carried whole."""
        sums = select(
            func.coalesce(func.sum(tasks.c.bytes_up), 0), func.coalesce(func.sum(tasks.c.bytes_down), 0)
        ).where(tasks.c.job_id == job_id)
        with reading(self._engine) as connection:
            up, down = connection.execute(sums).one()
        return int(up), int(down)

    def empty(self, task_ids: Sequence[str]) -> None:
        """Erase what these answered tasks and their replies held; that they were, and their sizes, stays."""
        done = tasks.c.task_id.in_(task_ids), tasks.c.state == ANSWERED
        with self._engine.begin() as connection:
            connection.execute(update(tasks).where(*done).values(request=_EMPTIED, reply=b""))

    def erase(self, job_id: str) -> None:
        """Erase what the job's answered tasks and their replies held; that they were, and their sizes, stays."""
        done = tasks.c.job_id == job_id, tasks.c.state.in_(OVER)
        with self._engine.begin() as connection:
            connection.execute(update(tasks).where(*done).values(request=b"", reply=b""))
        scrub(self._engine)
