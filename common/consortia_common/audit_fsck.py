"""Whether a log's files are all there and in order, and making again what can be made from the entries.

Where ``verify`` asks whether the log is true, this asks whether its disk is well: records, tiles, documents, file
modes, what a crash left behind. Only tiles and bundles are ever written here, and only if the entries still have
the root that was signed; nothing can be repaired that somebody's signature stands for.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from consortia_common import keyfiles
from consortia_common.audit_disk import Disk, make_folders, put_file_durably
from consortia_common.audit_segments import LogFolder, RecordError, records
from consortia_common.audit_tiles import files_of_tree
from consortia_common.errors import CommonError, LogStorageError
from consortia_crypto.audit import tree
from consortia_crypto.audit.checkpoint import Checkpoint
from consortia_crypto.audit.entry import Head
from consortia_crypto.audit.frontier import Frontier
from consortia_crypto.audit.note import Note
from consortia_crypto.audit.tiles import parse_path
from consortia_crypto.audit.tiletree import TileBuilder
from consortia_crypto.errors import CryptoError, TileError

_SECRET = ("log.keys",)


@dataclass(frozen=True)
class Fault:
    """Something out of order. ``harm``: evidence is lost or altered; else it can be made again or ignored."""

    harm: bool
    path: str
    cause: str
    entry: int | None = None

    def document(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return dict(vars(self))


def check(folder: LogFolder) -> list[Fault]:
    """Everything that is not in order in the folder, and in those of earlier years."""
    faults: list[Fault] = []
    for shard in folder.shards():
        prefix = "" if shard is folder else f"{shard.path.relative_to(folder.path)}/"
        found = [*_records(shard), *_tiles(shard), *_documents(shard), *_leftovers(shard), *_modes(shard)]
        faults += [Fault(item.harm, prefix + item.path, item.cause, item.entry) for item in found]
    return faults


def rebuild(folder: LogFolder) -> int:
    """Make missing and wrong tiles and bundles again; returns how many. No process may have the log open.

    Raises LogStorageError if one has, or if the entries do not have the root of the checkpoint.
    """
    lock = _lock(folder)
    try:
        checkpoint = _checkpoint(folder)
        if checkpoint is None:
            return 0
        if _root(folder, checkpoint.size) != checkpoint.root:
            raise _refused(
                "the entries do not have the root that the checkpoint names", "keep this copy as evidence"
            )
        disk, written = Disk(), 0
        for name, data in files_of_tree(folder, checkpoint.size, TileBuilder()):
            path = folder.path / name
            if not path.is_file() or path.read_bytes() != data:
                make_folders(disk, path.parent, inside=folder.path)
                put_file_durably(disk, path, data)
                written += 1
        return written
    finally:
        os.close(lock)


def _records(folder: LogFolder) -> Iterator[Fault]:
    """Whether every record can be read, and there are as many as the head and the checkpoint say."""
    count = 0
    try:
        for _ in records(folder):
            count += 1
    except RecordError as error:
        yield Fault(not error.tail, f"segments/{error.path.name}", error.why, error.index)
    promised = max(_head_size(folder), _checkpoint_size(folder))
    if count < promised:
        yield Fault(True, "segments", f"{count} entries can be read, but {promised} were signed for", count)
    known = {folder.segment(first).name for first in folder.firsts()}
    for path in sorted(folder.segments.glob("*")) if folder.segments.is_dir() else ():
        if path.name not in known:
            yield Fault(False, f"segments/{path.name}", "it is no segment")
    for name, path in (("head", folder.head), ("identity.json", folder.identity)):
        if not path.is_file():
            yield Fault(True, name, "it is missing")


def _tiles(folder: LogFolder) -> Iterator[Fault]:
    """Whether every tile that the checkpoint needs is there, as the entries give it, and no other file."""
    builder = TileBuilder()
    try:
        checkpoint = _checkpoint(folder)
        for name, data in files_of_tree(folder, checkpoint.size, builder) if checkpoint is not None else ():
            path = folder.path / name
            if not path.is_file():
                yield Fault(False, name, "it is missing")
            elif path.read_bytes() != data:
                yield Fault(False, name, "it is not what the entries give")
    except (CommonError, CryptoError) as error:
        yield Fault(True, "checkpoint", error.what)
        return
    if checkpoint is not None and builder.root() != checkpoint.root:
        yield Fault(True, "checkpoint", "the entries do not have the root that it names")
    tiles = folder.path / "tile"
    for path in sorted(tiles.rglob("*")) if tiles.is_dir() else ():
        name = str(path.relative_to(folder.path))
        if path.is_file() and not _is_tile(name):
            yield Fault(False, name, "it is no tile")


def _documents(folder: LogFolder) -> Iterator[Fault]:
    for path in sorted(folder.documents.glob("[!.]*")) if folder.documents.is_dir() else ():
        if f"{hashlib.sha256(path.read_bytes()).hexdigest()}.json" != path.name:
            yield Fault(True, f"documents/{path.name}", "it is not the document whose hash is its name")


def _leftovers(folder: LogFolder) -> Iterator[Fault]:
    """What a crash leaves behind, which the next start removes or finishes."""
    for path in sorted(folder.path.rglob(".*")):
        if path.is_file():
            yield Fault(False, str(path.relative_to(folder.path)), "a write was not finished")
    if (folder.path / "turning").exists():
        yield Fault(False, "turning", "a year was being put away; the next start goes on with that")


def _modes(folder: LogFolder) -> Iterator[Fault]:
    for name in _SECRET:
        path = folder.path / name
        if path.exists() and path.stat().st_mode & 0o077:
            yield Fault(True, name, "others can read it: make new keys, then close it to them (chmod 600)")


def _root(folder: LogFolder, size: int) -> bytes:
    frontier = Frontier()
    frontier.extend(map(tree.leaf_hash, islice(records(folder), size)))
    return frontier.root()


def _is_tile(name: str) -> bool:
    try:
        parse_path(name)
    except TileError:
        return False
    return True


def _checkpoint(folder: LogFolder) -> Checkpoint | None:
    return (
        Checkpoint.parse(Note.parse(keyfiles.read_file(folder.checkpoint)).text)
        if folder.checkpoint.is_file()
        else None
    )


def _checkpoint_size(folder: LogFolder) -> int:
    try:
        checkpoint = _checkpoint(folder)
    except (CommonError, CryptoError):
        return 0
    return checkpoint.size if checkpoint is not None else 0


def _head_size(folder: LogFolder) -> int:
    try:
        return Head.parse(keyfiles.read_file(folder.head), keyfiles.load_public_identity(folder.identity)).size
    except (CommonError, CryptoError):
        return 0


def _lock(folder: LogFolder) -> int:
    descriptor = os.open(folder.path / "lock", os.O_RDWR | os.O_CREAT, keyfiles.PRIVATE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise _refused("a process has the log open", "stop it first") from error
    return descriptor


def _refused(what: str, remedy: str) -> LogStorageError:
    return LogStorageError(f"the tiles were not rebuilt: {what}", blame="whoever runs this machine", remedy=remedy)
