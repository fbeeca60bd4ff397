"""Signs a log's checkpoint anew again and again, so that a quiet log shows that it is alive, and was.

The newest checkpoint shows the newest beat only. So that none of the earlier ones can be missing unnoticed, the log
itself tells of them every ten minutes, and at once when one was late (``log.alive``). These entries lie in the tree
between all others: from the next cosigned checkpoint on nobody can add one, or take one away, without the witnesses
noticing. ``consortia audit gaps`` reads them.
"""

from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType
from typing import Self

from consortia_common.audit_log import AuditLog
from consortia_common.audit_pulse import Pulse
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
        pulse: Pulse | None = None
        stopped = False
        while not stopped:
            try:
                pulse = self._beat(pulse)
            except ConsortiaError as error:
                self._failed(error)
                return
            stopped = self._stop.wait(self._seconds)

    def _beat(self, pulse: Pulse | None) -> Pulse:
        """Sign once; tell of what has been signed if that is due."""
        time = self._log.checkpoint().time or 0
        if pulse is None:
            return Pulse(time, time)
        pulse = pulse.beat(time)
        if not pulse.must_be_told:
            return pulse
        self._log.append("log.alive", beats=pulse.beats, longest=pulse.longest)
        return Pulse(time, time)
