"""The journal of tasks: what the coordinator asked, what this node answered, and whether the answer has arrived.

Trusted for: a task is committed before it is acknowledged, an answer before it is sent; a task that comes twice is
one task, and its first answer stands. States: received → answered → delivered. ``answer`` can be part of a
transaction of the handler's own, so that what a step changes and what it says are stored together or not at all.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from consortia_common.database import reading, recoverable
from consortia_common.stream import MESSAGE_LIMIT, Message, check_size
from consortia_node.errors import StoreError
from consortia_node.store.tables import tasks
from consortia_proto.v1 import exchange_pb2 as pb

RECEIVED = "received"
ANSWERED = "answered"
DELIVERED = "delivered"


@dataclass(frozen=True)
class Pending:
    """A task that has no answer yet, without its content."""

    task_id: str
    job_id: str


class TaskStore:
    """All tasks of this node. Safe in several threads."""

    def __init__(self, engine: Engine, clock: Callable[[], datetime], limit: int = MESSAGE_LIMIT) -> None:
        self._engine = engine
        self._clock = clock
        self._limit = limit

    def receive(self, task: pb.Task) -> bool:
        """Store a task; True if it is new. One that was answered before will have its answer sent again."""
        with self._engine.begin() as connection:
            if self._state(connection, task.task_id) is None:
                connection.execute(insert(tasks).values(self._row(connection, task)))
                return True
            again = tasks.c.task_id == task.task_id, tasks.c.state == DELIVERED
            connection.execute(update(tasks).where(*again).values(state=ANSWERED))
            return False

    def pending(self) -> list[Pending]:
        """Tasks without an answer, in the order in which they came."""
        waiting = (
            select(tasks.c.task_id, tasks.c.job_id).where(tasks.c.state == RECEIVED).order_by(tasks.c.received_ms)
        )
        with reading(self._engine) as connection:
            return [Pending(*row) for row in connection.execute(waiting)]

    def task(self, task_id: str) -> pb.Task:
        """A stored task. Raises StoreError if there is none."""
        with reading(self._engine) as connection:
            request = connection.scalar(select(tasks.c.request).where(tasks.c.task_id == task_id))
        if request is None:
            raise _unknown()
        return pb.Task.FromString(request)

    def answer(self, connection: Connection | None, task_id: str, reply: bytes) -> None:
        """Store the answer (a serialised Reply), in the caller's transaction if there is one; the first stands.

        Raises ExchangeError for one that is too large to travel, StoreError for an unknown task.
        """
        check_size(reply, self._limit, "this node's job handler")
        first = tasks.c.task_id == task_id, tasks.c.state == RECEIVED
        with nullcontext(connection) if connection else self._engine.begin() as transaction:
            change = update(tasks).where(*first).values(state=ANSWERED, reply=reply)
            if transaction.execute(change).rowcount == 0 and self._state(transaction, task_id) is None:
                raise _unknown()

    def unsent(self) -> Message | None:
        """The oldest answer that the coordinator has not acknowledged."""
        waiting = (
            select(tasks.c.task_id, tasks.c.reply)
            .where(tasks.c.state == ANSWERED)
            .order_by(tasks.c.received_ms)
            .limit(1)
        )
        with reading(self._engine) as connection:
            row = connection.execute(waiting).one_or_none()
        return Message(row.task_id, row.reply) if row else None

    def delivered(self, task_id: str) -> None:
        """The coordinator has stored the answer."""
        sent = tasks.c.task_id == task_id, tasks.c.state == ANSWERED
        with recoverable(self._engine) as connection:  # else the answer is sent again, which does no harm
            connection.execute(update(tasks).where(*sent).values(state=DELIVERED))

    def forget(self, job_id: str) -> None:
        """Erase the job's tasks, except those whose answers are still owed."""
        done = tasks.c.job_id == job_id, tasks.c.state == DELIVERED
        with self._engine.begin() as connection:
            connection.execute(delete(tasks).where(*done))

    def _row(self, connection: Connection, task: pb.Task) -> dict[str, object]:
        """``received_ms`` is the time, and also the order: no two tasks have the same."""
        last = connection.scalar(select(func.max(tasks.c.received_ms))) or 0
        return {
            "task_id": task.task_id,
            "job_id": task.job_id,
            "step": task.step,
            "round": task.round,
            "state": RECEIVED,
            "request": task.SerializeToString(deterministic=True),
            "received_ms": max(int(self._clock().timestamp() * 1000), last + 1),
        }

    @staticmethod
    def _state(connection: Connection, task_id: str) -> str | None:
        return connection.scalar(select(tasks.c.state).where(tasks.c.task_id == task_id))


def _unknown() -> StoreError:
    return StoreError(
        "this node's journal has no such task",
        blame="this node",
        remedy="report it; the job can't go on here",
    )
