"""Opening a log after whatever ended the process that wrote it: find its true end, or refuse.

The newest checkpoint tells most of it: what it covers was read back when it was signed, so its tiles give the right
edge of the tree and only the entries after it are read and hashed. A record, or a batch without the entry that
signs it, that was being written when the power went is cut off, since nobody can have acted on it. Anything else
that is wrong (fewer entries than the head or a checkpoint counted, another last entry, damage, another identity's
log) is refused: going on would bury the evidence. Tiles that are missing or wrong are made again from the entries.
"""

import os
from dataclasses import dataclass, field
from itertools import pairwise

from consortia_common import audit_keys, keyfiles
from consortia_common.audit_disk import Disk, put_file_durably
from consortia_common.audit_hold import refuse, unusable
from consortia_common.audit_keys import LogKeys
from consortia_common.audit_segments import LogFolder, Position, RecordError, last_index, walk
from consortia_common.audit_tiles import TileStore
from consortia_common.audit_tip import TipStore
from consortia_common.errors import SettingsError
from consortia_crypto.audit import logkeys, tree
from consortia_crypto.audit.batch import Place
from consortia_crypto.audit.checkpoint import Checkpoint, SignedCheckpoint, log_origin, open_checkpoint
from consortia_crypto.audit.entry import BATCH, NO_ENTRY, Entry, Head
from consortia_crypto.audit.frontier import Frontier
from consortia_crypto.audit.tiletree import TileTree
from consortia_crypto.errors import AuditError, CryptoError, NewerFormatError
from consortia_crypto.keys import Signer

_RESTORE = "restore the newest copy of the log, and keep this one as evidence"


@dataclass
class Recovered:
    """A log that can be written on: where, what is not yet in a checkpoint, and what was cut off."""

    place: Place
    keys: LogKeys
    tiles: TileStore
    checkpoint: SignedCheckpoint | None = None
    leaves: list[bytes] = field(default_factory=list)
    cut: int = 0


def prepare(folder: LogFolder, signer: Signer, disk: Disk) -> None:
    """Have the folder hold a log of this signer's, an empty one if there was none. Raises LogStorageError."""
    identity = signer.public
    for path in (folder.path, folder.segments, folder.documents):
        keyfiles.make_folder(path)
    if not folder.identity.exists():
        if folder.firsts():
            refuse("it has entries but no identity.json", _RESTORE)
        begin(folder, signer, disk)
        keyfiles.save_public_identity(folder.identity, identity)
    if keyfiles.load_public_identity(folder.identity) != identity:
        refuse("it belongs to another identity", "open it with its own identity, or choose another folder")


def begin(folder: LogFolder, signer: Signer, disk: Disk) -> None:
    """Write the head of an empty log: first of all, so that a log with an identity or a year always has one."""
    head = Head.sign(0, NO_ENTRY, signer, signer.public.fingerprint)
    put_file_durably(disk, folder.head, head.raw, keyfiles.PRIVATE)


def recover(folder: LogFolder, signer: Signer, disk: Disk, tip: TipStore, year: int) -> Recovered:
    """The state of the log in ``folder``; if it has no keys, some are made for ``year``. Raises LogStorageError."""
    owner = signer.public
    keys = audit_keys.load(folder, owner)
    if keys is None:
        keys = audit_keys.begin(log_origin(owner.network, owner.institution, year), 0, (), signer)
        keys.store(folder, disk)
    signed = _read_checkpoint(folder, keys)
    promised = _read_head(folder, signer, may_be_empty=signed is not None)
    tiles = TileStore(folder, disk)
    covered = signed.checkpoint.size if signed is not None else 0
    if signed is not None and not tiles.load(covered, signed.checkpoint.root):
        _rebuild(folder, tiles, signed.checkpoint)
    leaf, position = _find_last(folder, tiles, covered)
    state = Recovered(Place(covered, leaf), keys, tiles, signed)
    begun = tip.read() or (signed.checkpoint if signed is not None else None)
    promises = {0 if begun is None or begun.origin != keys.origin else begun.size, promised.size, covered}
    _follow(folder, state, position, promised, max(promises), disk)
    _check_tip(state, begun)
    return state


def _read_head(folder: LogFolder, signer: Signer, *, may_be_empty: bool) -> Head:
    """The head. A power cut may have emptied it, since it is not synced; the checkpoint's promise stands then."""
    try:
        raw = keyfiles.read_file(folder.head)
        if may_be_empty and not raw.strip(b"\0"):
            return Head.sign(0, NO_ENTRY, signer, signer.public.fingerprint)
        return Head.parse(raw, signer.public)
    except (SettingsError, CryptoError) as error:
        refuse("its head is missing or altered", _RESTORE, error)


def _read_checkpoint(folder: LogFolder, keys: LogKeys) -> SignedCheckpoint | None:
    if not folder.checkpoint.exists():
        return None
    try:
        everything = [key for pair in keys.pairs if pair.name == keys.origin for key in pair.keys]
        signed = open_checkpoint(keyfiles.read_file(folder.checkpoint), everything)
        required = logkeys.keys_at(keys.pairs, keys.origin, signed.checkpoint.size)
    except (SettingsError, CryptoError) as error:
        refuse("its checkpoint is altered", _RESTORE, error)
    if signed.checkpoint.origin != keys.origin or not signed.is_signed_by_log(required):
        refuse("its checkpoint is another log's, or lacks a signature", _RESTORE)
    return signed


def _rebuild(folder: LogFolder, tiles: TileStore, checkpoint: Checkpoint) -> None:
    """Make the tiles again from the entries, if these are the ones that the checkpoint was signed for."""
    leaves: list[bytes] = []
    for _, _, raw in walk(folder):
        if len(leaves) == checkpoint.size:
            break
        leaves.append(tree.leaf_hash(raw))
    if tree.root(leaves) != checkpoint.root:
        refuse(f"its first {checkpoint.size} entries are not those that its checkpoint was signed for", _RESTORE)
    tiles.grow(leaves)


def _find_last(folder: LogFolder, tiles: TileStore, size: int) -> tuple[str, Position | None]:
    """Leaf hash and place of the last entry that the tiles cover; the entry itself must be where it belongs."""
    firsts = folder.firsts()
    for first, following in pairwise(firsts):
        last = last_index(folder.segment(first)) if following <= size else None
        if last is not None and last != following - 1:
            refuse(f"a segment is missing: after entry {last}, one begins with entry {following}", _RESTORE)
    if size == 0:
        return NO_ENTRY, None
    leaf = TileTree(size, tiles.read).leaf(size - 1)
    for first, offset, raw in walk(folder, size - 1):
        if tree.leaf_hash(raw) != leaf:
            refuse(f"entry {size - 1} is not the one that its checkpoint tells of", _RESTORE)
        return leaf.hex(), Position(size - 1, first, offset)
    raise unusable(f"it has fewer than the {size} entries that its checkpoint tells of", _RESTORE)


def _follow(
    folder: LogFolder, state: Recovered, position: Position | None, head: Head, promised: int, disk: Disk
) -> None:
    """Take in the entries after the checkpoint, up to the last that is signed, and cut off what is after it."""
    index, leaf = state.place.index, state.place.prev
    end, cut_at = state.place, None
    kept = 0
    try:
        for first, offset, raw in walk(folder, index, position):
            entry = _parse(raw)
            if entry is not None and (entry.index != index or entry.prev != leaf):
                refuse(f"entry {index} does not follow from the entry before it", _RESTORE)
            hashed = tree.leaf_hash(raw)
            index, leaf = index + 1, hashed.hex()
            state.leaves.append(hashed)
            if index == head.size and leaf != head.leaf:
                refuse(f"entry {index - 1} is not the one that its head tells of", _RESTORE)
            if entry is None or entry.algorithm != BATCH:
                end, kept, cut_at = Place(index, leaf), len(state.leaves), None
            elif cut_at is None:
                cut_at = folder.segment(first), offset
    except RecordError as error:
        if not error.tail or error.index < promised:
            raise
        cut_at = cut_at or (error.path, error.offset)
    if end.index < promised:
        refuse(f"it has {end.index} entries, but had {promised}", _RESTORE)
    del state.leaves[kept:]
    state.place = end
    state.cut = _cut(disk, *cut_at) if cut_at is not None else 0


def _parse(raw: bytes) -> Entry | None:
    try:
        return Entry.parse(raw)
    except NewerFormatError:
        return None
    except AuditError as error:
        refuse(f"an entry is damaged ({error.what})", _RESTORE, error)


def _check_tip(state: Recovered, begun: Checkpoint | None) -> None:
    """What was begun to be signed, and may have been, must be a tree of these entries."""
    if begun is None or begun.origin != state.keys.origin or begun.size < state.tiles.size:
        return
    edge = TileTree(state.tiles.size, state.tiles.read).frontier() if state.tiles.size else Frontier()
    edge.extend(state.leaves[: begun.size - edge.size])
    if edge.root() != begun.root:
        refuse(f"its first {begun.size} entries are not those for which a checkpoint was begun", _RESTORE)


def _cut(disk: Disk, path: "os.PathLike[str]", offset: int) -> int:
    """Cut a segment at ``offset``; the number of bytes that were behind it."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        cut = os.fstat(descriptor).st_size - offset
        disk.truncate(descriptor, offset)
        disk.sync(descriptor)
    finally:
        disk.close(descriptor)
    return cut
