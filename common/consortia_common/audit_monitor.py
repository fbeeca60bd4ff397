"""Following somebody's log from visit to visit: that it only grows, and goes on saying so.

A visit compares what the log signs now with what it had signed at the visit before. The entries in between are
hashed into the tree that was seen then, so a checkpoint that does not follow is proof of two histories: both are
kept. When the year has turned, the one that was seen is followed to its end, which the next one's first entry must
name. A log that signs nothing new for longer than its heartbeat is told of; what it logs is for ``verify``.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from consortia_common import keyfiles
from consortia_common.audit_gaps import HEARTBEAT
from consortia_common.audit_segments import LogFolder, RecordError, records
from consortia_common.audit_verify import CONTINUED
from consortia_common.documents.base import utc
from consortia_common.errors import LogStorageError
from consortia_crypto import canonical
from consortia_crypto.audit import logkeys, tree
from consortia_crypto.audit.checkpoint import Checkpoint, open_checkpoint
from consortia_crypto.audit.entry import NO_ENTRY, Entry
from consortia_crypto.audit.frontier import Frontier
from consortia_crypto.errors import AuditError, CryptoError
from consortia_crypto.keys import PublicIdentity
from consortia_proto.v1 import network_pb2 as pb


class Seen(StrEnum):
    """What a visit found."""

    NEW = "new"
    """The first visit: nothing to compare with."""
    GROWN = "grown"
    """Entries were added, and nothing else changed."""
    SAME = "same"
    """Nothing was added."""
    SILENT = "silent"
    """Nothing was added, and the heartbeat is missing."""
    CONTRADICTION = "contradiction"
    """What the log signs now does not follow from what it had signed."""


@dataclass(frozen=True)
class State:
    """What is remembered of a log: its owner, how far it had come, its tree's right edge, what it had signed."""

    fingerprint: str
    size: int
    leaf: str
    nodes: tuple[str, ...]
    statement: str
    origin: str

    @classmethod
    def load(cls, path: Path) -> "State | None":
        """The state in the file ``path``; None if there is none. Raises LogStorageError."""
        if not path.exists():
            return None
        try:
            value = canonical.decode(keyfiles.read_file(path))
            return cls(**{**value, "nodes": tuple(value["nodes"])})
        except (CryptoError, KeyError, TypeError) as error:
            raise LogStorageError(
                f"{path} can't be read",
                blame="whoever altered it",
                remedy="remove it, and begin to follow the log anew",
            ) from error

    def store(self, path: Path) -> None:
        """Write the state to the file ``path``."""
        keyfiles.write_file(path, canonical.encode({**asdict(self), "nodes": list(self.nodes)}))


@dataclass(frozen=True)
class Statement:
    """What a year's log signs now: how many entries, the root over them, when, and the signed bytes."""

    raw: bytes
    size: int
    origin: str
    root: bytes
    time: datetime | None


@dataclass(frozen=True)
class Year:
    """The log of one year: what it signs, and its entries from a number on."""

    statement: Statement
    entries: Callable[[int], Iterable[bytes]]


@dataclass(frozen=True)
class Visit:
    """What a visit found, and what is to be remembered."""

    seen: Seen
    size: int
    added: int
    cause: str
    state: State | None
    """None after a contradiction: what was remembered stays."""
    evidence: tuple[str, ...] = ()
    """After a contradiction: what was signed then, what is signed now."""

    def document(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {"seen": str(self.seen), "size": self.size, "added": self.added, "cause": self.cause}


def visit_folder(path: LogFolder, state: State | None, now: datetime) -> Visit:
    """Visit a log that lies in a folder. Raises AuditError or LogStorageError if its signed state can't be read."""
    owner = keyfiles.load_public_identity(path.identity)
    years = [
        Year(
            _statement(keyfiles.read_file(shard.checkpoint), keyfiles.read_file(shard.vkeys), owner),
            partial(records, shard),
        )
        for shard in path.shards()
    ]
    return visit(owner, years, state, now)


def visit_sender(
    owner: PublicIdentity, read: Callable[[int], Iterable[pb.LogChunk]], state: State | None, now: datetime
) -> Visit:
    """Visit a log whose entries from a number on ``read`` has sent, as ``audit_fetch.chunks`` makes them.

    Raises AuditError if what comes can't be read.
    """
    start = state.size if state is not None else 0
    years = list(_received(read(start), owner, start))
    if state is not None and years[-1].statement.origin != state.origin:
        years = list(_received(read(0), owner, 0))
    return visit(owner, years, state, now)


def visit(owner: PublicIdentity, years: Sequence[Year], state: State | None, now: datetime) -> Visit:
    """Compare what a log signs now with what is remembered; ``years`` are all there are, in order."""
    before = state or State(owner.fingerprint, 0, NO_ENTRY, (), "", years[-1].statement.origin)
    if before.fingerprint != owner.fingerprint:
        return _contradiction(before, years[-1].statement, "the log has another owner than before")
    origins = [year.statement.origin for year in years]
    if before.origin not in origins:
        return _contradiction(before, years[-1].statement, f"{before.origin}, which was seen, is gone")
    added, ended = 0, None
    for year in years[origins.index(before.origin) :]:
        if ended is not None:
            before = State(owner.fingerprint, 0, NO_ENTRY, (), before.statement, year.statement.origin)
        after, cause = _grown(before, year, ended)
        if after is None:
            return _contradiction(before, year.statement, cause)
        added += after.size - before.size
        before, ended = after, year.statement
    return _seen(state, before, added, years[-1].statement, now)


def _statement(raw: bytes, keys: bytes, owner: PublicIdentity) -> Statement:
    """The checkpoint ``raw``, signed by the log's own ``keys``, which its owner endorsed."""
    said = Checkpoint.parse(raw.decode("utf-8", "replace").partition("\n\n")[0] + "\n")
    known = logkeys.keys_at(logkeys.parse(keys, owner), said.origin, said.size)
    signed = open_checkpoint(raw, known)
    if not signed.is_signed_by_log(known):
        raise AuditError(
            "the log's checkpoint lacks a signature",
            blame=owner.institution,
            remedy="ask its owner for a newer one",
        )
    time = datetime.fromtimestamp(signed.time, UTC) if signed.time is not None else None
    return Statement(raw, said.size, said.origin, said.root, time)


def _received(chunks: Iterable[pb.LogChunk], owner: PublicIdentity, start: int) -> Iterator[Year]:
    """The years that come, the present one from entry ``start`` on. Raises AuditError if it is not the last."""
    entries: list[bytes] = []
    year = -1
    for chunk in chunks:
        entries += chunk.entries
        if chunk.head:
            year = chunk.year
            kept, entries = entries, []
            yield Year(_statement(chunk.checkpoint, chunk.keys, owner), partial(_from, kept, start))
    if entries or year != 0:
        raise AuditError("the log that was sent is not whole", blame=owner.institution, remedy="ask for it again")


def _from(entries: list[bytes], start: int, number: int) -> list[bytes]:
    return entries[max(0, number - start) :]


def _grown(before: State, year: Year, ended: Statement | None) -> tuple[State | None, str]:
    """What is remembered once the year's new entries are added; None, and why not, if they do not follow.

    ``ended``: what the year before signed last, which this one's first entry must name.
    """
    statement = year.statement
    if statement.size < before.size:
        return None, f"it had {before.size} entries, and now has {statement.size}"
    entries = islice(year.entries(before.size), statement.size - before.size)
    frontier = Frontier(before.size, [bytes.fromhex(node) for node in before.nodes])
    leaf, cause = _follow(frontier, before.leaf, entries, ended)
    if not cause and frontier.size != statement.size:
        cause = f"entry {frontier.size} can't be had, though it was signed for"
    if not cause and frontier.root() != statement.root:
        cause = "the tree that it signs does not continue the one that was seen"
    if cause:
        return None, cause
    nodes = tuple(node.hex() for node in frontier.nodes)
    said = statement.raw.decode()
    return State(before.fingerprint, frontier.size, leaf, nodes, said, statement.origin), ""


def _follow(frontier: Frontier, leaf: str, entries: Iterable[bytes], ended: Statement | None) -> tuple[str, str]:
    """Add the entries; the last one's leaf hash, and what is wrong with them if anything is."""
    try:
        for raw in entries:
            entry = Entry.parse(raw)
            if entry.prev != leaf:
                return leaf, f"entry {frontier.size} does not follow from the one that was seen"
            if ended is not None and frontier.size == 0 and not _continues(entry, ended):
                return leaf, f"it does not continue {ended.origin} where that one ended"
            digest = tree.leaf_hash(raw)
            frontier.append(digest)
            leaf = digest.hex()
    except (AuditError, RecordError) as error:
        return leaf, f"entry {frontier.size} can't be read: {error.what}"
    return leaf, ""


def _continues(first: Entry, ended: Statement) -> bool:
    detail = first.body.get("detail", {})
    named = detail.get("previous"), detail.get("size"), detail.get("root")
    return first.type == CONTINUED and named == (ended.origin, ended.size, ended.root.hex())


def _seen(state: State | None, after: State, added: int, statement: Statement, now: datetime) -> Visit:
    silent = statement.time is not None and now - statement.time > HEARTBEAT + timedelta(seconds=1)
    if silent and statement.time is not None:
        cause = f"it has signed nothing since {utc(statement.time)}"
        return Visit(Seen.SILENT, after.size, added, cause, after)
    if state is None:
        return Visit(Seen.NEW, after.size, added, "", after)
    return Visit(Seen.GROWN if added else Seen.SAME, after.size, added, "", after)


def _contradiction(before: State, statement: Statement, cause: str) -> Visit:
    evidence = (before.statement, statement.raw.decode("utf-8", "replace"))
    return Visit(Seen.CONTRADICTION, statement.size, 0, cause, None, evidence)


def keep_evidence(folder: Path, visited: Visit, now: datetime) -> Iterator[Path]:
    """Write both statements of a contradiction to ``folder``; the files."""
    keyfiles.make_folder(folder)
    stamp = now.strftime("%Y%m%dT%H%M%S%f")
    for name, statement in zip(("before", "now"), visited.evidence, strict=False):
        path = folder / f"{stamp}-{name}"
        keyfiles.write_file(path, statement.encode())
        yield path
