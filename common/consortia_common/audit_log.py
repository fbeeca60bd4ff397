"""The audit log of a node or the coordinator: one writer, append only, durable before anybody acts on it.

``append`` returns when the entry is in its segment (fdatasync) and the signed head that counts it has replaced the
old one, so whoever logs first and acts second can't have acted on an entry that a power cut takes away. A write
that fails leaves the log closed, and nothing that must be logged can go on.

Trusted for order, durability and the catalogue. It does not protect against its own owner, who can put back an
older copy of the whole folder; other institutions' logs, and later witnesses, show that.
"""

import fcntl
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from threading import RLock
from typing import Any, Self

from consortia_common import keyfiles
from consortia_common.audit_recovery import recover, refuse
from consortia_common.audit_segments import SEGMENT_BYTES, LogFolder, frame, records
from consortia_common.documents.base import utc
from consortia_common.errors import SettingsError
from consortia_crypto.audit import events
from consortia_crypto.audit.entry import SALT_BYTES, Entry, Head
from consortia_crypto.errors import ConsortiaError
from consortia_crypto.keys import PublicIdentity, Signer

_MAX_REASON = 1000
_CLOSED = -1


class AuditLog:
    """An open log. Made by ``open``; every method may be called from any thread."""

    def __init__(
        self, folder: LogFolder, signer: Signer, org: str, clock: Callable[[], datetime], segment_bytes: int
    ) -> None:
        self._folder = folder
        self._signer = signer
        self._identity = signer.public
        self._kid = self._identity.fingerprint
        self._org = org
        self._clock = clock
        self._segment_bytes = segment_bytes
        self._mutex = RLock()
        self._file = _CLOSED
        self._lock = _lock(folder)
        try:
            self._head, cut = recover(folder, signer)
            self.append("log.opened", software=f"consortia {version('consortia')}", cut_bytes=cut)
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(
        cls,
        folder: Path,
        signer: Signer,
        org: str,
        clock: Callable[[], datetime],
        *,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> Self:
        """Open the log in ``folder``, made if it is not there, for the institution ``org``.

        Raises LogStorageError if another process has it open, if it is damaged or shorter than its head, or if it
        is the log of another identity.
        """
        return cls(LogFolder(folder), signer, org, clock, segment_bytes)

    def append(self, event: str, /, **fields: Any) -> Entry:
        """Write one event; returns once it can't be lost.

        ``fields`` are common fields of the catalogue (actor, subject, purpose, agreement, job, dataset, columns,
        rows_used, rows_left_out, decision, reason, policy_hash, consent_ref, payload_commit), of which empty ones
        are left out, and the event's own. Raises AuditError for what the catalogue does not allow, and
        LogStorageError if the entry can't be stored.
        """
        body = self._body(event, fields)
        with self._mutex:
            self._need_open()
            body["ts"] = utc(self._clock().astimezone(UTC))
            events.check(body)
            salt = secrets.token_bytes(SALT_BYTES)
            entry = Entry.sign(self._head.size, self._head.leaf, salt, body, self._signer, self._kid)
            try:
                self._store(entry)
            except (OSError, SettingsError) as error:
                self.close()
                refuse(f"entry {entry.index} can't be stored", "free the disk, and start this process again", error)
            return entry

    @contextmanager
    def refusing(self, **fields: Any) -> Iterator[None]:
        """Log a ConsortiaError from inside as a refused message, then pass it on."""
        try:
            yield
        except ConsortiaError as error:
            self.append("message.refused", reason=error.what, **fields)
            raise

    def attach(self, data: bytes) -> str:
        """Keep a document beside the log, durably; returns its SHA-256 (hexadecimal), which entries cite."""
        sha256 = hashlib.sha256(data).hexdigest()
        path = self._folder.document(sha256)
        with self._mutex:
            self._need_open()
            if not path.exists() or path.read_bytes() != data:
                keyfiles.write_file(path, data)
        return sha256

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The entries from number ``start`` to before ``stop``, or to the last that there is when called."""
        end = self.size if stop is None else min(stop, self.size)
        return islice(records(self._folder, start), max(0, end - start))

    @property
    def size(self) -> int:
        """The number of entries."""
        return self._head.size

    @property
    def head(self) -> Head:
        """The signed head: how far the log has come."""
        return self._head

    @property
    def identity(self) -> PublicIdentity:
        """Whose log it is."""
        return self._identity

    def close(self) -> None:
        """Write no more, and let another process write. Does no harm when called twice."""
        with self._mutex:
            for descriptor in {self._file, self._lock} - {_CLOSED}:
                os.close(descriptor)
            self._file = self._lock = _CLOSED

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _body(self, event: str, fields: dict[str, Any]) -> dict[str, Any]:
        """The event's body but for its time."""
        kept = {name: _plain(value) for name, value in fields.items() if value not in ("", None, (), [])}
        if "reason" in kept:
            kept["reason"] = _one_line(str(kept["reason"]))
        body = {name: value for name, value in kept.items() if name in events.COMMON}
        detail = {name: value for name, value in kept.items() if name not in events.COMMON}
        kind = events.EVENTS.get(event)
        body |= {"type": event, "org": self._org, "retention_class": kind.retention if kind else ""}
        return body | ({"detail": detail} if detail else {})

    def _store(self, entry: Entry) -> None:
        """Write the record, then the head that counts it; both are on disk afterwards."""
        self._need_segment(entry.index)
        data = frame(entry.raw)
        if os.write(self._file, data) != len(data):
            raise OSError("the record was written in part only")
        os.fdatasync(self._file)
        head = Head.sign(entry.index + 1, entry.leaf_hash, self._signer, self._kid)
        keyfiles.write_file(self._folder.head, head.raw)
        self._head = head

    def _need_segment(self, index: int) -> None:
        """Have the segment open to which entry ``index`` goes: the last one, or a new one if that is full."""
        if self._file == _CLOSED:
            self._file = _open_segment(self._folder, max(self._folder.firsts(), default=index))
        if os.fstat(self._file).st_size >= self._segment_bytes:
            full, self._file = self._file, _CLOSED
            os.close(full)
            self._file = _open_segment(self._folder, index)

    def _need_open(self) -> None:
        if self._lock == _CLOSED:
            refuse("it is closed, or an earlier write failed", "look at the disk, and start this process again")


def _one_line(text: str) -> str:
    """A reason, which may be a stranger's words, in a form that an entry can hold."""
    line = " ".join(text.split())[:_MAX_REASON]
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _lock(folder: LogFolder) -> int:
    """Hold the folder for this process alone, until the descriptor is closed."""
    keyfiles.make_folder(folder.path)
    descriptor = os.open(folder.path / "lock", os.O_RDWR | os.O_CREAT, keyfiles.PRIVATE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        refuse("another process is writing to it", "stop that process first", error)
    return descriptor


def _open_segment(folder: LogFolder, first: int) -> int:
    """The segment that begins with entry ``first``, for appending; a new one's name is on disk afterwards."""
    descriptor = os.open(folder.segment(first), os.O_WRONLY | os.O_APPEND | os.O_CREAT, keyfiles.PRIVATE)
    parent = os.open(folder.segments, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
    return descriptor
