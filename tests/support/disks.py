"""A disk that a test can fill: a party's folder on a small file system of its own, for as long as a block lasts."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

SPARE_BYTES = 8 << 20
_BALLAST = "ballast"
_PIECE = 1 << 16


@dataclass(frozen=True)
class SmallDisk:
    """The file system that holds ``folder``."""

    folder: Path

    def fill(self) -> None:
        """Leave no room at all."""
        file = os.open(self.folder / _BALLAST, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            for piece in (_PIECE, 4096, 1):
                while _written(file, piece):
                    pass
        finally:
            os.close(file)

    def free(self) -> None:
        """Give the room back."""
        (self.folder / _BALLAST).unlink()


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Put ``folder``, which nobody uses now, on a small disk; afterwards it is where it was. Skips without root."""
    aside = folder.with_name(f"{folder.name}.aside")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) + SPARE_BYTES
    shutil.copytree(folder, aside, ignore=_sockets)
    if not _mount(folder, size):
        shutil.rmtree(aside)
        pytest.skip("only root can mount the small file system that this test fills")
    try:
        shutil.copytree(aside, folder, dirs_exist_ok=True)
        yield SmallDisk(folder)
        shutil.rmtree(aside)
        (folder / _BALLAST).unlink(missing_ok=True)
        shutil.copytree(folder, aside, ignore=_sockets)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
    shutil.rmtree(folder)
    aside.rename(folder)


def _mount(folder: Path, size: int) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", folder]
    return os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0


def _sockets(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name).is_socket()]


def _written(file: int, size: int) -> bool:
    try:
        return os.write(file, bytes(size)) > 0
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False
