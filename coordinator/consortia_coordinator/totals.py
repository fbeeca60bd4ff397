"""A sealed total in the making: uploads come frame by frame, are spooled, and added when they are whole.

On disk are the total so far and at most the upload that is coming in; in memory a few frames. Each addition makes a
new file beside the old one, so that neither a crash nor an upload that is refused half-way spoils what was added.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from consortia_common import keyfiles
from consortia_coordinator.adding import Adder
from consortia_crypto.sum.plans import RemovePlan
from consortia_crypto.sum.vector import FileVector, FrameSink, Layout, frames


class Totals:
    """The total of one attempt at one sum. ``added``: how many uploads are in it, from the caller's memo."""

    def __init__(self, folder: Path, adder: Adder, added: int) -> None:
        self._folder = keyfiles.make_folder(folder)
        self._adder = adder
        self._added = added

    @property
    def layout(self) -> Layout:
        """How uploads and the total are cut into frames."""
        return self._adder.wire

    def receive(self, sender: str, coming: Iterator[bytes]) -> str:
        """Spool the upload of ``sender`` as it comes; its SHA-256. Raises SumError for what is no upload."""
        with FileVector.creating(self._spool, self.layout.size) as vector:
            sink = FrameSink(vector, self.layout, sender)
            for number, frame in enumerate(coming):
                sink.take(number, frame)
            return sink.finish()

    def add(self, sender: str) -> None:
        """Add what was received to the total, which is on disk afterwards.

        Raises CryptoError or CoordinatorError, adding nothing.
        """
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
        """Remove what is not needed any more, once it is on record how much the total holds."""
        self._total(self._added - 1).unlink(missing_ok=True)
        self._spool.unlink()

    def unmask(self, plan: RemovePlan) -> str:
        """Remove the masks that were revealed; the SHA-256 of what institutions get."""
        return self._adder.adjust(self._total(self._added), plan.masks, self._folder / "sealed")

    def frames(self) -> Iterator[bytes]:
        """What institutions get, frame by frame."""
        with FileVector.reading(self._folder / "sealed") as vector:
            yield from frames(vector, self.layout)

    def remove(self) -> None:
        """Remove all files."""
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _spool(self) -> Path:
        return self._folder / "upload"

    def _total(self, added: int) -> Path:
        return self._folder / f"total.{added}"
