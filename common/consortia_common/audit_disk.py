"""The system calls that a log's writer makes, in one place, so that tests can let each of them fail.

Nothing here decides anything. A write that is short counts as failed; every failure is an OSError.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from consortia_common.keyfiles import PRIVATE


class Disk:
    """The real disk. Paths are those of one log's folder."""

    def open(self, path: Path, flags: int, mode: int = PRIVATE) -> int:
        """A descriptor of the file, made if ``flags`` say so."""
        return os.open(path, flags, mode)

    def write(self, descriptor: int, data: bytes) -> None:
        """Write all of ``data``."""
        if os.write(descriptor, data) != len(data):
            raise OSError("it was written in part only")

    def sync_data(self, descriptor: int) -> None:
        """Return when what was written, and the file's length, are on disk."""
        os.fdatasync(descriptor)

    def sync(self, descriptor: int) -> None:
        """Return when the file or folder is on disk with all that belongs to it."""
        os.fsync(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut the file."""
        os.ftruncate(descriptor, size)

    def rename(self, path: Path, target: Path) -> None:
        """Move a file or folder, in one step, to where another one may be."""
        path.replace(target)

    def close(self, descriptor: int) -> None:
        """Give the descriptor back."""
        os.close(descriptor)

    def remove(self, path: Path) -> None:
        """Remove a file; none need be there."""
        path.unlink(missing_ok=True)

    def make_folder(self, path: Path) -> None:
        """Make one folder; its name is not yet on disk."""
        path.mkdir(mode=0o700)


def make_folders(disk: Disk, path: Path, *, inside: Path) -> None:
    """Make ``path`` and what is missing above it, up to ``inside``, durably."""
    missing = [folder for folder in (path, *path.parents) if inside in folder.parents and not folder.is_dir()]
    for folder in reversed(missing):
        disk.make_folder(folder)
        sync_folders(disk, {folder.parent})


def sync_folders(disk: Disk, folders: Iterable[Path]) -> None:
    """Return when the names in these folders are on disk."""
    for folder in sorted(folders):
        descriptor = disk.open(folder, os.O_RDONLY)
        try:
            disk.sync(descriptor)
        finally:
            disk.close(descriptor)


def put_file(disk: Disk, path: Path, data: bytes, mode: int = PRIVATE, *, sync: bool = True) -> None:
    """Have ``path`` hold ``data`` or what it held before, never a part; which of the two, a power cut may decide.

    The folder must be synced for the name to be durable; until then an older file may come back. Without ``sync``
    readers still see one or the other, but a power cut may leave an empty file.
    """
    temporary = path.with_name(f".{path.name}.new")
    descriptor = disk.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        disk.write(descriptor, data)
        if sync:
            disk.sync_data(descriptor)
    finally:
        disk.close(descriptor)
    disk.rename(temporary, path)


def put_file_durably(disk: Disk, path: Path, data: bytes, mode: int = PRIVATE) -> None:
    """As ``put_file``; the new content stays, whatever happens afterwards."""
    put_file(disk, path, data, mode)
    sync_folders(disk, {path.parent})
