"""The limit: float32 added in plain sight, with frames and files as the sealed sum has them, and nothing else."""

from pathlib import Path

import numpy as np

from benchmarks.sum.alone import Ledger
from benchmarks.sum.vectors import pieces, require, whole


def play(ledger: Ledger, folder: Path) -> None:
    """One round. Each institution's frames go out from its file; the total comes back into one."""
    shape = ledger.shape
    upload, total, back = folder / "upload", folder / "total", folder / "back"
    for number in range(shape.institutions):
        ledger.run("institution", seal, folder / "update", upload)
        ledger.run("coordinator", add, upload, total, number == 0)
        ledger.run("institution", copy, total, back)  # the last one's is the round's total
        ledger.sent += upload.stat().st_size
        ledger.received += back.stat().st_size
    if shape.length <= 10**6:
        expected = whole(folder / "update") * shape.institutions
        require(right=bool(np.allclose(whole(back), expected, atol=1e-3)), system="plain")


def seal(update: Path, upload: Path) -> None:
    """What the other engines seal goes out as it is."""
    copy(update, upload)


def copy(source: Path, target: Path) -> None:
    """Frame by frame."""
    with target.open("wb") as file:
        for piece in pieces(source):
            file.write(piece.data)


def add(upload: Path, total: Path, first: bool) -> None:
    """Add an upload to the total."""
    if first:
        copy(upload, total)
        return
    with total.open("r+b") as file:
        for piece in pieces(upload):
            place = file.tell()
            added = piece + np.fromfile(file, "<f4", len(piece))
            file.seek(place)
            file.write(added.data)
