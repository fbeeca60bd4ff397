"""Opening a log after whatever ended the process that wrote it: find its true end, or refuse.

A record that was being written when the power went is cut off, since nobody can have acted on it. Anything else
that is wrong (fewer entries than the head counted, another last entry, damage before the end, another identity's
log) is refused: going on would bury the evidence.
"""

import os
from typing import NoReturn

from consortia_common import keyfiles
from consortia_common.audit_segments import LogFolder, RecordError, records
from consortia_common.errors import LogStorageError, SettingsError
from consortia_crypto.audit import tree
from consortia_crypto.audit.entry import NO_ENTRY, Head
from consortia_crypto.errors import CryptoError
from consortia_crypto.keys import PublicIdentity, Signer

_RESTORE = "restore the newest copy of the log, and keep this one as evidence"


def recover(folder: LogFolder, signer: Signer) -> tuple[Head, int]:
    """The head of the log in ``folder``, begun if there is none, and how many bytes were cut off its end.

    Raises LogStorageError.
    """
    identity = signer.public
    for path in (folder.path, folder.segments, folder.documents):
        keyfiles.make_folder(path)
    if not folder.identity.exists():
        _begin(folder, signer, identity)
    if keyfiles.load_public_identity(folder.identity) != identity:
        refuse("it belongs to another identity", "open it with its own identity, or choose another folder")
    promised = _read_head(folder, identity)
    size, leaf, cut = _find_end(folder, promised)
    if size < promised.size:
        refuse(f"it has {size} entries, but had {promised.size}", _RESTORE)
    return Head.sign(size, leaf, signer, identity.fingerprint), cut


def refuse(why: str, remedy: str, cause: BaseException | None = None) -> NoReturn:
    """Raise the LogStorageError that says ``why`` the log can't be used."""
    raise LogStorageError(
        f"the audit log can't be used: {why}", blame="this machine, or whoever runs it", remedy=remedy
    ) from cause


def _begin(folder: LogFolder, signer: Signer, identity: PublicIdentity) -> None:
    """Make the files of an empty log; the identity last, so that a log with one always has a head."""
    if folder.firsts():
        refuse("it has entries but no identity.json", _RESTORE)
    keyfiles.write_file(folder.head, Head.sign(0, NO_ENTRY, signer, identity.fingerprint).raw)
    keyfiles.save_public_identity(folder.identity, identity)


def _read_head(folder: LogFolder, identity: PublicIdentity) -> Head:
    try:
        return Head.parse(keyfiles.read_file(folder.head), identity)
    except (SettingsError, CryptoError) as error:
        refuse("its head is missing or altered", _RESTORE, error)


def _find_end(folder: LogFolder, promised: Head) -> tuple[int, str, int]:
    """The number of whole records, the last one's leaf hash, and the bytes cut off after it."""
    size, leaf = 0, NO_ENTRY
    try:
        for raw in records(folder):
            size, leaf = size + 1, tree.leaf_hash(raw).hex()
            if size == promised.size and leaf != promised.leaf:
                refuse(f"entry {size - 1} is not the one that its head tells of", _RESTORE)
    except RecordError as error:
        if not error.tail or error.index < promised.size:
            raise
        return size, leaf, _cut(error)
    return size, leaf, 0


def _cut(error: RecordError) -> int:
    """Cut the half-written record off its segment."""
    cut = error.path.stat().st_size - error.offset
    with error.path.open("r+b") as file:
        file.truncate(error.offset)
        os.fsync(file.fileno())
    return cut
