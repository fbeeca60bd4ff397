"""Worker processes: one for each job that is computing, alive as long as the job, gone with it or with its parent.

Trusted for: what a worker does to itself (a crash, memory or time without end, a fault that hostile bytes found in
a library) costs at most its job. The parent holds keys, database and connections; a worker gets a request, within
a limit of memory and of time, and gives an answer. A request is a function of its fields, so a worker that died is
replaced and the request done again, once. Not a jail: a worker runs as the same user and may open what that may.

Where asked for, a worker waits while there is no job, with its libraries loaded. It has seen no job before.

Only the parent ends a worker: signals to stop, which a terminal or an init system sends to all processes of a
service, do not reach it, or an orderly stop would fail every job under way.
"""

import multiprocessing
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as LateError
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any, Generic, Protocol, TypeVar

from consortia_common import logs
from consortia_crypto.errors import ConsortiaError

START = "spawn"
"""How a worker is started: afresh, so that none has its memory laid out as another, and what breaks one tells
nothing of the next."""
ATTEMPTS = 2
"""How often a request is tried whose worker dies."""
_STOP_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM})


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
        self._pools: dict[str, ProcessPoolExecutor] = {}
        self._load: Callable[[], object] | None = None
        self._ready: ProcessPoolExecutor | None = None
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
            try:
                answer = self._submit(request).result(self._seconds)
            except LateError as error:
                self.end(request.job_id)
                raise self._lost(request, f"took longer than {self._seconds:.0f} s") from error
            except (BrokenProcessPool, CancelledError):
                self._drop(request.job_id)
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
            job_ids = list(self._pools)
            ready, self._ready = self._ready, None
        for job_id in job_ids:
            self.end(job_id)
        if ready is not None:
            _kill(ready)

    def _drop(self, job_id: str) -> None:
        """End the job's worker without another one that waits: whoever does the request again starts its own."""
        with self._lock:
            pool = self._pools.pop(job_id, None)
        if pool is not None:
            _kill(pool)

    def _submit(self, request: _Request) -> "Future[Any]":
        with self._lock, _out_of_reach_of_signals():
            if self._closed:
                raise self._stopped()
            if request.job_id not in self._pools:
                self._pools[request.job_id] = self._taken()
            return self._pools[request.job_id].submit(self._do, request)

    def _make_ready(self) -> None:
        """Start the worker that waits, if there is to be one and is none, and no job has a worker."""
        with self._lock, _out_of_reach_of_signals():
            if self._load is not None and self._ready is None and not self._pools and not self._closed:
                self._ready = self._new()
                self._ready.submit(self._load)

    def _taken(self) -> ProcessPoolExecutor:
        """The worker that waited, if it lives; else a new one."""
        ready, self._ready = self._ready, None
        return ready if ready is not None and _lives(ready) else self._new()

    def _new(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context(START)
        return ProcessPoolExecutor(1, mp_context=context, initializer=_start, initargs=(self._memory_mib,))


def _processes(pool: ProcessPoolExecutor) -> list[multiprocessing.process.BaseProcess]:
    return list((pool._processes or {}).values())  # there is no public way to them


def _lives(pool: ProcessPoolExecutor) -> bool:
    return all(process.is_alive() for process in _processes(pool))


def _kill(pool: ProcessPoolExecutor) -> None:
    for process in _processes(pool):
        process.kill()
    pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _out_of_reach_of_signals() -> Iterator[None]:
    """A process that is started in here inherits the mask, and keeps it."""
    resource_tracker.ensure_running()  # else it is started with the first process, and lifts the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(memory_mib: int) -> None:
    import resource  # noqa: PLC0415  # POSIX only; the parent itself does not need it

    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy comes later; jobs share the machine, a worker each
    resource.setrlimit(resource.RLIMIT_AS, (memory_mib << 20, memory_mib << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # rows and keys must not lie in a core file
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """A parent that is killed must not leave workers behind with rows in their memory."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
