"""Where a log lies on disk, and how its records are framed.

    identity.json              the public identity of the log's owner
    head                       signed: how many entries there are, and the last one's leaf hash
    segments/000000000000.log  records, one after the other; the name is the number of the first entry in it
    documents/<sha256>.json    attached documents, such as agreements

    record = length u32le ‖ CRC-32 (zlib's) of the entry u32le ‖ entry

The framing finds accidents; tampering is found by the chain and the signatures inside. Reading streams: one
record is in memory at a time, and nothing that the files hold raises anything but RecordError.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from consortia_common.errors import LogStorageError
from consortia_crypto.audit.entry import MAX_ENTRY_BYTES

SEGMENT_BYTES = 64 << 20
"""A new segment is begun when the last one has reached this size."""
_FRAME = struct.Struct("<II")
MAX_RECORD_BYTES = _FRAME.size + MAX_ENTRY_BYTES
_NAME = re.compile(r"(\d{12})\.log", re.ASCII)


class RecordError(LogStorageError):
    """Record ``index`` can't be read. ``tail``: nothing follows it, so it may be half written and no more."""

    def __init__(self, index: int, why: str, path: Path, offset: int, *, tail: bool) -> None:
        super().__init__(
            f"entry {index} of the log can't be read from {path.name}: {why}",
            blame="the disk, or whoever changed the file",
            remedy="keep this copy, verify it with `consortia audit verify`, and restore the log from a good one",
        )
        self.index = index
        self.why = why
        self.path = path
        self.offset = offset
        self.tail = tail


@dataclass(frozen=True)
class LogFolder:
    """The paths of one log."""

    path: Path

    @property
    def identity(self) -> Path:
        """The owner's public identity."""
        return self.path / "identity.json"

    @property
    def head(self) -> Path:
        """The signed head."""
        return self.path / "head"

    @property
    def documents(self) -> Path:
        """The folder of attached documents."""
        return self.path / "documents"

    @property
    def segments(self) -> Path:
        """The folder of segments."""
        return self.path / "segments"

    def document(self, sha256: str) -> Path:
        """Where the document with that hash lies."""
        return self.documents / f"{sha256}.json"

    def segment(self, first: int) -> Path:
        """The segment that begins with entry ``first``."""
        return self.segments / f"{first:012d}.log"

    def firsts(self) -> list[int]:
        """The number of the first entry in each segment, in order."""
        if not self.segments.is_dir():
            return []
        names = (_NAME.fullmatch(path.name) for path in self.segments.iterdir() if path.is_file())
        return sorted(int(name[1]) for name in names if name)


def frame(entry: bytes) -> bytes:
    """The record that holds ``entry``."""
    return _FRAME.pack(len(entry), zlib.crc32(entry)) + entry


def records(folder: LogFolder, start: int = 0) -> Iterator[bytes]:
    """The entries from number ``start`` on. Raises RecordError at the first that can't be read."""
    firsts = folder.firsts()
    begun = max((first for first in firsts if first <= start), default=0)
    index = begun
    for first in [first for first in firsts if first >= begun]:
        path = folder.segment(first)
        if first != index:
            raise RecordError(index, f"the segment begins with entry {first}", path, 0, tail=False)
        for entry in _segment(path, first, last=first == firsts[-1]):
            if index >= start:
                yield entry
            index += 1


def _segment(path: Path, first: int, *, last: bool) -> Iterator[bytes]:
    """The entries of one segment; ``last``: none follows it."""
    index, offset = first, 0
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            while header := file.read(_FRAME.size):
                entry, why = _record(header, file)
                if why:
                    tail = last and _is_tail(header, offset, size, file)
                    raise RecordError(index, why, path, offset, tail=tail)
                yield entry
                index += 1
                offset += len(header) + len(entry)
    except OSError as error:
        raise RecordError(index, error.strerror or "it can't be read", path, offset, tail=False) from error


def _record(header: bytes, file: BinaryIO) -> tuple[bytes, str]:
    """The entry after ``header``, and what is wrong with it (nothing if all is well)."""
    if len(header) < _FRAME.size:
        return b"", "the record is cut short"
    length, checksum = _FRAME.unpack(header)
    if not 0 < length <= MAX_ENTRY_BYTES:
        return b"", "the record's length is impossible"
    entry = file.read(length)
    if len(entry) < length:
        return b"", "the record is cut short"
    return entry, "" if zlib.crc32(entry) == checksum else "the record's checksum is wrong"


def _is_tail(header: bytes, offset: int, size: int, file: BinaryIO) -> bool:
    """Whether the bad record at ``offset`` reaches the file's end, or only zeros follow: a write that was cut."""
    if len(header) < _FRAME.size or offset + _FRAME.size + _FRAME.unpack(header)[0] >= size:
        return True
    file.seek(offset)
    rest = file.read(MAX_RECORD_BYTES + 1)
    return len(rest) <= MAX_RECORD_BYTES and not rest.strip(b"\0")
