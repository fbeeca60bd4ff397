"""A log over the network: every year of it in messages of bounded size, and a verifiable copy made of them.

Of each year there come the entries, then the signed head that counts them, the signed checkpoint, the keys that may
sign one, and the checkpoints that others cosigned; earlier years come first, named, and the present one last. The
sender is not trusted: what arrives is checked for its form and its bounds here, and for its truth by
``consortia audit verify``, which needs nothing but the copy.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from consortia_common import keyfiles
from consortia_common.audit_copy import LogCopy, making, put, refusal
from consortia_common.audit_segments import SEGMENT_BYTES, LogFolder, frame
from consortia_common.audit_tiles import files_of_tree
from consortia_common.errors import LogStorageError
from consortia_crypto.audit.checkpoint import Checkpoint
from consortia_crypto.audit.entry import MAX_ENTRY_BYTES, Head
from consortia_crypto.audit.note import Note
from consortia_crypto.audit.tiletree import TileBuilder
from consortia_crypto.errors import CryptoError
from consortia_crypto.keys import PublicIdentity
from consortia_proto.v1 import network_pb2 as pb

CHUNK_BYTES = 1 << 20
MAX_COSIGNED = 64
"""So many cosigned checkpoints of one year are taken."""
_LAST_YEAR = 9999
_SENDER = "whoever sent the log"
_AGAIN = "ask for another copy"


def chunks(folder: LogFolder, start: int = 0) -> Iterator[pb.LogChunk]:
    """The log in ``folder``, open or not, as messages; the last of each year has its head.

    From a ``start`` other than 0, only the present year's entries from that number on.
    """
    copy = LogCopy(folder)
    for year in copy.years if start == 0 else ():
        yield from _year_chunks(year, 0, int(year.folder.path.name))
    yield from _year_chunks(copy, start, 0)


def receive(stream: Iterable[pb.LogChunk], owner: PublicIdentity, out: Path) -> int:
    """Write what ``chunks`` made of the log of ``owner`` to the new folder ``out``; the number of entries.

    Raises LogStorageError if the stream is not a whole log of that owner. Entries are not verified here.
    """
    entries, before = 0, 0
    arriving = iter(stream)
    with making(out) as folder:
        first = next(arriving, None)
        while first is not None and first.year:
            if not before < first.year <= _LAST_YEAR:
                raise _bad("its years are not in order")
            before = first.year
            entries += _receive_year(first, arriving, owner, LogFolder(folder.years / f"{before:04d}"))
            first = next(arriving, None)
        entries += _receive_year(first or pb.LogChunk(), arriving, owner, folder)
        if next(arriving, None) is not None:
            raise _bad("something follows its end")
    return entries


def _year_chunks(copy: LogCopy, start: int, year: int) -> Iterator[pb.LogChunk]:
    batch: list[bytes] = []
    size = 0
    for entry in copy.entries(start):
        if size + len(entry) > CHUNK_BYTES:
            yield pb.LogChunk(entries=batch, year=year)
            batch, size = [], 0
        batch.append(entry)
        size += len(entry)
    yield pb.LogChunk(
        entries=batch,
        year=year,
        head=copy.head.raw,
        checkpoint=copy.note or b"",
        keys=copy.keys or b"",
        cosigned=list(copy.cosigned.values())[-MAX_COSIGNED:],
    )


def _receive_year(first: pb.LogChunk, rest: Iterator[pb.LogChunk], owner: PublicIdentity, folder: LogFolder) -> int:
    """Write one year of a log to ``folder``; the number of entries."""
    chunk = first
    with _Entries(folder) as entries:
        while True:
            if chunk.year != first.year:
                raise _bad("a year ends without its head")
            for entry in chunk.entries:
                entries.add(entry)
            if chunk.head:
                break
            following = next(rest, None)
            if following is None:
                raise _bad("it ends without its head")
            chunk = following
    try:
        head = Head.parse(chunk.head, owner)
        checkpoint = Checkpoint.parse(Note.parse(chunk.checkpoint).text) if chunk.checkpoint else None
    except CryptoError as error:
        raise _bad(f"its head or its checkpoint is altered ({error.what})") from error
    if entries.size != head.size:
        raise _bad(f"it has {entries.size} entries, but its head counts {head.size}")
    _write_signed(folder, chunk, owner)
    if checkpoint is not None:
        for name, data in files_of_tree(folder, checkpoint.size, TileBuilder()):
            put(folder.path / name, data)
    return head.size


def _write_signed(folder: LogFolder, chunk: pb.LogChunk, owner: PublicIdentity) -> None:
    """Write what vouches for the entries."""
    if len(chunk.cosigned) > MAX_COSIGNED:
        raise _bad("it has too many cosigned checkpoints")
    put(folder.head, chunk.head)
    for path, data in ((folder.checkpoint, chunk.checkpoint), (folder.vkeys, chunk.keys)):
        if data:
            put(path, data)
    for number, data in enumerate(chunk.cosigned):
        put(folder.path / "cosigned" / f"{number}", data)
    keyfiles.save_public_identity(folder.identity, owner)


class _Entries:
    """The segments of a copy in the making."""

    def __init__(self, folder: LogFolder) -> None:
        self.size = 0
        self._folder = folder
        self._file: BinaryIO | None = None
        keyfiles.make_folder(folder.segments)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, entry: bytes) -> None:
        """Take the next entry."""
        if not 0 < len(entry) <= MAX_ENTRY_BYTES:
            raise _bad(f"entry {self.size} has an impossible length")
        if self._file is None or self._file.tell() >= SEGMENT_BYTES:
            if self._file is not None:
                self._file.close()
            self._file = self._folder.segment(self.size).open("wb")
        self._file.write(frame(entry))
        self.size += 1


def _bad(why: str) -> LogStorageError:
    return refusal(why, _SENDER, _AGAIN)
