"""What has come of one peer's messages on its stream, piece by piece, into files; whole ones are handed on.

Trusted for: a content that is handed on has the hash that was announced, and survives a power cut if it is to be
``lasting``; no more than a piece is in memory; what was begun before the last stream ended is gone on with, and so
are no more bytes on disk for one peer than the exchange's limit, which the stream's own rules keep. A beginning
that was kept and turns out to be damaged (a power cut came) is begun anew once; what is wrong from its first
byte on is the peer's fault.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import IO

from sqlalchemy import Engine, delete, insert, select

from consortia_common.contents import INLINE_BYTES, WHOLE, Contents, Held, Message
from consortia_common.database import reading, recoverable
from consortia_common.errors import ConnectionLostError
from consortia_common.stream import CHUNK_BYTES, MessageHash, Part, Piece, refusal


@dataclass
class _Coming:
    """A file that grows."""

    path: Path
    file: IO[bytes]
    digest: MessageHash
    resumed: bool


class Inbox:
    """The unfinished messages of ``peer`` on one stream. A later Inbox of the same peer closes this one.

    ``lasting`` says of a message's id whether the peer might not send it again after a power cut.
    """

    def __init__(
        self,
        engine: Engine,
        contents: Contents,
        peer: str,
        clock_ns: Callable[[], int] = time.time_ns,
        lasting: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._engine = engine
        self._contents = contents
        self._table = contents.tables.unfinished
        self._peer = peer
        self._clock_ns = clock_ns
        self._lasting = lasting
        self._coming: dict[str, _Coming] = {}
        self._begun: dict[str, Path] = {}
        self._lock = Lock()
        self._closed = False
        contents.take_over(peer, self.close)
        self.parts = self._parts()
        """What was there of unfinished messages when this was made; the oldest first."""

    def take(self, piece: Piece) -> Message | None:
        """The message that ``piece`` completes, if it does.

        Raises ExchangeError if it has another hash, ConnectionLostError when another stream has come after this.
        """
        with self._lock:
            self._require_newest()
            return self._take(piece)

    def require_newest(self) -> None:
        """Return if no other stream has come after this. Raises ConnectionLostError."""
        with self._lock:
            self._require_newest()

    def close(self) -> None:
        """Let go of the files; what is in them is gone on with on the next stream."""
        with self._lock:
            self._closed = True
            for coming in self._coming.values():
                coming.file.close()
            self._coming.clear()

    def _require_newest(self) -> None:
        if self._closed:
            raise _superseded(self._peer)

    def _take(self, piece: Piece) -> Message | None:
        for message_id in piece.displaced:
            self._drop(message_id)
        if piece.total == len(piece.data) and piece.total <= INLINE_BYTES:
            digest = MessageHash(piece.body)
            digest.update(piece.data)
            if digest.digest() != piece.sha256:
                raise refusal("a message does not match its hash", self._peer)
            return Message(piece.message_id, _held(piece, digest, data=piece.data))
        coming = self._coming.get(piece.message_id) or self._open(piece)
        coming.file.write(piece.data)
        coming.digest.update(piece.data)
        return self._finish(piece, coming) if piece.is_last else None

    def _parts(self) -> tuple[Part, ...]:
        table = self._table
        with reading(self._engine) as connection:
            rows = connection.execute(
                select(table).where(table.c.peer == self._peer).order_by(table.c.begun_ns)
            ).all()
        parts = []
        for row in rows:
            path = self._contents.folder / row.file
            size = path.stat().st_size if path.exists() else 0
            self._begun[row.message_id] = path
            parts.append(Part(row.message_id, row.total, row.sha256, _whole_pieces(size, row.total)))
        return tuple(parts)

    def _open(self, piece: Piece) -> _Coming:
        """The file of a message of which the first piece on this stream has come."""
        digest = MessageHash(piece.body)
        if piece.offset:
            path = self._begun[piece.message_id]
            file = path.open("r+b", buffering=0)
            while file.tell() < piece.offset:
                digest.update(file.read(min(CHUNK_BYTES, piece.offset - file.tell())))
            file.truncate()
        else:
            path = self._contents.new_path()
            file = path.open("xb", buffering=0)
            if not piece.is_last:
                self._note(piece, path)
        coming = _Coming(path, file, digest, resumed=piece.offset > 0)
        self._coming[piece.message_id] = coming
        return coming

    def _note(self, piece: Piece, path: Path) -> None:
        row = {
            "file": path.name,
            "peer": self._peer,
            "message_id": piece.message_id,
            "total": piece.total,
            "sha256": piece.sha256,
            "begun_ns": self._clock_ns(),
        }
        with recoverable(self._engine) as connection:
            connection.execute(insert(self._table).values(row))
        self._begun[piece.message_id] = path

    def _finish(self, piece: Piece, coming: _Coming) -> Message:
        del self._coming[piece.message_id]
        with coming.file:
            if coming.digest.digest() == piece.sha256:
                if self._lasting(piece.message_id):
                    os.fdatasync(coming.file.fileno())
                whole = coming.path.rename(coming.path.with_suffix(WHOLE))
                return Message(piece.message_id, _held(piece, coming.digest, path=whole))
        self._begun[piece.message_id] = coming.path
        self._drop(piece.message_id)
        if not coming.resumed:
            raise refusal("a message does not match its hash", self._peer)
        raise ConnectionLostError(
            f"a message of {self._peer} that was gone on with does not match its hash, and is asked for anew",
            blame="a crash of this machine, or its disk",
            remedy="nothing: it is tried again, once; if that goes on, check the disk",
        )

    def _drop(self, message_id: str) -> None:
        """Forget what there is of an unfinished message."""
        path = self._begun.pop(message_id, None)
        if path is not None:
            with recoverable(self._engine) as connection:
                connection.execute(delete(self._table).where(self._table.c.file == path.name))
            self._contents.remove([path])


def _held(piece: Piece, digest: MessageHash, *, data: bytes = b"", path: Path | None = None) -> Held:
    """The message that ``piece`` completes."""
    return Held(piece.total, piece.sha256, data, path, piece.body, digest.body_sha256)


def _whole_pieces(size: int, total: int) -> int:
    """So many bytes of a file count as there: whole pieces, and never all of it, so that something is to come."""
    return min(size, total - 1) // CHUNK_BYTES * CHUNK_BYTES


def _superseded(peer: str) -> ConnectionLostError:
    return ConnectionLostError(
        f"the stream of {peer} was given up for a newer one",
        blame=peer,
        remedy="nothing: the newer stream goes on where this one was",
    )
