"""The key-encryption keys of the customers' keys: one small file, the only thing that must never be in a backup.

The file holds one key; while the keys are being renewed ("rolled"), the old one and the new one. Every row of the
database that names a customer opens under the key in this file alone, so once a key is replaced and destroyed,
whatever a backup of the database holds of an erased customer is noise. A backup that has this file too undoes that:
keep it on a disk that snapshots and backups leave out, or have two such disks.

Trusted for: a new key is on disk before anything is wrapped with it; the old key leaves the file, and its bytes are
overwritten, only when nothing needs it. Overwriting reaches the blocks of a plain disk; on flash and
copy-on-write file systems old blocks can outlive it, which disk encryption or a hardware store answers.
"""

import os
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO, Self

from consortia_common import keyfiles
from consortia_crypto import canonical
from consortia_crypto.errors import EncodingError
from consortia_crypto.subject import KEY_BYTES, WrappingKey, new_key
from consortia_node.errors import StoreError

CACHE_TAG = "CACHEDIR.TAG"
_CACHE_SIGNATURE = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# Backups must leave this folder out: a customer's erasure rests on it. See docs/erasure.md.\n"
)
"""By this file, as bford.info/cachedir specifies it, backup programs know a folder that they shall leave out."""


class Keyring:
    """The keys in the file ``path``, newest last. ``lock``: held by whoever writes rows that name customers."""

    def __init__(self, path: Path, keys: tuple[WrappingKey, ...]) -> None:
        self._path = path
        self._keys = keys
        self.lock = threading.RLock()

    @classmethod
    def open(cls, path: Path, is_needed: Callable[[], bool]) -> Self:
        """The keys in ``path``. A first key is made where there is none, and none is needed yet.

        An empty file in the place of one that is lost for good has a first key made as well. Raises StoreError.
        """
        _sweep(path)
        if path.exists() and (data := keyfiles.read_secret(path)):
            return cls(path, _decoded(path, data))
        if not path.exists() and is_needed():
            raise _refuse(path, "it is missing, and without it no customer on record can be told from another")
        _make_folder(path.parent)
        ring = cls(path, ())
        ring.begin_roll()
        return ring

    @property
    def newest(self) -> WrappingKey:
        """The key to wrap with."""
        return self._keys[-1]

    @property
    def keys(self) -> tuple[WrappingKey, ...]:
        """Every key that something may be wrapped with."""
        return self._keys

    @property
    def is_rolling(self) -> bool:
        """Whether an old key is still there."""
        return len(self._keys) > 1

    def find(self, key_id: str) -> WrappingKey | None:
        """The key of that id; None if it was destroyed."""
        for key in self._keys:
            if key.id == key_id:
                return key
        return None

    def begin_roll(self) -> None:
        """Have a new key; what is wrapped with the old one opens as before. Raises SettingsError."""
        self._replace((*self._keys, WrappingKey(new_key())))

    def end_roll(self) -> None:
        """Destroy every key but the newest. Raises SettingsError."""
        self._replace(self._keys[-1:])

    def _replace(self, keys: tuple[WrappingKey, ...]) -> None:
        """Write the file anew, then overwrite the bytes of the one before."""
        document = {"v": 1, "keys": [key.key.hex() for key in keys]}
        with self._path.open("r+b") if self._path.exists() else nullcontext() as old:
            keyfiles.write_file(self._path, canonical.encode(document))
            self._keys = keys
            if old is not None:
                _overwrite(old)


def _sweep(path: Path) -> None:
    """Remove what a crash in the middle of writing the file left beside it: keys that may be old by now."""
    for left in path.parent.glob(f".{path.name}.*"):
        with left.open("r+b") as file:
            _overwrite(file)
        left.unlink()


def _overwrite(file: BinaryIO) -> None:
    file.write(bytes(os.fstat(file.fileno()).st_size))
    file.flush()
    os.fsync(file.fileno())


def _make_folder(folder: Path) -> None:
    """Make the keys' folder, marked for backup programs; a folder that is there is somebody else's to mark."""
    if not folder.exists():
        keyfiles.make_folder(folder)
        keyfiles.write_file(folder / CACHE_TAG, _CACHE_SIGNATURE.encode())


def _decoded(path: Path, data: bytes) -> tuple[WrappingKey, ...]:
    try:
        keys = tuple(WrappingKey(bytes.fromhex(text)) for text in canonical.decode(data)["keys"])
    except (EncodingError, ValueError, TypeError, KeyError) as error:
        raise _refuse(path, "it does not hold keys") from error
    if not keys or any(len(key.key) != KEY_BYTES for key in keys):
        raise _refuse(path, "it does not hold keys")
    return keys


def _refuse(path: Path, why: str) -> StoreError:
    return StoreError(
        f"the file {path} of the customers' keys can't be used: {why}",
        blame="whoever moved or changed it, or set up this machine",
        remedy="put it back. If it is lost for good, an empty file of mode 0600 in its place begins anew: all "
        "consents must then be imported again, and customers get new pseudonyms",
    )
