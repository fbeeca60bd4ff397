"""Hands journalled tasks to their handler: one job's in the order in which they came, several jobs' side by side.

Trusted for: every task gets an answer that names it, whatever the handler does; an error of ours is passed on with
its explanation, any other only as the fact that there was one. A task whose answer can't be stored stays pending
and is handed over again at the next start; so does one that meets an error while the node stops, which is taken to
be why.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from consortia_common import logs
from consortia_common.contents import Held
from consortia_common.errors import ExchangeError
from consortia_crypto.errors import ConsortiaError
from consortia_node.errors import StoppingError
from consortia_node.store.tasks import Pending, TaskStore
from consortia_proto.v1 import exchange_pb2 as pb

Handler = Callable[[pb.Task], pb.Reply | None]
"""Does a task and says what came of it, or nothing if it has stored that itself. Called in worker threads."""


class Dispatcher:
    """Runs the handler for what it is given. Every method may be called from any thread."""

    def __init__(self, store: TaskStore, handler: Handler, threads: int, answered: Callable[[], None]) -> None:
        self._store = store
        self._handler = handler
        self._answered = answered
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="task")
        self._lock = threading.Condition()
        self._queues: dict[str, deque[str]] = {}
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many tasks wait for their turn."""
        with self._lock:
            return sum(map(len, self._queues.values()))

    def submit(self, task: Pending) -> None:
        """Hand over a task of the journal behind the others of its job."""
        with self._lock:
            if self._closed:
                return
            queue = self._queues.get(task.job_id)
            if queue is not None:
                queue.append(task.task_id)
                return
            self._queues[task.job_id] = deque([task.task_id])
            self._pool.submit(self._work, task.job_id)

    def close(self, seconds: float) -> bool:
        """Begin no other task and wait for those under way; whether all ended in time.

        What was not begun is pending at the next start.
        """
        with self._lock:
            self._closed = True
            ended = self._lock.wait_for(lambda: not self._queues, seconds)
        self._pool.shutdown(wait=ended)
        return ended

    def _work(self, job_id: str) -> None:
        while task_id := self._next(job_id):
            try:
                self._do(self._store.task(task_id))
            except StoppingError:
                logs.event("task.postponed", task_id=task_id, job_id=job_id)
            except Exception as error:  # the journal itself failed: nothing can be answered now
                logs.failure("task.unanswered", error, task_id=task_id, job_id=job_id)

    def _next(self, job_id: str) -> str:
        with self._lock:
            queue = self._queues[job_id]
            if queue and not self._closed:
                return queue.popleft()
            del self._queues[job_id]
            self._lock.notify_all()
            return ""

    def _do(self, task: pb.Task) -> None:
        reply = self._reply(task)
        if reply is not None:
            reply.task_id, reply.job_id = task.task_id, task.job_id
            self._store.answer(None, task.task_id, self._sized(task, reply))
        self._answered()

    def _sized(self, task: pb.Task, reply: pb.Reply) -> Held:
        try:
            return self._store.sized(reply)
        except ExchangeError as error:  # too large: say so instead
            return self._store.sized(_failure(task, error))

    def _reply(self, task: pb.Task) -> pb.Reply | None:
        try:
            return self._handler(task)
        except StoppingError:
            raise
        except Exception as error:  # whatever a handler meets, its task gets an answer
            if self._closed:
                raise StoppingError from error
            logs.failure("task.failed", error, task_id=task.task_id, job_id=task.job_id, step=task.step)
            return _failure(task, error if isinstance(error, ConsortiaError) else _unexpected())


def _failure(task: pb.Task, error: ConsortiaError) -> pb.Reply:
    failure = pb.Failure(code="failed", what=error.what, blame=error.blame, remedy=error.remedy)
    return pb.Reply(task_id=task.task_id, job_id=task.job_id, failure=failure)


def _unexpected() -> ConsortiaError:
    return ConsortiaError(
        "the step stopped on an error that the node did not expect",
        blame="the node",
        remedy="its operator finds the place in the node's process log, as task.failed",
    )
