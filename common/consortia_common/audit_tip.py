"""What a log last began to sign: size and root, on disk before the signature is made.

Whoever restores an older copy of a log, or whose disk forgets, could otherwise sign two trees of one size that
can't both be true. The tip is compared and swapped: it never goes back, and never changes at the same size. It lies
beside the log; an owner may keep it elsewhere (in a database, say), so that the two are not restored together.
"""

from dataclasses import dataclass
from typing import NoReturn, Protocol

from consortia_common import keyfiles
from consortia_common.audit_disk import Disk, put_file_durably
from consortia_common.audit_segments import LogFolder
from consortia_common.errors import LogStorageError
from consortia_crypto import canonical
from consortia_crypto.audit.checkpoint import Checkpoint
from consortia_crypto.errors import CryptoError


class TipStore(Protocol):
    """Keeps one checkpoint, unsigned."""

    def read(self) -> Checkpoint | None:
        """The newest one; None if there never was one."""

    def swap(self, old: Checkpoint | None, new: Checkpoint) -> None:
        """Put ``new`` in the place of ``old``, durably. Raises LogStorageError if another one is there."""


@dataclass(frozen=True)
class FileTip:
    """The tip in its file beside the log."""

    folder: LogFolder
    disk: Disk

    def read(self) -> Checkpoint | None:
        """See TipStore."""
        if not self.folder.tip.exists():
            return None
        try:
            value = canonical.decode(keyfiles.read_file(self.folder.tip))
            return Checkpoint(value["origin"], value["size"], bytes.fromhex(value["root"]))
        except (CryptoError, KeyError, TypeError, ValueError) as error:
            raise _refused("its tip is damaged", "restore the newest copy of the log") from error

    def swap(self, old: Checkpoint | None, new: Checkpoint) -> None:
        """See TipStore."""
        if self.read() != old:
            _refuse("its tip was changed by another process")
        value = {"origin": new.origin, "size": new.size, "root": new.root.hex()}
        put_file_durably(self.disk, self.folder.tip, canonical.encode(value))


def check_step(old: Checkpoint | None, new: Checkpoint) -> None:
    """Return if ``new`` may be signed after ``old``; that it continues it is for the caller to know."""
    if old is None or old.origin != new.origin:
        return
    if new.size < old.size or new.contradicts(old):
        _refuse(f"a checkpoint of {old.size} entries was begun, and one of {new.size} would contradict it")


def _refuse(why: str) -> NoReturn:
    raise _refused(why, "stop this process, verify the log, and restore the newest copy of it")


def _refused(why: str, remedy: str) -> LogStorageError:
    return LogStorageError(
        f"the audit log can't be used: {why}", blame="this machine, or whoever runs it", remedy=remedy
    )
