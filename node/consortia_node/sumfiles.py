"""The files of a job's sealed sums at this institution, in its working folder, which goes when the job ends.

    NAME.ROUND.summand    what this institution adds, in the clear: integers of the policy's size, little-endian
    NAME.ROUND.upload     the same masked, as it goes to the coordinator; spent once its sum may be opened
    NAME.ROUND.sealed     the total as it came from the coordinator
    NAME.ROUND.total      the total opened: the same integers

A file is whole or not there: each is written under another name, synced, and renamed. An upload that goes out whole
in one answer is not synced here: the answer is.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from consortia_common import keyfiles
from consortia_crypto.sum.vector import Integers, fitted


@dataclass(frozen=True)
class SumFiles:
    """The files of the sum ``name`` of round ``turn``."""

    folder: Path
    name: str
    turn: int

    @property
    def summand(self) -> Path:
        """What this institution adds."""
        return self._path("summand")

    @property
    def upload(self) -> Path:
        """The same, masked."""
        return self._path("upload")

    @property
    def sealed(self) -> Path:
        """The total as it came."""
        return self._path("sealed")

    @property
    def total(self) -> Path:
        """The total, opened."""
        return self._path("total")

    def spend(self) -> None:
        """Remove what must not be sent again."""
        self.summand.unlink(missing_ok=True)
        self.upload.unlink(missing_ok=True)

    def _path(self, what: str) -> Path:
        return self.folder / f"{self.name}.{self.turn}.{what}"


def write_integers(path: Path, values: Integers, size: int) -> None:
    """Write ``values`` with ``size`` bytes each, whole or not at all. Raises SumError if one does not fit."""
    fit = fitted(values, size)
    with replacing(path) as partial:
        fit.tofile(partial)


def read_integers(path: Path, size: int) -> Integers:
    """The values of a file, ``size`` bytes each, mapped into memory as they are read."""
    return np.memmap(path, f"<i{size}", mode="r")


@contextmanager
def replacing(path: Path, *, lasting: bool = True) -> Iterator[Path]:
    """A file to write, which takes the place of ``path`` when the block ends well, and if ``lasting`` is synced."""
    keyfiles.make_folder(path.parent)
    partial = path.with_name(path.name + ".partial")
    partial.touch(mode=0o600)
    yield partial
    if lasting:
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
    partial.rename(path)
