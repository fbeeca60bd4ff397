"""Worker processes: one for each job that is computing, alive as long as the job, gone with it or with its parent.

Trusted for: what a worker does to itself (a crash, memory or time without end, a fault that hostile bytes found in
a library) costs at most its job. The parent holds keys, database and connections; a worker gets a request, within
a limit of memory and of time, and gives an answer. A request is a function of its fields, so a worker that died is
replaced and the request done again, once. Not a jail: a worker runs as the same user and may open what that may.

Where asked for, a worker waits while there is no job, with its libraries loaded. It has seen no job before.

Only the parent ends a worker: signals to stop, which a terminal or an init system sends to all processes of a
service, do not reach it, or an orderly stop would fail every job under way.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from consortia_common import logs
from consortia_common.worker import DiedError, Worker
from consortia_crypto.errors import ConsortiaError

ATTEMPTS = 2
"""How often a request is tried whose worker dies."""


class Work(Protocol):
    """What every request says of itself."""

    @property
    def job_id(self) -> str:
        """The job whose worker does it."""

    @property
    def step(self) -> str:
        """What is done, for people."""


class Refusal(ABC):
    """A ConsortiaError in a form that crosses between processes."""

    @abstractmethod
    def error(self) -> ConsortiaError:
        """The error again, on this side."""


_Request = TypeVar("_Request", bound=Work)


class WorkerPool(ABC, Generic[_Request]):
    """Gives each job a process of its own, in which ``do``, a module's function, does what is asked."""

    def __init__(self, memory_mib: int, seconds: float, do: Callable[[_Request], Any]) -> None:
        self._memory_mib = memory_mib
        self._seconds = seconds
        self._do = do
        self._busy: dict[str, Worker] = {}
        self._load: Callable[[], object] | None = None
        self._ready: Worker | None = None
        self._lock = threading.Lock()
        self._closed = False

    @abstractmethod
    def _lost(self, request: _Request, why: str) -> ConsortiaError:
        """The error for a request that no worker could do."""

    @abstractmethod
    def _stopped(self) -> ConsortiaError:
        """The error for a request that was not done before the workers were closed."""

    def keep_one_ready(self, load: Callable[[], object]) -> None:
        """From now on a worker waits while there is no job; in it ``load``, a function of a module, was called."""
        self._load = load
        self._make_ready()

    def _perform(self, request: _Request) -> Any:
        """The worker's answer. Raises what its Refusal stands for, or one of the two errors above."""
        for _ in range(ATTEMPTS):
            worker = self._worker(request.job_id)
            try:
                answer = worker.do(request, self._seconds)
            except TimeoutError as error:
                self.end(request.job_id)
                raise self._lost(request, f"took longer than {self._seconds:.0f} s") from error
            except DiedError:
                self._drop(request.job_id, worker)
                logs.event("worker.died", job_id=request.job_id, step=request.step)
                continue
            if isinstance(answer, Refusal):
                raise answer.error()
            return answer
        raise self._lost(request, "ended unexpectedly, perhaps for lack of memory")

    def end(self, job_id: str) -> None:
        """End the job's worker, if it has one, at once."""
        self._drop(job_id)
        self._make_ready()

    def close(self) -> None:
        """End all workers and start no more."""
        with self._lock:
            self._closed = True
            job_ids = list(self._busy)
            ready, self._ready = self._ready, None
        for job_id in job_ids:
            self.end(job_id)
        if ready is not None:
            ready.end()

    def _drop(self, job_id: str, worker: Worker | None = None) -> None:
        """End the job's worker, or only this one, without another one that waits: whoever does the request again
        starts its own.
        """  # fmt: skip
        with self._lock:
            if worker is None or self._busy.get(job_id) is worker:
                worker = self._busy.pop(job_id, None)
        if worker is not None:
            worker.end()

    def _worker(self, job_id: str) -> Worker:
        """The job's."""
        with self._lock:
            if self._closed:
                raise self._stopped()
            if job_id not in self._busy:
                self._busy[job_id] = self._taken()
            return self._busy[job_id]

    def _make_ready(self) -> None:
        """Start the worker that waits, if there is to be one and is none, and no job has a worker."""
        with self._lock:
            if self._load is not None and self._ready is None and not self._busy and not self._closed:
                self._ready = Worker(self._memory_mib, self._do, self._load)

    def _taken(self) -> Worker:
        """The worker that waited, if it lives; else a new one."""
        ready, self._ready = self._ready, None
        if ready is not None and ready.lives():
            return ready
        if ready is not None:
            ready.end()
        return Worker(self._memory_mib, self._do)
