"""The files of a job's sealed sums at this institution, in its working folder, which goes when the job ends.

    NAME.ROUND.summand    what this institution adds, in the clear: integers of the policy's size, little-endian
    NAME.ROUND.masked     the same masked, until it is known what its hash is
    NAME.ROUND.HASH.upload  that, as it goes to the coordinator; spent once its sum may be opened
    NAME.ROUND.sealed     the total as it came from the coordinator
    NAME.ROUND.total      the total opened: the same integers

A file is whole or not there: each is written under another name, and renamed. Until the answer of the step that
made them is stored a power cut may take or spoil them, since the step is then taken again; they are synced at the
same time, just before the answer is. An upload that goes out whole in one answer is not synced: the answer is.
"""

import os
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from consortia_common import keyfiles
from consortia_crypto.sum.vector import Integers, fitted

_SYNCING = ThreadPoolExecutor(4, thread_name_prefix="sync")


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
    def masked(self) -> Path:
        """The same, masked."""
        return self._path("masked")

    def upload(self, digest: str) -> Path:
        """What was masked, by its SHA-256: a step that is taken again masks another vector, and no byte of the
        first may be sent for the second."""
        return self._path(f"{digest}.upload")

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
        for path in (self.summand, self.masked, *self.folder.glob(f"{self.name}.{self.turn}.*.upload")):
            path.unlink(missing_ok=True)

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
def synced(paths: Collection[Path]) -> Iterator[None]:
    """These files are on disk when the block ends. They go at the same time: that takes no longer than one does."""
    under_way = [_SYNCING.submit(_sync, path) for path in paths]
    yield
    for each in under_way:
        each.result()


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fdatasync(file.fileno())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write, which takes the place of ``path`` when the block ends well."""
    keyfiles.make_folder(path.parent)
    partial = path.with_name(path.name + ".partial")
    partial.touch(mode=0o600)
    yield partial
    partial.rename(path)
