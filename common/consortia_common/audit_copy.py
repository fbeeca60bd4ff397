"""Copies of a log for somebody else to verify: everything that a log's folder holds, but for what is secret.

Checkpoints and keys are read first, the head after them, and segments only grow; so a copy taken while the log is
being written to is whole: it has exactly the entries that the head counts, and no checkpoint counts more. Tiles are
made from the entries; that they are what the owner publishes is shown by the signed root. A copy is made beside its
destination and moved there when it is complete.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from consortia_common import keyfiles
from consortia_common.audit_segments import SEGMENT_BYTES, LogFolder, frame, records
from consortia_common.audit_tiles import files_of_tree
from consortia_common.audit_verify import find_log
from consortia_common.errors import LogStorageError
from consortia_crypto.audit import logkeys
from consortia_crypto.audit.checkpoint import Checkpoint
from consortia_crypto.audit.entry import Head
from consortia_crypto.audit.note import Note
from consortia_crypto.audit.tiletree import TileBuilder
from consortia_crypto.errors import CryptoError
from consortia_crypto.keys import PublicIdentity

_File = tuple[str, bytes]


class LogCopy:
    """What a copy of one log holds: everything up to the signed head, as it was when this was made."""

    def __init__(self, folder: LogFolder, owner: PublicIdentity | None = None) -> None:
        """Raises LogStorageError, or SettingsError where a file can't be read."""
        self.owner = owner or keyfiles.load_public_identity(folder.identity)
        self.folder = folder
        self.years = [LogCopy(year, self.owner) for year in folder.shards()[:-1]]
        self.note = _read(folder.checkpoint)
        self.cosigned = {path.name: keyfiles.read_file(path) for path in _files_in(folder, "cosigned")}
        self.keys = _read(folder.vkeys)
        try:
            self.head = Head.parse(keyfiles.read_file(folder.head), self.owner)
            self.checkpoint = Checkpoint.parse(Note.parse(self.note).text) if self.note else None
            self.pairs = logkeys.parse(self.keys, self.owner) if self.note and self.keys else ()
        except CryptoError as error:
            raise _damaged(f"its head, checkpoint or keys are missing or altered ({error.what})") from error

    @property
    def total(self) -> int:
        """The number of entries, those of earlier years too."""
        return self.head.size + sum(year.total for year in self.years)

    def files(self) -> Iterator[_File]:
        """Names and contents, as in a log folder; no secret, no lock, no temporary file."""
        folder = self.folder
        yield folder.identity.name, keyfiles.read_file(folder.identity)
        if self.keys is not None:
            yield folder.vkeys.name, self.keys
        yield from self._segments()
        yield from ((f"cosigned/{name}", data) for name, data in self.cosigned.items())
        for name in ("documents", "evidence", "timestamps"):
            yield from ((f"{name}/{path.name}", keyfiles.read_file(path)) for path in _files_in(folder, name))
        if self.checkpoint is not None:
            yield from files_of_tree(folder, self.checkpoint.size, TileBuilder())
        if self.note is not None:
            yield folder.checkpoint.name, self.note
        yield folder.head.name, self.head.raw
        for year in self.years:
            yield from ((f"years/{year.folder.path.name}/{name}", data) for name, data in year.files())

    def entries(self, start: int = 0) -> Iterator[bytes]:
        """The entries from number ``start`` on. Raises LogStorageError if there are fewer than the head counts."""
        size = start
        for raw in islice(records(self.folder, start), max(0, self.head.size - start)):
            yield raw
            size += 1
        if size < self.head.size:
            raise _damaged(f"it has {size} entries, but its head counts {self.head.size}")

    def documents(self) -> Iterator[bytes]:
        """What is attached to the entries."""
        return (keyfiles.read_file(path) for path in _files_in(self.folder, "documents"))

    def _segments(self) -> Iterator[_File]:
        first, length = 0, 0
        parts: list[bytes] = []
        for number, raw in enumerate(self.entries()):
            if length >= SEGMENT_BYTES:
                yield f"segments/{first:012d}.log", b"".join(parts)
                first, parts, length = number, [], 0
            parts.append(frame(raw))
            length += len(parts[-1])
        yield f"segments/{first:012d}.log", b"".join(parts)


def export(source: Path, out: Path) -> int:
    """Copy the log of ``source`` (its own folder, or a node's or coordinator's) to the new folder ``out``.

    Returns the number of entries. Raises LogStorageError, or SettingsError where a file can't be read or made.
    """
    copy = LogCopy(find_log(source))
    with making(out) as folder:
        for name, data in copy.files():
            put(folder.path / name, data)
    return copy.total


@contextmanager
def making(out: Path) -> Iterator[LogFolder]:
    """An empty folder that takes the place of ``out`` when the block ends, and is removed if it fails."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise refusal(f"{out} exists already", "whoever chose the folder", "choose a new folder")
    partial = LogFolder(out.with_name(f".{out.name}.partial"))
    try:
        shutil.rmtree(partial.path, ignore_errors=True)
        for path in (partial.path, partial.segments, partial.documents):
            keyfiles.make_folder(path)
        yield partial
        partial.path.replace(out)
    except OSError as error:
        why = error.strerror or "a file can't be read or written"
        raise refusal(why, "the disk of this machine", "free the disk, then try again") from error
    finally:
        shutil.rmtree(partial.path, ignore_errors=True)


def put(path: Path, data: bytes) -> None:
    """Write one file of a copy in the making. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_bytes(data)


def refusal(why: str, blame: str, remedy: str) -> LogStorageError:
    """The error that says why there is no copy."""
    return LogStorageError(f"the log was not copied: {why}", blame=blame, remedy=remedy)


def _damaged(why: str) -> LogStorageError:
    return refusal(why, "whoever holds the log", "verify the log where it lies, and keep it as evidence")


def _read(path: Path) -> bytes | None:
    return keyfiles.read_file(path) if path.is_file() else None


def _files_in(folder: LogFolder, name: str) -> list[Path]:
    return sorted(path for path in (folder.path / name).glob("[!.]*") if path.is_file())
