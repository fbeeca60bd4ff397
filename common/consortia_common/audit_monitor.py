"""Following somebody's log from visit to visit: that it only grows, and goes on saying so.

A visit compares what the log signs now with what it had signed at the visit before. The entries in between are
hashed into the tree that was seen then, so a checkpoint that does not follow is proof of two histories: both are
kept. A log that signs nothing new for longer than its heartbeat is told of; what it logs is for ``verify``.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any

from consortia_common import keyfiles
from consortia_common.audit_gaps import HEARTBEAT
from consortia_common.audit_segments import LogFolder, RecordError, records
from consortia_common.documents.base import utc
from consortia_common.errors import LogStorageError
from consortia_crypto import canonical
from consortia_crypto.audit import logkeys, tree
from consortia_crypto.audit.checkpoint import Checkpoint, open_checkpoint
from consortia_crypto.audit.entry import NO_ENTRY, Entry, Head
from consortia_crypto.audit.frontier import Frontier
from consortia_crypto.errors import AuditError, CryptoError
from consortia_crypto.keys import PublicIdentity


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
    origin: str = ""

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
    """What a log signs now: how many entries, the root or the last leaf, when, and the signed bytes."""

    raw: bytes
    size: int
    origin: str = ""
    root: bytes | None = None
    leaf: str = ""
    time: datetime | None = None


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
    raw = keyfiles.read_file(path.checkpoint)
    pairs = logkeys.parse(keyfiles.read_file(path.vkeys), owner)
    said = Checkpoint.parse(raw.decode("utf-8", "replace").partition("\n\n")[0] + "\n")
    keys = logkeys.keys_at(pairs, said.origin, said.size)
    signed = open_checkpoint(raw, keys)
    if not signed.is_signed_by_log(keys):
        raise AuditError(
            "the log's checkpoint lacks a signature",
            blame=owner.institution,
            remedy="ask its owner for a newer one",
        )
    time = datetime.fromtimestamp(signed.time, UTC) if signed.time is not None else None
    statement = Statement(raw, said.size, said.origin, said.root, time=time)
    start = state.size if state is not None and state.origin == said.origin else 0
    entries = islice(records(path, start), max(0, said.size - start))
    return visit(owner, statement, entries, state, now)


def visit_head(
    owner: PublicIdentity, head: bytes, entries: Iterable[bytes], state: State | None, now: datetime
) -> Visit:
    """Visit a log of which somebody sent the signed head, and the entries after those that were seen."""
    parsed = Head.parse(head, owner)
    return visit(owner, Statement(head, parsed.size, leaf=parsed.leaf), entries, state, now)


def visit(
    owner: PublicIdentity, statement: Statement, entries: Iterable[bytes], state: State | None, now: datetime
) -> Visit:
    """Compare what a log signs now with what is remembered; ``entries`` are those in between."""
    before = state or State(owner.fingerprint, 0, NO_ENTRY, (), "")
    if before.fingerprint != owner.fingerprint:
        return _contradiction(before, statement, "the log has another owner than before")
    if before.origin and before.origin != statement.origin:
        before = State(owner.fingerprint, 0, NO_ENTRY, (), before.statement)  # another year's log has begun
    if statement.size < before.size:
        return _contradiction(before, statement, f"it had {before.size} entries, and now has {statement.size}")
    frontier = Frontier(before.size, [bytes.fromhex(node) for node in before.nodes])
    leaf, cause = _follow(frontier, before.leaf, entries)
    if not cause and frontier.size != statement.size:
        cause = f"entry {frontier.size} can't be had, though it was signed for"
    if not cause and statement.root is not None and frontier.root() != statement.root:
        cause = "the tree that it signs does not continue the one that was seen"
    if not cause and statement.leaf and leaf != statement.leaf:
        cause = "its head names another last entry"
    if cause:
        return _contradiction(before, statement, cause)
    nodes = tuple(node.hex() for node in frontier.nodes)
    after = State(owner.fingerprint, frontier.size, leaf, nodes, statement.raw.decode(), statement.origin)
    return _seen(state, before, after, statement, now)


def _follow(frontier: Frontier, leaf: str, entries: Iterable[bytes]) -> tuple[str, str]:
    """Add the entries; the last one's leaf hash, and what is wrong with them if anything is."""
    try:
        for raw in entries:
            if Entry.parse(raw).prev != leaf:
                return leaf, f"entry {frontier.size} does not follow from the one that was seen"
            digest = tree.leaf_hash(raw)
            frontier.append(digest)
            leaf = digest.hex()
    except (AuditError, RecordError) as error:
        return leaf, f"entry {frontier.size} can't be read: {error.what}"
    return leaf, ""


def _seen(state: State | None, before: State, after: State, statement: Statement, now: datetime) -> Visit:
    added = after.size - before.size
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
