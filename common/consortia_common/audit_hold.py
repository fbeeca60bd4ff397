"""Whether this process may write to a log: it alone holds the folder, and no write has failed.

After a write that failed nobody can know what is on disk, so the folder is let go for good, and whoever ends the
process is told; a start reads the disk again and knows. Trusted for: at most one process writes to a log, and none
after a failure.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from consortia_common import keyfiles
from consortia_common.audit_segments import LogFolder
from consortia_common.errors import LogStorageError, SettingsError
from consortia_crypto.errors import ConsortiaError

_RELEASED = -1


class Hold:
    """On ``folder``, from when it is made; ``let_go`` closes what else is open there. Raises LogStorageError."""

    def __init__(self, folder: LogFolder, let_go: Callable[[], None]) -> None:
        self._let_go = let_go
        self._listeners: list[Callable[[ConsortiaError], None]] = []
        self._descriptor = _lock(folder)

    def on_failure(self, listener: Callable[[ConsortiaError], None]) -> None:
        """Have ``listener`` called when a write has failed, in the thread that found out."""
        self._listeners.append(listener)

    @property
    def is_held(self) -> bool:
        """Whether entries can be written."""
        return self._descriptor != _RELEASED

    def require(self) -> None:
        """Return if entries can be written. Raises LogStorageError."""
        if not self.is_held:
            refuse("it is closed, or an earlier write failed", "look at the disk, and start this process again")

    @contextmanager
    def ending_if_it_fails(self, why: str) -> Iterator[None]:
        """Fail as ``fail`` does if what is inside fails."""
        try:
            yield
        except BaseException as error:
            self.fail(why, error)

    def fail(self, why: str, error: BaseException) -> NoReturn:
        """Let go for good; tell the listeners, and the caller. One thread at a time."""
        self.release()
        failure = unusable(why, "free the disk, and start this process again")
        for listener in self._listeners:
            listener(failure)
        if isinstance(error, OSError | SettingsError):
            raise failure from error
        raise error

    def release(self) -> None:
        """Let go. Does no harm when called twice."""
        self._let_go()
        if self._descriptor != _RELEASED:
            os.close(self._descriptor)
            self._descriptor = _RELEASED


def refuse(why: str, remedy: str, cause: BaseException | None = None) -> NoReturn:
    """Raise the LogStorageError that says ``why`` the log can't be used."""
    raise unusable(why, remedy) from cause


def unusable(why: str, remedy: str) -> LogStorageError:
    """The error that says ``why`` the log can't be used."""
    return LogStorageError(
        f"the audit log can't be used: {why}", blame="this machine, or whoever runs it", remedy=remedy
    )


def _lock(folder: LogFolder) -> int:
    """Lock the folder for this process alone, until the descriptor is closed."""
    keyfiles.make_folder(folder.path)
    descriptor = os.open(folder.path / "lock", os.O_RDWR | os.O_CREAT, keyfiles.PRIVATE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        refuse("another process is writing to it", "stop that process first", error)
    return descriptor
