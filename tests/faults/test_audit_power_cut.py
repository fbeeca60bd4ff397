"""Every system call of the log's writer fails once, or is the last before the power goes: no promise is broken.

The disk here keeps, beside the real files, what a disk would still have after a power cut: file contents as of
their last sync, names as of their folder's last sync. At a cut, everything else is gone, torn or kept.
"""

import contextlib
import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from consortia_common.audit_disk import Disk
from consortia_common.audit_log import AuditLog
from consortia_common.audit_segments import LogFolder, records
from consortia_common.audit_verify import verify_folder
from consortia_common.errors import LogStorageError
from consortia_crypto.audit import tree
from consortia_crypto.audit.checkpoint import Checkpoint
from consortia_crypto.audit.note import Note
from consortia_crypto.keys import PrivateIdentity

OWNER = PrivateIdentity.generate("demo", "bank-a", "node", "n1")


SECTOR = 512
"""What a disk writes whole or not at all."""


class PowerCutError(BaseException):
    """The machine is off: no handler may go on."""


class FaultyDisk(Disk):
    """Lets call number ``fatal`` fail: with an error, or as the power cut before or after it."""

    def __init__(self, fatal: int = -1, how: str = "error") -> None:
        self.calls = 0
        self.fatal = fatal
        self.how = how
        self.is_off = False
        self.paths: dict[int, Path] = {}
        self.unsynced: dict[Path, int] = {}
        """Files with content that is not on disk, and how much of it was when last synced."""
        self.renamed: list[tuple[Path, Path, bytes | None, int | None]] = []
        """Names given and not synced: from where, to where, what was there before (files), and how far synced."""

    def _call(self, act):
        if self.is_off:
            raise PowerCutError
        self.calls += 1
        if self.calls - 1 != self.fatal:
            return act()
        if self.how == "error":
            raise OSError(5, "Input/output error")
        self.is_off = True
        if self.how == "cut after":
            act()
        raise PowerCutError

    def open(self, path, flags, mode=0o600):
        descriptor = self._call(lambda: Disk.open(self, path, flags, mode))
        self.paths[descriptor] = path
        if flags & (os.O_CREAT | os.O_TRUNC):
            self.unsynced.setdefault(path, os.fstat(descriptor).st_size)
        return descriptor

    def write(self, descriptor, data):
        def act():
            self.unsynced.setdefault(self.paths[descriptor], os.fstat(descriptor).st_size)
            Disk.write(self, descriptor, data)

        self._call(act)

    def _synced(self, descriptor):
        path = self.paths[descriptor]
        self.unsynced.pop(path, None)
        self.renamed = [item for item in self.renamed if item[1].parent != path]

    def sync_data(self, descriptor):
        self._call(lambda: (Disk.sync_data(self, descriptor), self._synced(descriptor)))

    def sync(self, descriptor):
        self._call(lambda: (Disk.sync(self, descriptor), self._synced(descriptor)))

    def truncate(self, descriptor, size):
        self._call(lambda: Disk.truncate(self, descriptor, size))

    def rename(self, path, target):
        def act():
            before = target.read_bytes() if target.is_file() else None
            Disk.rename(self, path, target)
            self.renamed.append((path, target, before, self.unsynced.pop(target, None)))
            if path in self.unsynced:
                self.unsynced[target] = self.unsynced.pop(path)

        self._call(act)

    def close(self, descriptor):
        if self.is_off:
            return
        self._call(lambda: None)
        Disk.close(self, descriptor)

    def remove(self, path):
        self._call(lambda: Disk.remove(self, path))

    def make_folder(self, path):
        self._call(lambda: Disk.make_folder(self, path))

    def lose(self, torn: bool) -> None:
        """What the power cut takes: names that were not synced go back, contents that were not are gone or torn."""
        for source, target, before, kept in reversed(self.renamed):
            if target.exists():
                target.replace(source)
            if target in self.unsynced:
                self.unsynced[source] = self.unsynced.pop(target)
            if before is not None:
                target.write_bytes(before)
                target.chmod(0o600)
                if kept is not None:
                    self.unsynced[target] = kept
        for path, kept in self.unsynced.items():
            if path.is_file():
                lost = max(0, path.stat().st_size - kept)
                os.truncate(path, kept + (lost * 2 // 3 if torn and lost > SECTOR else 0))
                if torn and lost <= SECTOR:
                    os.truncate(path, kept + lost)  # the length arrived, the only sector did not


class Years:
    """A clock that is in the next year once ``turn`` is called."""

    def __init__(self):
        self.year = 2026

    def __call__(self):
        return datetime(self.year, 1, 1, tzinfo=UTC)


def workload(folder, disk, promised, signed):
    """Open, write, checkpoint, fill segments, change keys and years; notes every promise that the log makes."""
    clock = Years()
    audit = AuditLog.open(folder, OWNER, "bank-a", clock, segment_bytes=2500, disk=disk)
    audit.on_checkpoint(lambda item: signed.append(item.note.raw))
    try:
        for _ in range(2):
            promised += audit.append_many([("peer.connected", {"peer": f"b{n}"}) for n in range(3)])
            promised.append(audit.append("peer.connected", peer="lone"))
            audit.checkpoint()
        audit.rotate_keys()
        promised.append(audit.append("peer.connected", peer="after"))
        clock.year = 2027
        promised.append(audit.append("peer.connected", peer="next year"))
        audit.checkpoint()
    finally:
        if not disk.is_off:
            audit.close()
        audit._hold.release()


def number_of_calls():
    with tempfile.TemporaryDirectory() as folder:
        disk = FaultyDisk()
        workload(Path(folder) / "log", disk, [], [])
    return disk.calls


CALLS = number_of_calls()


def history(folder):
    """Every entry of every year."""
    return [raw for shard in LogFolder(folder).shards() for raw in records(shard)]


def roots(folder):
    """The root at every size of every year's log, by origin and size."""
    found = {}
    for shard in LogFolder(folder).shards():
        checkpoint = Checkpoint.parse(Note.parse(shard.checkpoint.read_bytes()).text)
        leaves = [tree.leaf_hash(raw) for raw in records(shard)]
        found |= {(checkpoint.origin, size): tree.root(leaves[:size]) for size in range(len(leaves) + 1)}
    return found


def check(folder, promised, signed):
    """Open the log anew; all that was promised is there, and whatever was signed is true of what is there."""
    with AuditLog.open(folder, OWNER, "bank-a", lambda: datetime(2027, 1, 1, tzinfo=UTC)):
        pass
    entries = set(history(folder))
    assert [entry.index for entry in promised if entry.raw not in entries] == []
    true = roots(folder)
    for raw in signed:
        checkpoint = Checkpoint.parse(Note.parse(raw).text)
        assert true[checkpoint.origin, checkpoint.size] == checkpoint.root
    for shard in LogFolder(folder).shards():
        assert verify_folder(shard.path, OWNER.public.fingerprint).summary == "verified"


def fail_at(folder, fatal, how):
    """One run in which call number ``fatal`` fails, and what can be seen of it afterwards."""
    promised, signed = [], []
    disk = FaultyDisk(fatal, how)
    with contextlib.suppress(LogStorageError, PowerCutError):
        workload(folder, disk, promised, signed)
    if how != "error":
        kept = shutil.copytree(folder, folder.with_name(f"{folder.name}-kept"))
        check(kept, promised, signed)  # as after SIGKILL: the kernel writes what it was given
        disk.lose(torn=fatal % 2 == 0)
    check(folder, promised, signed)


HOW = ["error", "cut before", "cut after"]


@pytest.mark.parametrize("how", HOW)
def test_a_call_that_fails_costs_no_promise(tmp_path, how):
    for fatal in range(HOW.index(how), CALLS, 29):
        fail_at(tmp_path / str(fatal), fatal, how)


@pytest.mark.slow
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("part", range(8))
def test_no_call_that_fails_costs_a_promise(tmp_path, how, part):
    for fatal in range(part, CALLS, 8):
        fail_at(tmp_path / str(fatal), fatal, how)
