"""One worker process and the line to it: a request goes in, an answer comes out, one at a time.

Trusted for: an answer is to the request that was sent; a process that has died, or has not answered in time, is
told apart from one that answers. The line is a socket that nobody else has, and no thread is between the two: a
request wakes nobody but the worker. Not defended: what comes out of a line is taken as it is, at both ends.
"""

import multiprocessing
import os
import pickle
import signal
import socket
import struct
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any

START = "spawn"
"""How a worker is started: afresh, so that none has its memory laid out as another, and what breaks one tells
nothing of the next."""
REAP_SECONDS = 1.0
"""How long one that was killed is waited for."""
_STOP_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM})
_LENGTH = struct.Struct("<Q")
_JOINED_BYTES = 64 << 10
"""Up to here a value goes out together with its length."""

Do = Callable[[Any], Any]
"""Does a request; a function of a module, so that the worker finds it too."""


class DiedError(Exception):
    """The worker has ended, whatever it was doing."""


class Worker:
    """A process that does what it is asked; with ``load``, it calls that first. From any thread."""

    def __init__(self, memory_mib: int, do: Do, load: Callable[[], object] | None = None) -> None:
        self._turn = threading.Lock()
        ours, theirs = socket.socketpair()
        self._end, self._line = ours, Line(ours)
        context: Any = multiprocessing.get_context(START)
        self._process = context.Process(target=_work, args=(theirs, memory_mib, do, load))
        with theirs, _out_of_reach_of_signals():
            self._process.start()
        self._kill = weakref.finalize(self, _kill, self._process)  # at exit too, where else it would be waited for

    def do(self, request: Any, seconds: float) -> Any:
        """The answer. Raises DiedError, or TimeoutError if there is none after so many seconds."""
        with self._turn:
            deadline = time.monotonic() + seconds
            try:
                self._line.send(request, deadline)
                return self._line.receive(deadline)
            except BaseException as error:
                self._kill()  # what it said later would be taken for the answer to another request
                if isinstance(error, TimeoutError) or not isinstance(error, EOFError | OSError):
                    raise
                raise DiedError from error

    def lives(self) -> bool:
        """Whether it can be asked."""
        return bool(self._process.is_alive())

    def end(self) -> None:
        """End it at once, whatever it does."""
        self._kill()
        with self._turn:  # whoever waits for an answer sees first that there will be none
            self._end.close()


class Line:
    """Values over a socket, each with its length."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def send(self, value: Any, deadline: float | None = None) -> None:
        """Raises OSError, TimeoutError."""
        data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        self._limit(deadline)
        length = _LENGTH.pack(len(data))
        if len(data) <= _JOINED_BYTES:
            self._end.sendall(length + data)
        else:
            self._end.sendall(length)
            self._end.sendall(data)

    def receive(self, deadline: float | None = None) -> Any:
        """Raises EOFError if the other end is gone, OSError, TimeoutError."""
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size, deadline))
        return pickle.loads(self._read(length, deadline))  # noqa: S301  # see above

    def _read(self, length: int, deadline: float | None) -> bytearray:
        data = bytearray(length)
        rest = memoryview(data)
        while rest:
            self._limit(deadline)
            count = self._end.recv_into(rest)
            if not count:
                raise EOFError
            rest = rest[count:]
        return data

    def _limit(self, deadline: float | None) -> None:
        left = None if deadline is None else max(deadline - time.monotonic(), 0.001)
        self._end.settimeout(left)


def _kill(process: multiprocessing.process.BaseProcess) -> None:
    process.kill()
    process.join(REAP_SECONDS)


@contextmanager
def _out_of_reach_of_signals() -> Iterator[None]:
    """A process that is started in here inherits the mask, and keeps it."""
    resource_tracker.ensure_running()  # else it is started with the first process, and lifts the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(end: socket.socket, memory_mib: int, do: Do, load: Callable[[], object] | None) -> None:
    """What the worker's process does all its life."""
    _start(memory_mib)
    if load is not None:
        with suppress(Exception):  # what can't be loaded is for the step to say that needs it
            load()
    line = Line(end)
    with suppress(EOFError):
        while True:
            line.send(do(line.receive()))


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
