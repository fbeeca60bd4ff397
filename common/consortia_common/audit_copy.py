"""Copies of a log for somebody else to verify: out of a folder, or over the network.

A copy has the layout of a live log and holds exactly the entries that one signed head counts. The head is read
first and segments only grow, so a copy taken while the log is being written to is whole. A copy is made beside its
destination and moved there when it is complete.
"""

import shutil
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NoReturn, Protocol, Self

from consortia_common import keyfiles
from consortia_common.audit_segments import SEGMENT_BYTES, LogFolder, frame, records
from consortia_common.audit_verify import find_log
from consortia_common.errors import LogStorageError
from consortia_crypto.audit.entry import MAX_ENTRY_BYTES, Head
from consortia_crypto.errors import CryptoError
from consortia_crypto.keys import PublicIdentity
from consortia_proto.v1 import network_pb2 as pb

CHUNK_BYTES = 1 << 20


class ReadableLog(Protocol):
    """What can be sent: an AuditLog."""

    @property
    def head(self) -> Head:
        """The signed head."""

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The entries from ``start`` to before ``stop``."""


def export(source: Path, out: Path) -> int:
    """Copy the log of ``source`` (its own folder, or a node's or coordinator's) to the new folder ``out``.

    Returns the number of entries. Raises LogStorageError, or SettingsError where a file can't be read or made.
    """
    folder = find_log(source)
    owner = keyfiles.load_public_identity(folder.identity)
    head = _parse_head(keyfiles.read_file(folder.head), owner)
    with _Copy(out) as copy:
        for entry in islice(records(folder), head.size):
            copy.add(entry)
        for document in sorted(folder.documents.glob("*.json")):
            keyfiles.write_file(copy.folder.documents / document.name, keyfiles.read_file(document))
        return copy.publish(owner, head)


def chunks(log: ReadableLog, start: int = 0) -> Iterator[pb.LogChunk]:
    """The entries of an open log from number ``start`` on, as messages of bounded size; the last has the head."""
    head = log.head
    batch: list[bytes] = []
    size = 0
    for entry in log.read(start, head.size):
        if size + len(entry) > CHUNK_BYTES:
            yield pb.LogChunk(entries=batch)
            batch, size = [], 0
        batch.append(entry)
        size += len(entry)
    yield pb.LogChunk(entries=batch, head=head.raw)


def receive(stream: Iterable[pb.LogChunk], owner: PublicIdentity, out: Path) -> int:
    """Write what ``chunks`` made of the log of ``owner`` to the new folder ``out``; the number of entries.

    Raises LogStorageError if the stream is not a whole log of that owner. Entries are not verified here.
    """
    head = b""
    with _Copy(out) as copy:
        for chunk in stream:
            for entry in chunk.entries:
                copy.add(entry)
            head = chunk.head or head
        return copy.publish(owner, _parse_head(head, owner))


class _Copy:
    """A copy in the making. Leaving the context before ``publish`` removes it."""

    def __init__(self, out: Path) -> None:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            _refuse(f"{out} exists already", "whoever chose the folder", "choose a new folder")
        self.folder = LogFolder(out.with_name(f".{out.name}.partial"))
        self._out = out
        self._size = 0
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        shutil.rmtree(self.folder.path, ignore_errors=True)
        for path in (self.folder.path, self.folder.segments, self.folder.documents):
            keyfiles.make_folder(path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
        shutil.rmtree(self.folder.path, ignore_errors=True)
        if isinstance(error, OSError):
            why = error.strerror or "a file can't be read or written"
            raise _refusal(why, "the disk of this machine", "free the disk, then try again") from error

    def add(self, entry: bytes) -> None:
        """Take the next entry."""
        if not 0 < len(entry) <= MAX_ENTRY_BYTES:
            _refuse(f"entry {self._size} has an impossible length", "whoever sent the log", "ask for another copy")
        if self._file is None or self._file.tell() >= SEGMENT_BYTES:
            if self._file is not None:
                self._file.close()
            self._file = self.folder.segment(self._size).open("wb")
        self._file.write(frame(entry))
        self._size += 1

    def publish(self, owner: PublicIdentity, head: Head) -> int:
        """Put the finished copy in its place; the number of its entries."""
        if self._size != head.size:
            _refuse(
                f"it has {self._size} entries, but its head counts {head.size}",
                "whoever holds the log",
                "verify the log where it lies, and keep it as evidence",
            )
        if self._file is not None:
            self._file.close()
        keyfiles.write_file(self.folder.head, head.raw)
        keyfiles.save_public_identity(self.folder.identity, owner)
        self.folder.path.replace(self._out)
        return self._size


def _parse_head(raw: bytes, owner: PublicIdentity) -> Head:
    try:
        return Head.parse(raw, owner)
    except CryptoError as error:
        _refuse(f"its head is missing or altered ({error.what})", "whoever holds the log", "ask for another copy")


def _refuse(why: str, blame: str, remedy: str) -> NoReturn:
    raise _refusal(why, blame, remedy)


def _refusal(why: str, blame: str, remedy: str) -> LogStorageError:
    return LogStorageError(f"the log was not copied: {why}", blame=blame, remedy=remedy)
