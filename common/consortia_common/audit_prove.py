"""Making a proof that an entry is in a log's signed tree; whoever has the entry and a policy can check it."""

from collections.abc import Iterator
from itertools import islice

from consortia_common import keyfiles
from consortia_common.audit_segments import LogFolder, records
from consortia_common.audit_tiles import read_tile
from consortia_common.errors import LogStorageError
from consortia_crypto.audit import tree
from consortia_crypto.audit.checkpoint import Checkpoint
from consortia_crypto.audit.note import Note
from consortia_crypto.audit.proof import LogProof
from consortia_crypto.audit.tiletree import TileTree
from consortia_crypto.errors import TileError


def prove(folder: LogFolder, index: int) -> tuple[LogProof, bytes]:
    """A proof for entry ``index``, and the entry. The checkpoint is one with cosignatures if that covers the entry.

    Raises LogStorageError if there is no such entry or no checkpoint of it, or if the two do not fit each other.
    """
    entry = next(records(folder, index), None) if index >= 0 else None
    if entry is None:
        raise _refused(
            f"the log has no entry {index}", "whoever asked", "`consortia audit verify` says how many there are"
        )
    for note in _notes(folder):
        checkpoint = Checkpoint.parse(Note.parse(note).text)
        if checkpoint.size > index:
            return _proof(folder, index, entry, note, checkpoint), entry
    raise _refused(
        f"no checkpoint covers entry {index} yet",
        "nobody, if the entry is new",
        "wait for the log's next checkpoint, at most a minute",
    )


def _proof(folder: LogFolder, index: int, entry: bytes, note: bytes, checkpoint: Checkpoint) -> LogProof:
    for hashes in _hashes(folder, index, checkpoint.size):
        proof = LogProof(index, tuple(hashes), note)
        if tree.includes(checkpoint.root, checkpoint.size, index, tree.leaf_hash(entry), proof.hashes):
            return proof
    raise _refused(
        f"entry {index} is not in the tree of the checkpoint of {checkpoint.size} entries",
        "whoever altered the log",
        "verify it with `consortia audit verify`, and keep this copy as evidence",
    )


def _hashes(folder: LogFolder, index: int, size: int) -> Iterator[list[bytes]]:
    """The proof out of the tiles, which is quick; then out of the entries, should the tiles be missing or wrong."""
    try:
        tiled = TileTree(size, lambda level, number, width: read_tile(folder, level, number, width))
        yield tiled.inclusion_proof(index)
    except (TileError, OSError):
        pass
    leaves = tree.leaf_hashes(islice(records(folder), size))
    if len(leaves) == size:
        yield tree.inclusion_proof(leaves, index)


def _notes(folder: LogFolder) -> Iterator[bytes]:
    """The log's checkpoints, those with others' signatures first."""
    cosigned = folder.path / "cosigned"
    for path in sorted(cosigned.glob("[!.]*")) if cosigned.is_dir() else ():
        yield keyfiles.read_file(path)
    if folder.checkpoint.is_file():
        yield keyfiles.read_file(folder.checkpoint)


def _refused(what: str, blame: str, remedy: str) -> LogStorageError:
    return LogStorageError(f"no proof can be made: {what}", blame=blame, remedy=remedy)
