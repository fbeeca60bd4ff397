"""Masks on and off: one pass over a vector, frame by frame, a long one's on all cores, in bounded memory.

What is added and how is the group's: words modulo 2^w (words.py) or encrypted slots (lattice.py). The masks,
their signs and that no seed is ever used for two vectors come from the key schedule and the state machines.

A frame is read, handed to a thread, and written in its turn; a few frames are under way at a time, each in a room
that a later frame gets again. The encryption and the additions release the interpreter's lock.
"""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

from consortia_crypto.sum.rooms import Room, rooms
from consortia_crypto.sum.vector import Integers, Layout, Octets, Vector, check_size, frame_of

_Made = TypeVar("_Made")
_WORTH = 1 << 26
"""Bytes of keystream for each thread: one makes and adds so much in 8 ms. Threads cost one another a tenth of their
CPU, and for less they would save a millisecond or two."""


@dataclass(frozen=True)
class Mask:
    """One keystream: what expands it, and whether it is added (1) or subtracted (-1)."""

    seed: bytes = field(repr=False)
    sign: Literal[1, -1]


class MemberGroup(Protocol):
    """What an institution does: it seals values and opens sums."""

    @property
    def values(self) -> Layout:
        """How values in the clear are cut."""

    @property
    def wire(self) -> Layout:
        """How sealed vectors are cut: as many frames, of at most FRAME_BYTES."""

    @property
    def parallel(self) -> bool:
        """Whether frames gain from more than one thread."""

    def seal(self, frame: int, values: Integers, masks: Sequence[Mask], room: Room | None = None) -> Octets:
        """The values of one frame, none beyond the policy's limit, masked; it may lie in ``room``."""

    def open(self, frame: int, sealed: Octets, masks: Sequence[Mask], room: Room | None = None) -> Integers:
        """The integers of one frame of a sum, after ``masks``; see ``seal``. Raises SumError or CiphertextError."""


class CollectorGroup(Protocol):
    """What the coordinator does: it adds what it can't read."""

    @property
    def wire(self) -> Layout:
        """How sealed vectors are cut."""

    @property
    def parallel(self) -> bool:
        """Whether frames gain from more than one thread."""

    def add(self, total: Octets | None, sealed: Octets, sender: str, room: Room | None = None) -> Octets:
        """One frame of a running total (None: there is none yet) and that of ``sender``'s upload."""

    def adjust(self, frame: int, sealed: Octets, masks: Sequence[Mask], room: Room | None = None) -> Octets:
        """One frame of a total after ``masks``; it may lie in ``room``."""


def adjust(
    group: CollectorGroup, total: Vector, masks: Sequence[Mask], sink: Vector, threads: int | None = None
) -> str:
    """Write ``total`` ± ``masks`` into ``sink``, which may be ``total``; SHA-256 of what was written."""
    check_size(total, group.wire, "the total")
    check_size(sink, group.wire, "the place for the total")
    made = in_order(
        group.wire.frames,
        lambda frame, room: frame_of(total, group.wire, frame, room.read),
        lambda frame, read, room: group.adjust(frame, read, masks, room),
        thread_count(group, masks, threads),
    )
    return written(made, group.wire, sink)


def accumulate(group: CollectorGroup, total: Vector, upload: Vector, sender: str, *, first: bool) -> None:
    """Add ``sender``'s ``upload`` to ``total``; the ``first`` one replaces what is there. Raises CryptoError.

    An upload that is refused half-way leaves a total that must be made anew from the others.
    """
    check_size(upload, group.wire, f"the upload of {sender}")
    check_size(total, group.wire, "the total")
    with rooms(2) as (ours, theirs):
        for frame in range(group.wire.frames):
            before = None if first else frame_of(total, group.wire, frame, ours.read)
            coming = frame_of(upload, group.wire, frame, theirs.read)
            total.write(group.wire.offset(frame), group.add(before, coming, sender, ours))


def in_order(
    count: int, read: Callable[[int, Room], Octets], work: Callable[[int, Octets, Room], _Made], threads: int
) -> Iterator[_Made]:
    """``work(frame, read(frame))`` for each frame, in order: the work on ``threads`` threads, the reading here.

    Each frame has a room for both, until the next but ``threads`` is asked for.
    """
    threads = min(threads, count)
    if threads == 1:
        with rooms(1) as (room,):
            yield from (work(frame, read(frame, room), room) for frame in range(count))
        return
    under_way: deque[Future[_Made]] = deque()
    with rooms(threads + 1) as taken, ThreadPoolExecutor(threads) as pool:
        for frame in range(count):
            if len(under_way) > threads:
                yield under_way.popleft().result()
            room = taken[frame % len(taken)]
            under_way.append(pool.submit(work, frame, read(frame, room), room))
        while under_way:
            yield under_way.popleft().result()


def thread_count(group: MemberGroup | CollectorGroup, masks: Sequence[Mask], threads: int | None) -> int:
    """How many threads work on a group's frames, unless the caller says: all cores that have enough to do."""
    if not group.parallel:
        return 1
    return threads or max(1, min(os.cpu_count() or 1, group.wire.size * len(masks) // _WORTH))


def written(made: Iterable[Octets], layout: Layout, sink: Vector) -> str:
    """Write the frames as they are made; the SHA-256 of all."""
    digest = hashlib.sha256()
    for frame, data in enumerate(made):
        sink.write(layout.offset(frame), data)
        digest.update(data.data)
    return digest.hexdigest()
