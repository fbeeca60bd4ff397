"""A sealed total in the making: uploads come frame by frame, are spooled, and added when they are whole.

On disk are the total so far and at most the upload that is coming in; in memory a few frames. Each addition makes a
new file beside the old one, so that neither a crash nor an upload that is refused half-way spoils what was added.

A short vector, which comes in one answer, may be added in memory instead: after a restart it is added again from
the answers, which are in the journal as long as their job lives.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from consortia_common import keyfiles
from consortia_crypto.sum import masking
from consortia_crypto.sum.masking import CollectorGroup
from consortia_crypto.sum.plans import RemovePlan
from consortia_crypto.sum.vector import FileVector, FrameSink, Layout, MemoryVector, Vector, frames

_UPLOAD, _SEALED = "upload", "sealed"


class Totals:
    """The total of one attempt at one sum. ``added``: how many uploads are in it, from the caller's memo.

    With ``short`` it is in memory, and there are none at first.
    """

    def __init__(self, folder: Path, group: CollectorGroup, added: int, *, short: bool = False) -> None:
        self.short = short
        self._folder = folder
        self._group = group
        self._memory: dict[str, MemoryVector] = {}
        self._added = 0 if short else added

    @property
    def layout(self) -> Layout:
        """How uploads and the total are cut into frames."""
        return self._group.wire

    def receive(self, sender: str, coming: Iterator[bytes]) -> str:
        """Spool the upload of ``sender`` as it comes; its SHA-256. Raises SumError for what is no upload."""
        with self._making(_UPLOAD) as vector:
            sink = FrameSink(vector, self.layout, sender)
            for number, frame in enumerate(coming):
                sink.take(number, frame)
            return sink.finish()

    def add(self, sender: str) -> None:
        """Add what was received to the total. Raises CryptoError, adding nothing.

        A long total is on disk afterwards.
        """
        after = _total(self._added + 1)
        with self._reading(_UPLOAD) as upload, self._copied(_total(self._added), after) as total:
            masking.accumulate(self._group, total, upload, sender, first=not self._added)
        if not self.short:
            with (self._folder / after).open("rb+") as file:
                os.fsync(file.fileno())
        self._added += 1

    def settle(self) -> None:
        """Remove what is not needed any more, once it is on record how much the total holds."""
        for name in (_total(self._added - 1), _UPLOAD):
            self._memory.pop(name, None)
            if not self.short:
                (self._folder / name).unlink(missing_ok=True)

    def unmask(self, plan: RemovePlan) -> str:
        """Remove the masks that were revealed; the SHA-256 of what institutions get."""
        with self._reading(_total(self._added)) as total, self._making(_SEALED) as sink:
            return masking.adjust(self._group, total, plan.masks, sink)

    def frames(self) -> Iterator[bytes]:
        """What institutions get, frame by frame."""
        with self._reading(_SEALED) as vector:
            yield from frames(vector, self.layout)

    def remove(self) -> None:
        """Remove all there is."""
        self._memory.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def _making(self, name: str) -> Iterator[Vector]:
        if self.short:
            self._memory[name] = MemoryVector.zeros(self.layout.size)
            yield self._memory[name]
        else:
            keyfiles.make_folder(self._folder)
            with FileVector.creating(self._folder / name, self.layout.size) as vector:
                yield vector

    @contextmanager
    def _reading(self, name: str) -> Iterator[Vector]:
        if self.short:
            yield self._memory[name]
        else:
            with FileVector.reading(self._folder / name) as vector:
                yield vector

    @contextmanager
    def _copied(self, before: str, after: str) -> Iterator[Vector]:
        """A copy to be changed; if there is nothing yet, nothing but zeros."""
        if not self._added:
            with self._making(after) as vector:
                yield vector
        elif self.short:
            self._memory[after] = MemoryVector(self._memory[before].data.copy())
            yield self._memory[after]
        else:
            shutil.copyfile(self._folder / before, self._folder / after)
            with FileVector.changing(self._folder / after) as vector:
                yield vector


def _total(added: int) -> str:
    return f"total.{added}"
