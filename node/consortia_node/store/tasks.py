"""The journal of tasks: what the coordinator asked, what this node answered, and whether the answer has arrived.

Trusted for: a task is committed before it is acknowledged, an answer before it is sent; a task that comes twice is
one task, and its first answer stands. An answer survives a power cut. A task that has none need not: the
coordinator sends it again when this node has been started anew. States: received → answered → delivered. ``answer``
can be part of a transaction of the handler's own, so that what a step changes and what it says are stored together
or not at all.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select, update

from consortia_common.content import Beside, Body
from consortia_common.contents import REPLY, TASK, Contents, Held, Message
from consortia_common.database import reading, recoverable
from consortia_common.inbox import Inbox
from consortia_common.stream import MESSAGE_LIMIT, check_size
from consortia_node.errors import StoreError
from consortia_node.store.tables import contents, tasks
from consortia_proto.v1 import exchange_pb2 as pb

RECEIVED = "received"
ANSWERED = "answered"
DELIVERED = "delivered"
AT_HAND = 8
"""How many of the newest tasks are kept in memory besides."""

# What is asked at each message is made once: making a statement takes longer than most of them do.
_THIS = tasks.c.task_id == bindparam("this")
_STATE = select(tasks.c.state).where(_THIS)
_LAST = select(func.max(tasks.c.received_ms))
_RECEIVE = insert(tasks)
_SEND_AGAIN = update(tasks).where(_THIS, tasks.c.state == DELIVERED).values(state=ANSWERED)
_ANSWER = update(tasks).where(_THIS, tasks.c.state == RECEIVED).values(state=ANSWERED)
_DELIVER = update(tasks).where(_THIS, tasks.c.state == ANSWERED).values(state=DELIVERED)
_UNSENT = (
    select(tasks.c.task_id, tasks.c.job_id)
    .where(tasks.c.state == ANSWERED, tasks.c.task_id.not_in(bindparam("under_way", expanding=True)))
    .where(tasks.c.job_id.not_in(bindparam("busy", expanding=True)))
    .order_by(tasks.c.received_ms)
    .limit(2)
)


@dataclass(frozen=True)
class Pending:
    """A task that has no answer yet, without its content."""

    task_id: str
    job_id: str


class TaskStore:
    """All tasks of this node. Safe in several threads."""

    def __init__(
        self, engine: Engine, folder: Path, clock: Callable[[], datetime], limit: int = MESSAGE_LIMIT
    ) -> None:
        """``folder`` is where long contents are; ``limit`` the longest answer, in bytes."""
        self.engine = engine
        self.contents = Contents(contents, folder)
        self._clock = clock
        self.limit = limit
        self._at_hand: dict[str, Held] = {}
        """The tasks that came last and wait for an answer: they need not be read again at once."""

    def receive(self, task: pb.Task, content: Held, delivered: Sequence[str] = ()) -> bool:
        """Store a task, and as ``delivered`` the answers to those others; True if it is new. One that was answered
        before will have its answer sent again.
        """  # fmt: skip
        with recoverable(self.engine) as connection:
            _deliver(connection, delivered)
            is_new = self._state(connection, task.task_id) is None
            if is_new:
                connection.execute(_RECEIVE, self._row(connection, task))
                self.contents.keep(connection, task.task_id, TASK, content)
            else:
                connection.execute(_SEND_AGAIN, {"this": task.task_id})
        if is_new:
            self._remember(task.task_id, content)
        else:
            self.contents.discard(content)
        return is_new

    def pending(self) -> list[Pending]:
        """Tasks without an answer, in the order in which they came."""
        waiting = (
            select(tasks.c.task_id, tasks.c.job_id).where(tasks.c.state == RECEIVED).order_by(tasks.c.received_ms)
        )
        with reading(self.engine) as connection:
            return [Pending(*row) for row in connection.execute(waiting)]

    def task(self, task_id: str) -> pb.Task:
        """A stored task. Raises StoreError if there is none."""
        return pb.Task.FromString(self._request(task_id).head())

    def body(self, task_id: str) -> Body:
        """What follows a stored task. Raises StoreError if there is none."""
        return self._request(task_id)

    def sized(self, reply: pb.Reply, body: Beside | None = None) -> Held:
        """What ``answer`` takes. Raises ExchangeError for one that is too large to travel."""
        head = reply.SerializeToString()
        check_size(len(head) + (body.size if body else 0), self.limit, "this node's job handler")
        return self.contents.make_all([head], body)[0]

    def answer(self, connection: Connection | None, task_id: str, reply: Held) -> None:
        """Store the answer, in the caller's transaction if there is one; the first stands.

        Raises StoreError for an unknown task.
        """
        self._at_hand.pop(task_id, None)
        with nullcontext(connection) if connection else self.engine.begin() as transaction:
            if transaction.execute(_ANSWER, {"this": task_id}).rowcount:
                self.contents.keep(transaction, task_id, REPLY, reply)
            elif self._state(transaction, task_id) is None:
                raise _unknown()
            else:
                self.contents.discard(reply)

    def unsent(self, under_way: Collection[str] = (), busy: Collection[str] = ()) -> Message | None:
        """The oldest answer that the coordinator has not acknowledged, but for those ids and for ``busy`` jobs."""
        asked = {"under_way": tuple(under_way), "busy": tuple(busy)}
        with reading(self.engine) as connection:
            found = connection.execute(_UNSENT, asked).all()
            row = found[0] if found else None
            reply = self.contents.get(connection, row.task_id, REPLY) if row else None
        return Message(row.task_id, reply, row.job_id, len(found) > 1) if row and reply else None

    def delivered(self, task_ids: Sequence[str]) -> None:
        """The coordinator has stored the answers to these tasks."""
        with recoverable(self.engine) as connection:  # else the answers are sent again, which does no harm
            _deliver(connection, task_ids)

    def traffic(self, job_id: str) -> tuple[int, int]:
        """Bytes of the job's messages from and to this node (up, down), those not counted that were forgotten."""
        held = self.contents.tables.contents
        counted = (
            select(held.c.side, func.sum(held.c.total))
            .join(tasks, tasks.c.task_id == held.c.message_id)
            .where(tasks.c.job_id == job_id)
            .group_by(held.c.side)
        )
        with reading(self.engine) as connection:
            found = {side: int(total) for side, total in connection.execute(counted)}
        return found.get(REPLY, 0), found.get(TASK, 0)

    def forget(self, job_id: str) -> None:
        """Erase the job's tasks, except those whose answers are still owed."""
        done = tasks.c.job_id == job_id, tasks.c.state == DELIVERED
        with self.engine.begin() as connection:
            whose = self.contents.tables.contents.c.message_id.in_(select(tasks.c.task_id).where(*done))
            files = self.contents.drop(connection, whose)
            connection.execute(delete(tasks).where(*done))
        self.contents.remove(files)

    def inbox(self, peer: str) -> Inbox:
        """What comes from ``peer`` on a new stream; it need not outlast a power cut, see ``sweep``."""
        return Inbox(self.engine, self.contents, peer, lasting=lambda _: False)

    def sweep(self) -> None:
        """At start: remove what a crash has left of contents, and tasks that it has damaged: they come again."""
        waiting = self.contents.tables.contents.c.message_id.in_(
            select(tasks.c.task_id).where(tasks.c.state == RECEIVED)
        )
        damaged = self.contents.damaged(self.engine, TASK, waiting)
        with recoverable(self.engine) as connection:
            self.contents.drop(connection, self.contents.tables.contents.c.message_id.in_(damaged))
            connection.execute(delete(tasks).where(tasks.c.task_id.in_(damaged)))
        self.contents.sweep(self.engine)

    def _row(self, connection: Connection, task: pb.Task) -> dict[str, object]:
        """``received_ms`` is the time, and also the order: no two tasks have the same."""
        last = connection.scalar(_LAST) or 0
        return {
            "task_id": task.task_id,
            "job_id": task.job_id,
            "step": task.step,
            "round": task.round,
            "state": RECEIVED,
            "received_ms": max(int(self._clock().timestamp() * 1000), last + 1),
        }

    def _remember(self, task_id: str, content: Held) -> None:
        self._at_hand[task_id] = content
        for oldest in list(self._at_hand)[:-AT_HAND]:
            self._at_hand.pop(oldest, None)

    def _request(self, task_id: str) -> Held:
        request = self._at_hand.get(task_id)
        if request is None:
            with reading(self.engine) as connection:
                request = self.contents.get(connection, task_id, TASK)
        if request is None:
            raise _unknown()
        return request

    @staticmethod
    def _state(connection: Connection, task_id: str) -> str | None:
        return connection.scalar(_STATE, {"this": task_id})


def _deliver(connection: Connection, task_ids: Sequence[str]) -> None:
    for task_id in task_ids:
        connection.execute(_DELIVER, {"this": task_id})


def _unknown() -> StoreError:
    return StoreError(
        "this node's journal has no such task",
        blame="this node",
        remedy="report it; the job can't go on here",
    )
