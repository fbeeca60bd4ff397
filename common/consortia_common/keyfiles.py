"""Files that hold keys: written whole or not at all, and readable by one operating-system user only.

Key files are 0600 in folders of 0700. A key file that others may read is refused, because nobody can know any
more who has its content. In the place of a signing key a file may hold its URI, ``pkcs11:…``, see hardware. Trusted
for: never leaving a key half written, and never loading an exposed one.
"""

import os
import stat
from functools import partial
from pathlib import Path
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec

from consortia_common import hardware, pki
from consortia_common.errors import SettingsError
from consortia_crypto import canonical
from consortia_crypto.errors import CryptoError
from consortia_crypto.keys import PrivateIdentity, PublicIdentity

PRIVATE = 0o600
PUBLIC = 0o644
MAX_FILE_BYTES = 1 << 20
FILE = "file:"
"""Where a key is that is not in a module."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def keep_to_oneself() -> None:
    """From now on, whatever this process makes is for its user alone, also what libraries and workers make."""
    os.umask(0o077)


def make_folder(path: Path) -> Path:
    """Make ``path`` and parents that are missing for this user alone; a folder that is there is left as it is."""
    try:
        for missing in [folder for folder in reversed(path.parents) if not folder.exists()]:
            missing.mkdir(mode=0o700, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise _refuse(path, f"the folder can't be made: {error.strerror}", "choose another folder") from error
    return path


def write_file(path: Path, data: bytes, mode: int = PRIVATE) -> None:
    """Put ``data`` at ``path`` durably: after a crash there is the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        _write_new(temporary, data, mode)
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _refuse(path, f"it can't be written: {error.strerror}", "check the disk and the folder") from error


def read_file(path: Path) -> bytes:
    """The content of a public file of at most MAX_FILE_BYTES. Raises SettingsError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        remedy = "check the path, and whether the step that makes the file was done"
        raise _refuse(path, f"it can't be read: {error.strerror}", remedy) from error
    if len(data) > MAX_FILE_BYTES:
        raise _refuse(path, "it is far too large for such a file", "put the right file in its place")
    return data


def read_secret(path: Path) -> bytes:
    """The content of a key file that nobody else may read. Raises SettingsError."""
    data = read_file(path)
    if path.stat().st_mode & _OTHERS:
        remedy = "treat the key as known to others: make a new one; keep key files at mode 0600"
        raise _refuse(path, "other users of this machine may read this key file", remedy)
    return data


def new_p256(where: str) -> ec.EllipticCurvePrivateKey:
    """A new P-256 key: ``file:`` in memory, or in the module that the URI names. Raises ConsortiaError."""
    return pki.new_key() if where == FILE else hardware.open_p256(where, read_secret, make=True)


def new_ed25519(where: str) -> hardware.ModuleEd25519 | None:
    """A new Ed25519 key in the module that the URI names; None for ``file:``. Raises ConsortiaError."""
    return None if where == FILE else hardware.open_ed25519(where, read_secret, make=True)


def save_p256(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Write the key, or where it is, to ``path``, for this user alone."""
    write_file(path, f"{key.uri}\n".encode() if isinstance(key, hardware.ModuleP256) else pki.key_pem(key))


def load_p256(path: Path) -> ec.EllipticCurvePrivateKey:
    """The P-256 key in ``path``, or in the module that it names. Raises ConsortiaError."""
    data = read_secret(path)
    if not data.startswith(hardware.SCHEME.encode()):
        return pki.read_key(data)
    return hardware.open_p256(data.decode("utf-8", "replace").strip(), read_secret)


def save_identity(path: Path, identity: PrivateIdentity) -> None:
    """Write the private identity to ``path``, for this user alone."""
    write_file(path, canonical.encode(identity.document()), PRIVATE)


def load_identity(path: Path) -> PrivateIdentity:
    """The private identity in ``path``. Raises SettingsError."""
    data = read_secret(path)
    try:
        return PrivateIdentity.from_document(
            canonical.decode(data), partial(hardware.open_ed25519, read_pin=read_secret)
        )
    except CryptoError as error:
        raise _refuse(path, "it does not hold an identity", "restore it from your backup") from error


def save_public_identity(path: Path, identity: PublicIdentity) -> None:
    """Write the public identity to ``path``, for anybody to read."""
    write_file(path, canonical.encode(identity.document()), PUBLIC)


def load_public_identity(path: Path) -> PublicIdentity:
    """The public identity in ``path``. Raises SettingsError."""
    data = read_file(path)
    try:
        return PublicIdentity.from_document(canonical.decode(data))
    except CryptoError as error:
        raise _refuse(path, "it does not hold a public identity", "enrol again to fetch it") from error


def _write_new(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse(path: Path, why: str, remedy: str) -> SettingsError:
    return SettingsError(f"{path}: {why}", blame="whoever set up this folder", remedy=remedy)
