"""Signs a log's checkpoint anew again and again, so that a quiet log shows that it is alive.

An hour without a new signature means that the log's process was down or that somebody kept it from publishing; both
are for ``consortia audit gaps`` and for witnesses to ask about.
"""

from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType
from typing import Self

from consortia_common.audit_log import AuditLog
from consortia_crypto.errors import ConsortiaError

SECONDS = 60.0


class Heartbeat:
    """A thread that checkpoints ``log`` at once and then every ``seconds`` until the block ends.

    ``failed`` is told of the error that ended the log; the time in the signatures is that of the log's own clock.
    """

    def __init__(
        self,
        log: AuditLog,
        seconds: float = SECONDS,
        failed: Callable[[ConsortiaError], None] = lambda _: None,
    ) -> None:
        self._log = log
        self._seconds = seconds
        self._failed = failed
        self._stop = Event()
        self._thread = Thread(target=self._run, name="audit-heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        stopped = False
        while not stopped:
            try:
                self._log.checkpoint()
            except ConsortiaError as error:
                self._failed(error)
                return
            stopped = self._stop.wait(self._seconds)
