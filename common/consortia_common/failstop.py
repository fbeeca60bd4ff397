"""When a process ends: when told to, or when it can't keep its promises any more and must be started anew.

A log that failed to write is closed for good, because nobody can know what is on disk; a job whose end could not be
stored stands still. Only a start reads the disk again and knows. Until then everything would be refused, by a
process that looks alive. Trusted for: the first failure ends the process in order, and is what it says last.
"""

import asyncio
import signal

from consortia_crypto.errors import ConsortiaError


class FailStop:
    """Call it with a failure, from any thread. Make it in the event loop that waits for ``failed``."""

    def __init__(self) -> None:
        self.failed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._failure: ConsortiaError | None = None

    def __call__(self, failure: ConsortiaError) -> None:
        """Remember why, and have the process end. A second failure changes nothing."""
        if self._failure is None:
            self._failure = failure
            self._loop.call_soon_threadsafe(self.failed.set)

    def check(self) -> None:
        """Raise the failure, if there was one."""
        if self._failure is not None:
            raise self._failure


def told_to_stop() -> asyncio.Event:
    """Set once SIGTERM or SIGINT asks this process to end. Call it in the main thread's event loop."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)
    return stopping


async def first(*events: asyncio.Event) -> None:
    """Wait until one of them is set."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
