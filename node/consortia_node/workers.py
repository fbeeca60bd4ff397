"""Worker processes: one for each job that is computing, alive as long as the job, gone with it or with the node.

The agent, which holds the institution's keys, its database and its connection, never runs a job's arithmetic or
hands a peer's ciphertext to a library: a worker does, and a worker that dies takes at most its job with it. A step
is a function of its request, so a worker that died is replaced and the step taken again, once.

Only the agent ends a worker: signals to stop, which a terminal or an init system sends to all processes of a node,
do not reach it, or an orderly stop would fail every job under way.
"""

import importlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as StepTimeoutError
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any, overload

from consortia_common import logs
from consortia_common.errors import place
from consortia_crypto.errors import CiphertextError, ConsortiaError
from consortia_node.errors import BadCiphertextError, StepError, StoppingError, TotalRefusedError
from consortia_node.step import KeyRequest, Masked, MaskRequest, OpenRequest, Request, StepRequest, StepResult

ATTEMPTS = 2
"""How often a step is taken whose worker dies."""
START = "spawn"
"""How a worker is started: afresh, so that none has its memory laid out as another, and what breaks one tells
nothing of the next."""
_STOP_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM})
_DOERS: Mapping[type, tuple[str, str]] = {
    StepRequest: ("work", "run"),
    KeyRequest: ("sumwork", "new_key"),
    MaskRequest: ("sumwork", "mask"),
    OpenRequest: ("sumwork", "open_total"),
}
"""Module and function that do a request; named, because they import Flower and SEAL, which the agent does not."""


class Workers:
    """Gives each job a process of its own."""

    def __init__(self, memory_mib: int, seconds: float) -> None:
        self._memory_mib = memory_mib
        self._seconds = seconds
        self._pools: dict[str, ProcessPoolExecutor] = {}
        self._lock = threading.Lock()
        self._closed = False

    @overload
    def run(self, request: StepRequest) -> StepResult: ...
    @overload
    def run(self, request: KeyRequest) -> tuple[bytes, bytes]: ...
    @overload
    def run(self, request: MaskRequest) -> Masked: ...
    @overload
    def run(self, request: OpenRequest) -> None: ...

    def run(self, request: Request) -> Any:
        """Do what the request asks in the job's worker.

        Raises what the step raised, StepError if it took too long or its worker died at each attempt, and
        StoppingError when the workers are closed before it is done.
        """
        for _ in range(ATTEMPTS):
            try:
                answer = self._submit(request).result(self._seconds)
            except StepTimeoutError as error:
                self.end(request.job_id)
                raise _died(request, f"took longer than {self._seconds:.0f} s") from error
            except (BrokenProcessPool, CancelledError):
                self.end(request.job_id)
                logs.event("worker.died", job_id=request.job_id, step=request.step)
                continue
            if isinstance(answer, _Refusal):
                raise answer.error()
            return answer
        raise _died(request, "ended unexpectedly, perhaps for lack of memory")

    def end(self, job_id: str) -> None:
        """End the job's worker, if it has one, at once."""
        with self._lock:
            pool = self._pools.pop(job_id, None)
        if pool is not None:
            for process in list((pool._processes or {}).values()):  # no public way to stop one
                process.kill()
            pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """End all workers and start no more."""
        with self._lock:
            self._closed = True
            job_ids = list(self._pools)
        for job_id in job_ids:
            self.end(job_id)

    def _submit(self, request: Request) -> "Future[Any]":
        with self._lock, _out_of_reach_of_signals():
            if self._closed:
                raise StoppingError
            if request.job_id not in self._pools:
                self._pools[request.job_id] = ProcessPoolExecutor(
                    1,
                    mp_context=multiprocessing.get_context(START),
                    initializer=_start,
                    initargs=(self._memory_mib,),
                )
            return self._pools[request.job_id].submit(_run, request)


@contextmanager
def _out_of_reach_of_signals() -> Iterator[None]:
    """A process that is started in here inherits the mask, and keeps it."""
    resource_tracker.ensure_running()  # else it is started with the first process, and lifts the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Refusal:
    """A ConsortiaError in a form that crosses between processes."""

    def __init__(self, error: ConsortiaError) -> None:
        self._what, self._blame, self._remedy = error.what, error.blame, error.remedy
        self._family = BadCiphertextError if isinstance(error, CiphertextError) else StepError
        self._detail = error.detail if isinstance(error, TotalRefusedError) else ""

    def error(self) -> StepError:
        """The error again, on this side."""
        if self._detail:
            return TotalRefusedError(self._detail)
        return self._family(self._what, blame=self._blame, remedy=self._remedy)


def _run(request: Request) -> Any:
    module, function = _DOERS[type(request)]
    try:
        return getattr(importlib.import_module(f"consortia_node.{module}"), function)(request)
    except ConsortiaError as error:
        return _Refusal(error)
    except Exception as error:  # its text may quote a row, so only its type and place go on
        return _Refusal(
            StepError(
                f"the step met an error that it did not expect: {type(error).__name__} in {place(error)}",
                blame="this version of Consortia, most likely",
                remedy="report it; submitting the job again will not help",
            )
        )


def _start(memory_mib: int) -> None:
    import resource  # noqa: PLC0415  # POSIX only; the agent itself does not need it

    resource.setrlimit(resource.RLIMIT_AS, (memory_mib << 20, memory_mib << 20))
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """A node that is killed must not leave workers behind with rows in their memory."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _died(request: Request, why: str) -> StepError:
    return StepError(
        f"the worker for step {request.step!r} {why}",
        blame=f"the node of {request.institution}",
        remedy="its operator may raise worker_memory_mib or worker_seconds in node.toml; then submit the job again",
    )
