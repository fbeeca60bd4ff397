"""One log for each year: how a year's log is put away and the next one begun.

    years/<year>/   identity.json, vkeys.json, segments/, tile/, head, checkpoint, cosigned/: what the log was

The first entry of the new log, ``log.continued``, names the last checkpoint of the one before, so that the years
are a chain too. A file ``turning`` says that a year is being put away; each step can be done twice, so whoever
finds it goes on where the crash was. Documents and evidence stay where they are: they may be cited in any year.
"""

from consortia_common import audit_keys, keyfiles
from consortia_common.audit_disk import Disk, make_folders, put_file_durably, sync_folders
from consortia_common.audit_hold import refuse
from consortia_common.audit_recovery import begin
from consortia_common.audit_segments import LogFolder
from consortia_crypto import canonical
from consortia_crypto.audit.checkpoint import Checkpoint, log_origin
from consortia_crypto.audit.note import Note
from consortia_crypto.errors import CryptoError
from consortia_crypto.keys import Signer

_MOVED = ("segments", "tile", "head", "checkpoint", "tip", "cosigned")
_MARK = "turning"
_RESTORE = "restore the newest copy of the log, and keep this one as evidence"


def turn(folder: LogFolder, signer: Signer, disk: Disk, year: int, next_year: int) -> None:
    """Put the log of ``year`` away, whose last checkpoint covers it all, and begin that of ``next_year``."""
    put_away = LogFolder(folder.years / f"{year:04d}")
    make_folders(disk, put_away.path, inside=folder.path)
    for name in ("identity.json", "vkeys.json"):
        put_file_durably(disk, put_away.path / name, keyfiles.read_file(folder.path / name))
    put_file_durably(disk, folder.path / _MARK, canonical.encode({"year": year, "next": next_year}))
    finish_turn(folder, signer, disk)


def finish_turn(folder: LogFolder, signer: Signer, disk: Disk) -> None:
    """Do what is left to do of a turn that was begun; nothing if there is none."""
    mark = folder.path / _MARK
    if not mark.exists():
        return
    try:
        value = canonical.decode(keyfiles.read_file(mark))
        put_away, next_year = folder.years / f"{value['year']:04d}", int(value["next"])
    except (CryptoError, KeyError, TypeError, ValueError) as error:
        refuse(f"its file {_MARK} is damaged", _RESTORE, error)
    for name in _MOVED:
        if (folder.path / name).exists() and not (put_away / name).exists():
            disk.rename(folder.path / name, put_away / name)
    sync_folders(disk, {put_away, folder.path})
    _begin_next(folder, signer, disk, next_year)
    disk.remove(mark)
    sync_folders(disk, {folder.path})


def previous(folder: LogFolder) -> Checkpoint | None:
    """The last checkpoint of the year before; None if this is the first one."""
    *earlier, _ = folder.shards()
    if not earlier:
        return None
    try:
        return Checkpoint.parse(Note.parse(keyfiles.read_file(earlier[-1].checkpoint)).text)
    except CryptoError as error:
        refuse("the checkpoint of the year before is damaged", _RESTORE, error)


def _begin_next(folder: LogFolder, signer: Signer, disk: Disk, year: int) -> None:
    make_folders(disk, folder.segments, inside=folder.path)
    if not folder.head.exists():
        begin(folder, signer, disk)
    owner = signer.public
    origin = log_origin(owner.network, owner.institution, year)
    keys = audit_keys.load(folder, owner)
    pairs = keys.pairs if keys is not None else ()
    if not any(pair.name == origin for pair in pairs):
        audit_keys.begin(origin, 0, pairs, signer).store(folder, disk)
