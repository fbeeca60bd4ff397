"""A sealed total in the making: uploads come frame by frame, are spooled, and added when they are whole.

On disk are the total so far and at most the upload that is coming in; in memory a few frames. Each addition makes a
new file beside the old one, so that neither a crash nor an upload that is refused half-way spoils what was added.

A short vector of words, which comes in one answer, is added in memory instead: after a restart it is added again
from the answers, which are in the journal as long as their job lives.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from consortia_common import keyfiles, sealed
from consortia_common.content import HashedBlobs
from consortia_coordinator.adding import Adder
from consortia_crypto.sum import masking
from consortia_crypto.sum.masking import CollectorGroup
from consortia_crypto.sum.plans import RemovePlan
from consortia_crypto.sum.vector import FileVector, FrameSink, Layout, MemoryVector, Vector, batch


class Totals(Protocol):
    """The total of one attempt at one sum."""

    @property
    def lasting(self) -> bool:
        """Whether what was added is still there after a restart."""

    @property
    def layout(self) -> Layout:
        """How uploads and the total are cut into frames."""

    def receive(self, sender: str, coming: Iterator[bytes], known: str) -> str:
        """Spool the upload of ``sender`` as it comes; its SHA-256, looked for unless it is ``known``.

        Raises SumError for what is no upload.
        """

    def add(self, sender: str) -> None:
        """Add what was received to the total. Raises CryptoError or CoordinatorError, adding nothing."""

    def settle(self) -> None:
        """Remove what is not needed any more, once it is on record how much the total holds."""

    def unmask(self, plan: RemovePlan) -> str:
        """Remove the masks that were revealed; the SHA-256 of what institutions get."""

    def frames(self, first: int) -> list[bytes]:
        """A batch of what institutions get, from frame ``first`` on."""

    def remove(self) -> None:
        """Remove all there is."""


class FileTotals:
    """Implements Totals in files. ``added``: how many uploads are in them, from the caller's memo."""

    lasting = True

    def __init__(self, folder: Path, adder: Adder, added: int) -> None:
        self._folder = keyfiles.make_folder(folder)
        self._adder = adder
        self._added = added

    @property
    def layout(self) -> Layout:
        """See Totals."""
        return self._adder.wire

    def receive(self, sender: str, coming: Iterator[bytes], known: str) -> str:
        """See Totals."""
        with FileVector.creating(self._spool, self.layout.size) as vector:
            return _spooled(vector, self.layout, sender, coming, known)

    def add(self, sender: str) -> None:
        """See Totals; the total is on disk afterwards."""
        before, after = self._total(self._added), self._total(self._added + 1)
        if self._added:
            shutil.copyfile(before, after)
        else:
            FileVector.creating(after, self.layout.size).__exit__()
        self._adder.accumulate(after, self._spool, sender, first=not self._added)
        with after.open("rb+") as file:
            os.fsync(file.fileno())
        self._added += 1

    def settle(self) -> None:
        """See Totals."""
        self._total(self._added - 1).unlink(missing_ok=True)
        self._spool.unlink()

    def unmask(self, plan: RemovePlan) -> str:
        """See Totals."""
        return self._adder.adjust(self._total(self._added), plan.masks, self._folder / "sealed")

    def frames(self, first: int) -> list[bytes]:
        """See Totals."""
        with FileVector.reading(self._folder / "sealed") as vector:
            return batch(vector, self.layout, first, sealed.BATCH)

    def remove(self) -> None:
        """See Totals."""
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _spool(self) -> Path:
        return self._folder / "upload"

    def _total(self, added: int) -> Path:
        return self._folder / f"total.{added}"


class MemoryTotals:
    """Implements Totals in this process's memory, for short vectors of words."""

    lasting = False

    def __init__(self, group: CollectorGroup) -> None:
        self._group = group
        self._upload = MemoryVector.zeros(0)
        self._total: MemoryVector | None = None
        self._digest = ""

    @property
    def layout(self) -> Layout:
        """See Totals."""
        return self._group.wire

    def receive(self, sender: str, coming: Iterator[bytes], known: str) -> str:
        """See Totals."""
        self._upload = MemoryVector.zeros(self.layout.size)
        return _spooled(self._upload, self.layout, sender, coming, known)

    def add(self, sender: str) -> None:
        """See Totals; any words of the right number add up, so that no upload is refused half-way."""
        if self._total is None:
            self._total = self._upload
        else:
            masking.accumulate(self._group, self._total, self._upload, sender, first=False)

    def settle(self) -> None:
        """See Totals."""
        self._upload = MemoryVector.zeros(0)

    def unmask(self, plan: RemovePlan) -> str:
        """See Totals."""
        self._total = self._total or MemoryVector.zeros(self.layout.size)
        self._digest = masking.adjust(self._group, self._total, plan.masks, self._total)
        return self._digest

    def frames(self, first: int) -> list[bytes]:
        """See Totals; there is one batch."""
        total = self._total or MemoryVector.zeros(self.layout.size)
        return HashedBlobs(batch(total, self.layout, first, sealed.BATCH), self._digest)

    def remove(self) -> None:
        """See Totals."""
        self._total = None


def _spooled(vector: Vector, layout: Layout, sender: str, coming: Iterator[bytes], known: str) -> str:
    sink = FrameSink(vector, layout, sender, known)
    for number, frame in enumerate(coming):
        sink.take(number, frame)
    return sink.finish()
