"""Memory in which frames are worked on. It is bounded: a pass over a vector takes a few rooms and gives them back.

Given back, a room waits for the next vector: memory fresh from the operating system costs more CPU, page by page,
than putting a mask on what lies in it. Nobody may refer to a room's bytes after the pass that took it;
what lay there stays until it is written over, as in any memory that was freed.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

from consortia_crypto.sum.keystream import memory, new_buffer
from consortia_crypto.sum.vector import FRAME_BYTES, Octets

_BYTES = 2 * FRAME_BYTES
"""No frame has more: of words of 16 bits, which fill it on the wire, the values in the clear have 32."""
_SPARE = 4
"""Rooms that wait, at most; and of each only what was written to is in memory."""


@dataclass(frozen=True)
class Room:
    """For one frame: what is read, what is made of it, and a piece of what it is made with."""

    read: Octets = field(repr=False)
    made: Octets = field(repr=False)
    piece: Octets = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        """Fresh from the operating system."""
        return cls(memory(_BYTES), memory(_BYTES), new_buffer())


_spare: deque[Room] = deque(maxlen=_SPARE)


@contextmanager
def rooms(count: int) -> Iterator[list[Room]]:
    """So many rooms for a pass."""
    taken = [_taken() for _ in range(count)]
    try:
        yield taken
    finally:
        _spare.extend(taken)


def _taken() -> Room:
    try:
        return _spare.pop()
    except IndexError:
        return Room.new()
