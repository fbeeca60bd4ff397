"""Long vectors as bytes in memory or in files, and the frames in which they travel. Bounded memory at any length.

A Layout says how a vector's units (a value, a word, a ciphertext) are cut into frames; everybody derives it
from the sum's policy, so a frame that comes from outside has exactly one right number and one right length.
Frames are whole units: frame i of the values becomes frame i of the upload and frame i of the sum.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from consortia_crypto.errors import SumError

FRAME_BYTES = 1 << 20
"""No frame on the wire is longer."""

Octets: TypeAlias = NDArray[np.uint8]
Integers: TypeAlias = NDArray[np.signedinteger]
"""Values in the clear: int32 where words have at most 32 bits, else int64."""


@dataclass(frozen=True)
class Layout:
    """``units`` units of ``unit_bytes`` bytes, in frames of ``per_frame`` units, the last one shorter."""

    units: int
    unit_bytes: int
    per_frame: int

    @property
    def size(self) -> int:
        """Bytes of the whole vector."""
        return self.units * self.unit_bytes

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return -(-self.units // self.per_frame)

    def start(self, frame: int) -> int:
        """The place of the frame's first unit."""
        return frame * self.per_frame

    def count(self, frame: int) -> int:
        """How many units the frame has."""
        return min(self.per_frame, self.units - self.start(frame))

    def offset(self, frame: int) -> int:
        """The place of the frame's first byte."""
        return self.start(frame) * self.unit_bytes

    def length(self, frame: int) -> int:
        """How many bytes the frame has."""
        return self.count(frame) * self.unit_bytes

    def integers(self, octets: Octets) -> Integers:
        """Bytes of such a vector read as values in the clear: signed, little-endian, a unit each."""
        return octets.view(f"<i{self.unit_bytes}")

    def octets(self, values: Integers) -> Octets:
        """Values in the clear as bytes of such a vector. Raises SumError as ``fitted`` does."""
        return np.ascontiguousarray(fitted(values, self.unit_bytes)).view(np.uint8)


class Vector(Protocol):
    """Bytes that can be read and written piece by piece, by one thread at a time."""

    @property
    def size(self) -> int:
        """How many bytes there are."""

    def read(self, offset: int, count: int, room: Octets | None = None) -> Octets:
        """``count`` bytes from ``offset``, not to be changed; they may lie in ``room``."""

    def write(self, offset: int, data: Octets) -> None:
        """Put ``data`` at ``offset``."""


class MemoryVector:
    """A vector in memory."""

    def __init__(self, data: Octets) -> None:
        self.data = data

    @classmethod
    def zeros(cls, size: int) -> Self:
        """``size`` bytes to be written."""
        return cls(np.zeros(size, np.uint8))

    @property
    def size(self) -> int:
        """See Vector."""
        return len(self.data)

    def read(self, offset: int, count: int, room: Octets | None = None) -> Octets:
        """See Vector."""
        del room
        return self.data[offset : offset + count]

    def write(self, offset: int, data: Octets) -> None:
        """See Vector."""
        self.data[offset : offset + len(data)] = data


class FileVector:
    """A vector in a file, for a ``with`` block; at its end what was written is with the operating system."""

    def __init__(self, file: BufferedIOBase, size: int) -> None:
        self._file = file
        self._size = size

    @classmethod
    def reading(cls, path: Path) -> Self:
        """A file as it is."""
        return cls(path.open("rb"), path.stat().st_size)

    @classmethod
    def changing(cls, path: Path) -> Self:
        """A file whose bytes are read and replaced."""
        return cls(path.open("r+b"), path.stat().st_size)

    @classmethod
    def creating(cls, path: Path, size: int) -> Self:
        """A file of ``size`` bytes, all zero until they are written, for its owner's eyes only."""
        path.touch(mode=0o600)
        file = path.open("w+b")
        file.truncate(size)
        return cls(file, size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def size(self) -> int:
        """See Vector."""
        return self._size

    def read(self, offset: int, count: int, room: Octets | None = None) -> Octets:
        """See Vector. Raises SumError for a file that became shorter."""
        data = np.empty(count, np.uint8) if room is None else room[:count]
        self._file.seek(offset)
        if self._file.readinto(data.data) != count:
            raise refused("its file is shorter than it was", "this machine's storage")
        return data

    def write(self, offset: int, data: Octets) -> None:
        """See Vector."""
        self._file.seek(offset)
        self._file.write(data.data)


class FrameSink:
    """Takes a vector's frames in order from ``sender``, and nothing else, into ``vector``.

    ``known``: the SHA-256 of the whole, where the caller has looked at these very bytes before.
    """

    def __init__(self, vector: Vector, layout: Layout, sender: str, known: str = "") -> None:
        check_size(vector, layout, "the place where frames are kept")
        self._vector = vector
        self._layout = layout
        self._sender = sender
        self._known = known
        self._hash = hashlib.sha256()
        self.next = 0
        """The number of the frame that comes next."""

    def take(self, frame: int, data: bytes) -> None:
        """Keep frame number ``frame``. Raises SumError for any frame but the next, and for a wrong length."""
        if frame != self.next or frame >= self._layout.frames:
            raise refused(f"frame {frame} came where {self.next} of {self._layout.frames} was due", self._sender)
        if len(data) != self._layout.length(frame):
            raise refused(f"frame {frame} has {len(data)} bytes, not {self._layout.length(frame)}", self._sender)
        self._vector.write(self._layout.offset(frame), np.frombuffer(data, np.uint8))
        if not self._known:
            self._hash.update(data)
        self.next += 1

    def finish(self) -> str:
        """SHA-256 of the whole vector, in hexadecimal. Raises SumError while a frame is missing."""
        if self.next != self._layout.frames:
            raise refused(f"it ended after {self.next} of {self._layout.frames} frames", self._sender)
        return self._known or self._hash.hexdigest()


def frame_of(vector: Vector, layout: Layout, frame: int, room: Octets | None = None) -> Octets:
    """The bytes of one frame; they may lie in ``room``. Raises SumError for a frame that there is not."""
    if not 0 <= frame < layout.frames:
        raise refused(f"there is no frame {frame}: the vector has {layout.frames}", "whoever asked for it")
    return vector.read(layout.offset(frame), layout.length(frame), room)


def batch(vector: Vector, layout: Layout, first: int, most: int) -> list[bytes]:
    """At most so many frames from ``first`` on, as they travel."""
    return [frame_of(vector, layout, frame).tobytes() for frame in range(layout.frames)[first : first + most]]


def frames(vector: Vector, layout: Layout) -> Iterator[bytes]:
    """All frames in order, as they travel. Raises SumError for a vector of another size."""
    check_size(vector, layout, "a vector to be sent")
    return (frame_of(vector, layout, frame).tobytes() for frame in range(layout.frames))


def check_size(vector: Vector, layout: Layout, what: str) -> None:
    """Return if ``vector`` has exactly the bytes of ``layout``; else raise SumError."""
    if vector.size != layout.size:
        raise refused(f"{what} has {vector.size} bytes, not {layout.size}", "this process")


def fitted(values: Integers, size: int) -> Integers:
    """``values`` with ``size`` bytes each, little-endian. Raises SumError if one does not fit."""
    room = 2 ** (8 * size - 1)
    if values.itemsize > size and values.size and not -room <= int(values.min()) <= int(values.max()) < room:
        raise refused(
            f"a value is beyond {8 * size} bits", "the computation that made the values, or who sent them"
        )
    return values.astype(f"<i{size}", copy=False)


def refused(why: str, blame: str) -> SumError:
    """The error for a vector, or a frame of one, that is not as the policy says."""
    return SumError(
        f"a sealed vector was refused: {why}",
        blame=blame,
        remedy="compare the sum's policy on both sides with the job specification, then run the round again",
    )
