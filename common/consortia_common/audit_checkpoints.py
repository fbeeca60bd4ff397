"""Signing and publishing the checkpoints of one log, in an order that no crash can turn into two histories.

    segments synced → tiles written and synced → read back and hashed anew → tip swapped → signed → published

Before the tip is swapped nothing is promised; after it, only this very tree can be signed at this size, also by the
process that comes after a crash. A log to which nothing was added is signed again, with the present time, so that
its silence can be told from its absence.
"""

from collections.abc import Callable
from datetime import datetime

from consortia_common.audit_disk import Disk, make_folders, put_file_durably
from consortia_common.audit_keys import LogKeys
from consortia_common.audit_segments import LogFolder
from consortia_common.audit_tiles import TileStore
from consortia_common.audit_tip import TipStore, check_step
from consortia_crypto.audit.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint, sign_checkpoint


class Publisher:
    """Publishes checkpoints of the log in ``folder``. For one thread at a time."""

    def __init__(self, folder: LogFolder, disk: Disk, tiles: TileStore, tip: TipStore, keys: LogKeys) -> None:
        self.keys = keys
        self.tiles = tiles
        self._folder = folder
        self._disk = disk
        self._tip = tip

    def publish(self, leaves: list[bytes], clock: Callable[[], datetime]) -> SignedCheckpoint:
        """Sign the log with ``leaves`` (hashes of synced entries) added, and publish that.

        Raises LogStorageError or OSError; the log must not go on then.
        """
        self.tiles.grow(leaves)
        checkpoint = Checkpoint(self.keys.origin, self.tiles.size, self.tiles.root)
        old = self._tip.read()
        check_step(old, checkpoint)
        if checkpoint != old:
            self._tip.swap(old, checkpoint)
        signers = self.keys.signers(checkpoint.size)
        note = sign_checkpoint(checkpoint, signers, int(clock().timestamp()))
        signed = open_checkpoint(note.raw, [key.verifier for key in signers])
        put_file_durably(self._disk, self._folder.checkpoint, note.raw)
        self.tiles.drop_partial()
        return signed


def put_cosigned(folder: LogFolder, disk: Disk, note: bytes) -> None:
    """Keep the newest checkpoint that has others' cosignatures, whole and durably."""
    make_folders(disk, folder.cosigned.parent, inside=folder.path)
    put_file_durably(disk, folder.cosigned, note)
