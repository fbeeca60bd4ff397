"""Where a log lies on disk, and how its records are framed.

    identity.json              the public identity of the log's owner
    head                       signed: how many entries there are, and the last one's leaf hash
    segments/000000000000.log  records, one after the other; the name is the number of the first entry in it
    documents/<sha256>.json    attached documents, such as agreements
    log.keys                   the seeds of the keys that sign checkpoints
    vkeys.json                 their public halves, endorsed by the owner's identity
    checkpoint                 the newest signed checkpoint
    tip                        size and root of the newest checkpoint that was ever begun to be signed
    tile/…                     the tree and the entries, after C2SP tlog-tiles
    cosigned/, evidence/       checkpoints with witnesses' signatures; contradicting ones
    years/<year>/              the log of an earlier year, laid out in the same way

    record = length u32le ‖ CRC-32 (zlib's) of the entry u32le ‖ entry

The framing finds accidents; tampering is found by the chain and the signatures inside. Reading streams: one
record is in memory at a time, and nothing that the files hold raises anything but RecordError.
"""

import re
import struct
import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path

from consortia_common.errors import LogStorageError
from consortia_crypto.audit.entry import MAX_ENTRY_BYTES

SEGMENT_BYTES = 64 << 20
"""A new segment is begun when the last one has reached this size."""
_FRAME = struct.Struct("<II")
MAX_RECORD_BYTES = _FRAME.size + MAX_ENTRY_BYTES
_Found = tuple[int, int, bytes]
_BUFFER_BYTES = 1 << 18
_END = re.compile(
    rb'"\},"i":([0-9]{1,16}),"prev":"[0-9a-f]{64}","salt":"[0-9a-f]{32}","sig":\{[^{}]*\},"v":1\}\Z', re.DOTALL
)
_END_BYTES = 1024
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

    @property
    def keys(self) -> Path:
        """The seeds of the checkpoint keys."""
        return self.path / "log.keys"

    @property
    def vkeys(self) -> Path:
        """The public halves of all checkpoint keys that there ever were."""
        return self.path / "vkeys.json"

    @property
    def checkpoint(self) -> Path:
        """The newest signed checkpoint."""
        return self.path / "checkpoint"

    @property
    def cosigned(self) -> Path:
        """The newest checkpoint that witnesses have cosigned."""
        return self.path / "cosigned" / "checkpoint"

    @property
    def tip(self) -> Path:
        """What was last begun to be signed."""
        return self.path / "tip"

    @property
    def years(self) -> Path:
        """The folder of earlier years' logs."""
        return self.path / "years"

    def shards(self) -> list["LogFolder"]:
        """The logs of all years, the present one last."""
        earlier = sorted(self.years.iterdir()) if self.years.is_dir() else []
        return [*(LogFolder(path) for path in earlier if path.name.isdecimal()), self]

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


@dataclass(frozen=True)
class Position:
    """Where a record begins: the number of its entry, the segment that it is in, and the bytes before it there."""

    index: int = 0
    first: int = 0
    offset: int = 0


def records(folder: LogFolder, start: int = 0) -> Iterator[bytes]:
    """The entries from number ``start`` on. Raises RecordError at the first that can't be read."""
    return (entry for _, _, entry in walk(folder, start))


def walk(folder: LogFolder, start: int = 0, known: Position | None = None) -> Iterator[tuple[int, int, bytes]]:
    """The entries from number ``start`` on, each with its segment's first number and its record's offset there.

    ``known`` is a place not after ``start`` from which to look for it. Raises RecordError.
    """
    firsts = folder.firsts()
    begun = max((first for first in firsts if first <= start), default=0)
    at = known if known is not None and known.first == begun else Position(begun, begun)
    index = begun
    for first in [first for first in firsts if first >= begun]:
        path = folder.segment(first)
        if first != index:
            raise RecordError(index, f"the segment begins with entry {first}", path, 0, tail=False)
        place = at if first == at.first else Position(first, first)
        index = yield from _segment(path, place, start, last=first == firsts[-1])


def last_index(path: Path) -> int | None:
    """The number of the last entry in a segment, from its last bytes alone; None if they are not an entry's."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _END_BYTES))
        match = _END.search(file.read())
    return int(match[1]) if match else None


def _segment(path: Path, place: Position, start: int, *, last: bool) -> Generator[_Found, None, int]:
    """The records from ``place`` on, but for those before entry ``start``, as ``walk`` gives them.

    ``last``: no segment follows. Returns the number of the entry that comes after this one. It is read in blocks; a
    record that is not whole in its block, or not good, is looked at again at the beginning of the next.
    """
    index, offset = place.index, place.offset
    try:
        with path.open("rb", buffering=0) as file:
            while block := _read_at(file, offset, _BUFFER_BYTES):
                at, end = 0, len(block) - _FRAME.size
                while at <= end:
                    length, checksum = _FRAME.unpack_from(block, at)
                    following = at + _FRAME.size + length
                    if not 0 < length <= MAX_ENTRY_BYTES or following > len(block):
                        break
                    if index >= start:
                        entry = block[at + _FRAME.size : following]
                        if zlib.crc32(entry) != checksum:
                            break
                        yield place.first, offset + at, entry
                    index, at = index + 1, following
                if at == 0:
                    tail = last and _is_tail(block, offset, path.stat().st_size)
                    raise RecordError(index, _fault(block), path, offset, tail=tail)
                offset += at
    except OSError as error:
        raise RecordError(index, error.strerror or "it can't be read", path, offset, tail=False) from error
    return index


def _read_at(file: RawIOBase, offset: int, size: int) -> bytes:
    """Up to ``size`` bytes from ``offset`` on; fewer only at the end of the file."""
    file.seek(offset)
    data = file.read(size) or b""
    while 0 < len(data) < size and (more := file.read(size - len(data))):
        data += more
    return data


def _fault(block: bytes) -> str:
    """What is wrong with the record at the beginning of ``block``."""
    if len(block) < _FRAME.size:
        return "the record is cut short"
    length, _ = _FRAME.unpack_from(block)
    if not 0 < length <= MAX_ENTRY_BYTES:
        return "the record's length is impossible"
    return "the record is cut short" if len(block) < _FRAME.size + length else "the record's checksum is wrong"


def _is_tail(block: bytes, offset: int, size: int) -> bool:
    """Whether the bad record at ``offset`` reaches the file's end, or only zeros follow: a write that was cut."""
    if len(block) < _FRAME.size or offset + _FRAME.size + _FRAME.unpack_from(block)[0] >= size:
        return True
    return size - offset <= MAX_RECORD_BYTES and not block.strip(b"\0")
