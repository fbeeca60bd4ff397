"""The update that every institution of a round adds: float32 in a file, read and written piece by piece."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CLIP = 1.0
"""No value is larger."""
PIECE = 1 << 18
"""Values at a time: 1 MiB of float32, as long as a frame of an upload."""
Floats32 = NDArray[np.float32]


def write_update(path: Path, length: int) -> None:
    """Make an update of so many values; the same in each run."""
    generator = np.random.default_rng(1)
    with path.open("wb") as file:
        for start in range(0, length, PIECE):
            piece = generator.normal(0, 0.1, min(PIECE, length - start)).clip(-CLIP, CLIP)
            piece.astype("<f4").tofile(file)


def pieces(path: Path) -> Iterator[Floats32]:
    """The values of a file of float32."""
    with path.open("rb") as file:
        while len(piece := np.fromfile(file, "<f4", PIECE)):
            yield piece


def whole(path: Path) -> Floats32:
    """All values at once, as peers want them that can't do with less."""
    return np.fromfile(path, "<f4")


def require(*, right: bool, system: str) -> None:
    """Raise RuntimeError unless the sum came out: a figure of a wrong sum is none."""
    if not right:
        raise RuntimeError(f"the sum of {system} is wrong, so that its figures mean nothing")
