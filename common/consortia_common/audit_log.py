"""The audit log of a node or the coordinator: one writer, append only, durable before anybody acts on it.

``append`` returns when the entry is in its segment (fdatasync), so whoever logs first and acts second can't have
acted on an entry that a power cut takes away. The signed head that counts it stands in the place of the old one by
then; a power cut may bring an older head back, never a newer one than the entries.
Callers that come together are written together and share a signature (``audit_commit``). There are three levels:

    DURABLE         after ``append``
    CHECKPOINTED    after ``checkpointed(entry)``: a signed, published tree has the entry in it
    WITNESSED       others have cosigned such a tree; ``on_checkpoint`` is where they learn of it

A write that fails leaves the log closed, and nothing that must be logged can go on. Trusted for order, durability
and the catalogue, and for never signing two trees that can't both be true. It does not protect against its own
owner, who can put back an older copy of the whole folder; witnesses and other institutions' logs show that.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any, Self

from consortia_common import keyfiles
from consortia_common.audit_checkpoints import Publisher, put_cosigned
from consortia_common.audit_commit import GroupCommit
from consortia_common.audit_disk import Disk, put_file, put_file_durably
from consortia_common.audit_happenings import body_of
from consortia_common.audit_hold import Hold, refuse
from consortia_common.audit_keys import OVERLAP
from consortia_common.audit_recovery import prepare, recover
from consortia_common.audit_segments import SEGMENT_BYTES, LogFolder, frame, records
from consortia_common.audit_shards import finish_turn, previous, turn
from consortia_common.audit_tip import FileTip, TipStore
from consortia_common.audit_writer import SegmentWriter
from consortia_common.documents.base import utc
from consortia_crypto.audit import batch
from consortia_crypto.audit.batch import Body, Place
from consortia_crypto.audit.checkpoint import SignedCheckpoint
from consortia_crypto.audit.entry import MAX_BATCH, SALT_BYTES, Entry, Head
from consortia_crypto.audit.note import Note
from consortia_crypto.errors import ConsortiaError
from consortia_crypto.keys import PublicIdentity, Signer


@dataclass(frozen=True)
class Options:
    """After how many bytes a segment is full; what stands for the file system; what remembers what was signed."""

    segment_bytes: int = SEGMENT_BYTES
    disk: Disk = field(default_factory=Disk)
    tip: TipStore | None = None
    """The file ``tip`` in the log's folder, if none is given."""


class AuditLog:
    """An open log. Made by ``open``; every method may be called from any thread."""

    def __init__(
        self,
        folder: LogFolder,
        signer: Signer,
        org: str,
        clock: Callable[[], datetime],
        options: Options,
    ) -> None:
        self._folder = folder
        self._signer = signer
        self._identity = signer.public
        self._kid = self._identity.fingerprint
        self._org = org
        self._clock = clock
        self._disk = options.disk
        self._segments = SegmentWriter(folder, options.disk, options.segment_bytes)
        self._tip = options.tip or FileTip(folder, self._disk)
        self._writing = Lock()
        self._publishing = Lock()
        self._commit = GroupCommit(self._store, MAX_BATCH)
        self._listeners: list[Callable[[SignedCheckpoint], None]] = []
        self._hold = Hold(folder, self._segments.release)
        try:
            self._recover()
        except OSError as error:
            self._hold.release()
            refuse(f"it can't be opened: {error.strerror}", "check the disk and the folder", error)
        except BaseException:
            self._hold.release()
            raise

    @classmethod
    def open(
        cls,
        folder: Path,
        signer: Signer,
        org: str,
        clock: Callable[[], datetime],
        **options: Any,
    ) -> Self:
        """Open the log in ``folder``, made if it is not there, for the institution ``org``.

        Raises LogStorageError if another process has it open, if it is damaged or shorter than what it promised, or
        if it is the log of another identity. For ``options`` see Options.
        """
        return cls(LogFolder(folder), signer, org, clock, Options(**options))

    def append(self, event: str, /, **fields: Any) -> Entry:
        """Write one event; returns once it can't be lost.

        ``fields`` are common fields of the catalogue (actor, subject, purpose, agreement, job, dataset, columns,
        rows_used, rows_left_out, decision, reason, policy_hash, consent_ref, payload_commit), of which empty ones
        are left out, and the event's own. Raises AuditError for what the catalogue does not allow, and
        LogStorageError if the entry can't be stored.
        """
        return self.append_many([(event, fields)])[0]

    def append_many(self, happenings: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Entry]:
        """Write events, each a name and its fields as in ``append``, next to each other and in order.

        Up to MAX_BATCH of them are durable together or not at all. If one is refused, none is written.
        """
        bodies = [body_of(event, fields, self._org) for event, fields in happenings]
        entries: list[Entry] = []
        for start in range(0, len(bodies), MAX_BATCH):
            entries += self._write(bodies[start : start + MAX_BATCH])
        return entries

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
        with self._writing:
            self._hold.require()
            if not path.exists() or path.read_bytes() != data:
                keyfiles.write_file(path, data)
        return sha256

    def checkpoint(self, timeout: float = -1) -> SignedCheckpoint:
        """Sign and publish a checkpoint of every entry that there is, anew with the present time if nothing is new.

        Raises LogStorageError if it can't be stored, or if ``timeout`` seconds pass while another one is made.
        """
        if not self._publishing.acquire(timeout=timeout):
            refuse("no checkpoint was made in time", "look at the load of this machine and its disk")
        try:
            signed = self._publish()
        finally:
            self._publishing.release()
        for listener in self._listeners:
            listener(signed)
        return signed

    def checkpointed(self, entry: Entry, timeout: float = -1) -> SignedCheckpoint:
        """A published checkpoint that covers ``entry``; one is made if there is none yet.

        What a past year's log holds is covered by its last checkpoint, which this one's first entry names.
        """
        signed = self._signed
        if signed is not None and signed.checkpoint.size > entry.index:
            return signed
        return self.checkpoint(timeout)

    def keep_cosigned(self, note: Note, origin: str) -> bool:
        """Keep a checkpoint that others have cosigned, in the place of an older one; False if its year is over."""
        with self._publishing:
            self._hold.require()
            if origin != self._publisher.keys.origin:
                return False
            put_cosigned(self._folder, self._disk, note.raw)
        return True

    def on_checkpoint(self, listener: Callable[[SignedCheckpoint], None]) -> None:
        """Have ``listener`` called with each checkpoint, in the thread that made it, after it was published."""
        self._listeners.append(listener)

    def on_failure(self, listener: Callable[[ConsortiaError], None]) -> None:
        """Have ``listener`` called when the log can't be written any more, in the thread that found out."""
        self._hold.on_failure(listener)

    def rotate_keys(self, overlap: int = OVERLAP) -> None:
        """Make a new pair of checkpoint keys; the older signs beside it for ``overlap`` more entries. Logged."""
        with self._publishing:
            with self._writing:
                self._hold.require()
                size = self._place.index
                with self._hold.ending_if_it_fails("its new checkpoint keys can't be stored"):
                    self._publisher.keys = self._publisher.keys.with_new_pair(size, self._signer, overlap)
                    self._publisher.keys.store(self._folder, self._disk)
            newest = self._publisher.keys.pairs[-1]
        self.append("log.rekeyed", since=size, ed25519=newest.ed25519.text, mldsa44=_digest(newest.mldsa44.text))

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The entries from number ``start`` to before ``stop``, or to the last that there is when called."""
        end = self.size if stop is None else min(stop, self.size)
        return islice(records(self._folder, start), max(0, end - start))

    @property
    def size(self) -> int:
        """The number of entries, of the present year."""
        return self._head.size

    @property
    def head(self) -> Head:
        """The signed head: how far the log has come."""
        return self._head

    @property
    def signed(self) -> SignedCheckpoint | None:
        """The newest checkpoint; None if there is none yet."""
        return self._signed

    @property
    def is_open(self) -> bool:
        """Whether entries can be written."""
        return self._hold.is_held

    @property
    def identity(self) -> PublicIdentity:
        """Whose log it is."""
        return self._identity

    @property
    def folder(self) -> LogFolder:
        """Where it lies."""
        return self._folder

    def close(self) -> None:
        """Sign a last checkpoint, write no more, and let another process write. Does no harm when called twice."""
        with self._publishing:
            try:
                if self._hold.is_held and self._waiting:
                    self._publish()
                    with self._hold.ending_if_it_fails("its head can't be stored"):
                        put_file_durably(self._disk, self._folder.head, self._head.raw, keyfiles.PRIVATE)
            finally:
                with self._writing:
                    self._hold.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _recover(self) -> None:
        """Take up the log where it ended, and say in it that it was opened."""
        finish_turn(self._folder, self._signer, self._disk)
        prepare(self._folder, self._signer, self._disk)
        now = self._clock().astimezone(UTC)
        cut = self._load(now.year)
        if now.year > self._year:
            self._turn(now.year)
        self._continue()
        self.append("log.opened", software=f"consortia {version('consortia')}", cut_bytes=cut)
        if self._signed is None:
            self.checkpoint()

    def _load(self, year: int) -> int:
        """Read the log's state from disk; the bytes that were cut off its end."""
        state = recover(self._folder, self._signer, self._disk, self._tip, year)
        self._place = state.place
        self._waiting = state.leaves
        self._signed = state.checkpoint
        self._publisher = Publisher(self._folder, self._disk, state.tiles, self._tip, state.keys)
        self._year = int(state.keys.origin.rpartition("/")[2])
        self._head = Head.sign(self._place.index, self._place.prev, self._signer, self._kid)
        return state.cut

    def _write(self, bodies: list[Body]) -> list[Entry]:
        """Have the bodies written, in the next year's log if that has begun."""
        while True:
            try:
                return self._commit.commit(bodies)
            except _YearEndedError as ended:
                with self._publishing, self._writing:
                    self._hold.require()
                    if ended.year > self._year:
                        with self._hold.ending_if_it_fails("the new year's log can't be begun"):
                            self._turn(ended.year)

    def _store(self, bodies: list[Body]) -> list[Entry]:
        """Write one batch; it is on disk afterwards. Called by one thread at a time."""
        with self._writing:
            self._hold.require()
            now = self._clock().astimezone(UTC)
            if now.year > self._year:
                raise _YearEndedError(now.year)
            return self._store_at(now, bodies)

    def _store_at(self, now: datetime, bodies: list[Body]) -> list[Entry]:
        """Write one batch in this year's log. Called with ``_writing`` held, or at start."""
        index = self._place.index
        salts = secrets.token_bytes(SALT_BYTES * len(bodies))
        signed = batch.sign(bodies, utc(now), self._place, salts, self._signer, self._kid)
        with self._hold.ending_if_it_fails(f"entry {index} can't be stored"):
            self._segments.append(b"".join(map(frame, signed.entries)), index)
            self._place = Place(index + len(bodies), signed.leaves[-1].hex())
            head = Head.sign(self._place.index, self._place.prev, self._signer, self._kid)
            synced = self._signed is None  # until a checkpoint promises more, a power cut must not empty it
            put_file(self._disk, self._folder.head, head.raw, keyfiles.PRIVATE, sync=synced)
        self._waiting += signed.leaves
        self._head = head
        return [Entry(number, raw) for number, raw in enumerate(signed.entries, index)]

    def _publish(self) -> SignedCheckpoint:
        """Publish a checkpoint of all that is stored. Called with ``_publishing`` held."""
        with self._writing:
            self._hold.require()
            leaves, self._waiting = self._waiting, []
        try:
            self._signed = self._publisher.publish(leaves, self._clock)
        except BaseException as error:
            with self._writing:
                self._hold.fail("its checkpoint can't be stored", error)
        return self._signed

    def _turn(self, year: int) -> None:
        """End this log with a checkpoint and begin that of ``year``. Called with both locks held, or at start."""
        leaves, self._waiting = self._waiting, []
        self._publisher.publish(leaves, self._clock)
        put_file_durably(self._disk, self._folder.head, self._head.raw, keyfiles.PRIVATE)
        self._segments.close()
        turn(self._folder, self._signer, self._disk, self._year, year)
        self._load(year)
        self._continue()

    def _continue(self) -> None:
        """Have an empty log name the last checkpoint of the year before, if there was one."""
        before = previous(self._folder) if self.size == 0 else None
        if before is not None:
            fields = {"previous": before.origin, "size": before.size, "root": before.root.hex()}
            self._store_at(self._clock().astimezone(UTC), [body_of("log.continued", fields, self._org)])


class _YearEndedError(Exception):
    """The batch belongs into the log of another year."""

    def __init__(self, year: int) -> None:
        super().__init__(year)
        self.year = year


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
