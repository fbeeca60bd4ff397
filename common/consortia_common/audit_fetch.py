"""A log over the network: every year of it in messages of bounded size, and a verifiable copy made of them.

Of each year there come the entries, the documents that are attached to them, then the signed head that counts the
entries, the signed checkpoint, the keys that may sign one, and the checkpoints that others cosigned; earlier years
come first, named, and the present one last. The sender is not trusted: what arrives is checked for its form and its
bounds here, and for its truth by
``consortia audit verify``, which needs nothing but the copy.
"""

import hashlib
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
DOCUMENTS_AN_ENTRY = 2
"""So many documents an entry cites at most: what is attached to it, and an agreement."""
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
    chunk, size = pb.LogChunk(year=year), 0
    for field, item in _contents(copy, start):
        if size and size + len(item) > CHUNK_BYTES:
            yield chunk
            chunk, size = pb.LogChunk(year=year), 0
        getattr(chunk, field).append(item)
        size += len(item)
    if size > CHUNK_BYTES:  # a document for itself
        yield chunk
        chunk = pb.LogChunk(year=year)
    chunk.head, chunk.checkpoint, chunk.keys = copy.head.raw, copy.note or b"", copy.keys or b""
    chunk.cosigned.extend(list(copy.cosigned.values())[-MAX_COSIGNED:])
    yield chunk


def _contents(copy: LogCopy, start: int) -> Iterator[tuple[str, bytes]]:
    """A year's entries, and for a whole log what is attached to them, by the field in which they go."""
    yield from (("entries", entry) for entry in copy.entries(start))
    if start == 0:
        yield from (("documents", document) for document in copy.documents())


def _receive_year(first: pb.LogChunk, rest: Iterator[pb.LogChunk], owner: PublicIdentity, folder: LogFolder) -> int:
    """Write one year of a log to ``folder``; the number of entries."""
    chunk = first
    with _Entries(folder) as entries:
        while True:
            if chunk.year != first.year:
                raise _bad("a year ends without its head")
            entries.take(chunk)
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
    """The segments of a copy in the making, and what is attached to its entries."""

    def __init__(self, folder: LogFolder) -> None:
        self.size = 0
        self._attached = 0
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

    def take(self, chunk: pb.LogChunk) -> None:
        """Write what came with ``chunk``."""
        for entry in chunk.entries:
            self._add(entry)
        for document in chunk.documents:
            self._attach(document)

    def _add(self, entry: bytes) -> None:
        if not 0 < len(entry) <= MAX_ENTRY_BYTES:
            raise _bad(f"entry {self.size} has an impossible length")
        if self._file is None or self._file.tell() >= SEGMENT_BYTES:
            if self._file is not None:
                self._file.close()
            self._file = self._folder.segment(self.size).open("wb")
        self._file.write(frame(entry))
        self.size += 1

    def _attach(self, document: bytes) -> None:
        """Write what an entry cites, under the name that the entry has for it."""
        self._attached += 1
        if not document or self._attached > DOCUMENTS_AN_ENTRY * self.size:
            raise _bad("it has more attached documents than its entries can cite")
        put(self._folder.documents / f"{hashlib.sha256(document).hexdigest()}.json", document)


def _bad(why: str) -> LogStorageError:
    return refusal(why, _SENDER, _AGAIN)
