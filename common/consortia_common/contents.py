"""What messages hold, apart from what state they are in: short ones in a table, long ones in files of their own.

Trusted for: a content that a committed transaction names is whole on disk, since its file is synced before, unless
whoever takes it can get it again (inbox.py) and looks at start for what is ``damaged``; what a transaction drops is
gone once it has committed. So a change of state never rewrites a message, and whoever
carries one holds a piece of it at a time. Files have names of chance, in a folder of their own for this process's
user alone; those that no row names (a crash came between) go at the next start.

What has come of an unfinished message is a file as well, and is never trusted: its hash decides, at the end.
"""

import hashlib
import os
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Delete,
    Engine,
    Insert,
    LargeBinary,
    MetaData,
    Select,
    String,
    Table,
    bindparam,
    delete,
    insert,
    select,
)

from consortia_common import keyfiles
from consortia_common.content import Beside, Octets
from consortia_common.database import reading
from consortia_common.stream import CHUNK_BYTES, MessageHash

INLINE_BYTES = 64 << 10
"""Contents up to this length are rows: a file costs a sync more."""
WHOLE = ".whole"
"""What is appended to the name of an unfinished message's file once it is whole."""


@dataclass(frozen=True)
class ContentTables:
    """``contents`` of messages that are whole, ``unfinished`` ones that are still to come in full."""

    contents: Table
    unfinished: Table


def content_tables(metadata: MetaData) -> ContentTables:
    """The two tables, alike in both databases."""
    contents = Table(
        "contents",
        metadata,
        Column("message_id", String(160), primary_key=True),
        Column("side", String(8), primary_key=True),  # task, reply
        Column("total", BigInteger, nullable=False),
        Column("sha256", LargeBinary, nullable=False),
        Column("body", BigInteger, nullable=False),  # how many first bytes are the message's body
        Column("body_sha256", LargeBinary, nullable=False),  # empty without one
        Column("file", String(40), unique=True),
        Column("data", LargeBinary, nullable=False),  # what follows what is in the file
    )
    unfinished = Table(
        "unfinished",
        metadata,
        Column("file", String(40), primary_key=True),
        Column("peer", String(64), nullable=False, index=True),
        Column("message_id", String(160), nullable=False),
        Column("total", BigInteger, nullable=False),
        Column("sha256", LargeBinary, nullable=False),
        Column("begun_ns", BigInteger, nullable=False),  # orders those of one peer
    )
    return ContentTables(contents, unfinished)


TASK, REPLY = "task", "reply"


@dataclass(frozen=True)
class Held:
    """A whole content: what the file at ``path`` has, and then ``data``; either may be missing.

    Its first ``body`` bytes are the message's body, the others the message itself.
    """

    total: int
    sha256: bytes
    data: bytes = field(default=b"", repr=False)
    path: Path | None = None
    body: int = 0
    body_sha256: bytes = b""

    def piece(self, offset: int) -> bytes:
        """At most CHUNK_BYTES from ``offset`` on."""
        return self._read(offset, min(CHUNK_BYTES, self.total - offset))

    def head(self) -> bytes:
        """The message itself."""
        return self._read(self.body, self.total - self.body)

    @property
    def size(self) -> int:
        """How long the body is; see consortia_common.content.Body."""
        return self.body

    @property
    def digest(self) -> str:
        """SHA-256 of the body; see consortia_common.content.Body."""
        return self.body_sha256.hex()

    def read(self, offset: int, length: int) -> bytes:
        """So much of the body; see consortia_common.content.Body."""
        return self._read(offset, length)

    def _read(self, offset: int, length: int) -> bytes:
        in_file = self.total - len(self.data)
        first = b""
        if self.path and offset < in_file:
            with self.path.open("rb", buffering=0) as file:
                file.seek(offset)
                first = file.read(min(length, in_file - offset))
        start = max(offset - in_file, 0)
        return first + self.data[start : start + length - len(first)] if len(first) < length else first


@dataclass(frozen=True)
class Message:
    """A whole message, its hash known to be right."""

    message_id: str
    content: Held
    job_id: str = ""
    """Whose it is: messages of one job keep their order, those of several share the line."""
    others: bool = field(default=False, compare=False)
    """Whether more were waiting where it was found."""


def in_memory(data: bytes) -> Held:
    """The content of a short message."""
    return Held(len(data), hashlib.sha256(data).digest(), data)


class Contents:
    """The contents of one database's messages. Safe in several threads."""

    def __init__(self, tables: ContentTables, folder: Path) -> None:
        self.tables = tables
        self.folder = keyfiles.make_folder(folder)
        self._lock = Lock()
        self._writers: dict[str, Callable[[], None]] = {}
        self._keep, self._come, self._get = _statements(tables)

    def make(self, head: bytes) -> Held:
        """A content that ``keep`` may keep; a long one is on disk when this returns."""
        if len(head) <= INLINE_BYTES:
            return in_memory(head)
        return Held(len(head), hashlib.sha256(head).digest(), path=self._written([head]))

    def make_all(self, heads: Sequence[bytes], body: Beside | None) -> list[Held]:
        """As ``make``, with one body for all, which is written once and linked to for each."""
        if body is None or not body.size:
            return [self.make(head) for head in heads]
        path, of_body = self._written(body.parts), bytes.fromhex(body.digest) or _sha256(body.parts)
        made: list[Held] = []
        for head in heads:
            its = self._linked(path) if made else path
            made.append(Held(body.size + len(head), _sha256([of_body, head]), head, its, body.size, of_body))
        return made

    def new_path(self) -> Path:
        """Where a new file may be."""
        return self.folder / secrets.token_hex(16)

    def _linked(self, path: Path) -> Path:
        link = self.new_path()
        link.hardlink_to(path)
        return link

    def _written(self, parts: Sequence[Octets]) -> Path:
        path = self.new_path()
        with path.open("xb") as file:
            file.writelines(parts)
            file.flush()
            os.fdatasync(file.fileno())
        return path

    def keep(self, connection: Connection, message_id: str, side: str, content: Held) -> None:
        """Store it; it is not unfinished any more."""
        self.keep_all(connection, side, {message_id: content})

    def keep_all(self, connection: Connection, side: str, contents: Mapping[str, Held]) -> None:
        """As ``keep``, for several by their messages' ids."""
        rows = [_row(message_id, side, content) for message_id, content in contents.items()]
        connection.execute(self._keep, rows)
        whole = [content.path.stem for content in contents.values() if content.path]
        if whole:
            connection.execute(self._come, {"files": whole})

    def get(self, connection: Connection, message_id: str, side: str) -> Held | None:
        """The stored content."""
        return self.get_all(connection, [message_id], side).get(message_id)

    def get_all(self, connection: Connection, message_ids: Collection[str], side: str) -> dict[str, Held]:
        """The stored contents by their messages' ids; what is not there is left out."""
        asked = {"ids": tuple(message_ids), "of_side": side}
        return {
            row.message_id: Held(
                row.total,
                row.sha256,
                row.data,
                self.folder / row.file if row.file else None,
                row.body,
                row.body_sha256,
            )
            for row in connection.execute(self._get, asked)
        }

    def drop(self, connection: Connection, which: ColumnElement[bool]) -> list[Path]:
        """Erase these rows of ``contents``; their files are for ``remove`` once the transaction has committed."""
        table = self.tables.contents
        files = connection.scalars(select(table.c.file).where(which, table.c.file.is_not(None))).all()
        connection.execute(delete(table).where(which))
        return [self.folder / name for name in files]

    def remove(self, paths: Iterable[Path]) -> None:
        """Remove files that no row names any more."""
        for path in paths:
            path.unlink(missing_ok=True)

    def discard(self, content: Held) -> None:
        """Remove what is not going to be kept."""
        if content.path:
            self.remove([content.path])

    def take_over(self, peer: str, close: Callable[[], None]) -> None:
        """From now on, somebody else writes what comes of ``peer``; the one before is closed first."""
        with self._lock:
            before, self._writers[peer] = self._writers.get(peer), close
            if before is not None:
                before()

    def damaged(self, engine: Engine, side: str, which: ColumnElement[bool]) -> list[str]:
        """At start: the messages among these whose file was not synced when a power cut came, by their ids."""
        table = self.tables.contents
        filed = which, table.c.side == side, table.c.file.is_not(None)
        with reading(engine) as connection:
            ids = connection.scalars(select(table.c.message_id).where(*filed)).all()
            found = self.get_all(connection, ids, side)
        return [message_id for message_id, content in found.items() if not _is_whole(content)]

    def sweep(self, engine: Engine) -> None:
        """At start, when nobody else writes: remove files that no row names."""
        with reading(engine) as connection:
            named = {*_names(connection, self.tables.contents), *_names(connection, self.tables.unfinished)}
        self.remove(path for path in self.folder.iterdir() if path.name not in named)


def _statements(tables: ContentTables) -> tuple[Insert, Delete, Select[Any]]:
    """Keep rows, forget unfinished files, get rows; made once, which takes longer than what most of them do."""
    table, unfinished = tables.contents, tables.unfinished.c
    columns = [table.c[name] for name in ("message_id", "total", "sha256", "data", "file", "body", "body_sha256")]
    asked = table.c.message_id.in_(bindparam("ids", expanding=True)), table.c.side == bindparam("of_side")
    whole = unfinished.file.in_(bindparam("files", expanding=True))
    return insert(table), delete(tables.unfinished).where(whole), select(*columns).where(*asked)


def _row(message_id: str, side: str, content: Held) -> dict[str, object]:
    return {
        "message_id": message_id,
        "side": side,
        "total": content.total,
        "sha256": content.sha256,
        "body": content.body,
        "body_sha256": content.body_sha256,
        "file": content.path.name if content.path else None,
        "data": content.data,
    }


def _is_whole(content: Held) -> bool:
    if content.path is None or not content.path.exists():
        return content.path is None
    digest = MessageHash(content.body)
    with content.path.open("rb") as file:
        while data := file.read(CHUNK_BYTES):
            digest.update(data)
    digest.update(content.data)
    return digest.digest() == content.sha256


def _sha256(parts: Iterable[Octets]) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def _names(connection: Connection, table: Table) -> Sequence[str]:
    return connection.scalars(select(table.c.file).where(table.c.file.is_not(None))).all()
