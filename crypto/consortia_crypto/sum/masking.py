"""Masks on and off: one pass over a vector, frame by frame, on all cores, in bounded memory.

What is added and how is the group's: words modulo 2^w (words.py) or encrypted slots (lattice.py). The masks,
their signs and that no seed is ever used for two vectors come from the key schedule and the state machines.

A frame is read, handed to a thread, and written in its turn; a few frames are under way at a time. The
encryption and the additions release the interpreter's lock.
"""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

from consortia_crypto.sum.vector import Integers, Layout, Octets, Vector, check_size, frame_of

_Made = TypeVar("_Made")


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

    def seal(self, frame: int, values: Integers, masks: Sequence[Mask]) -> Octets:
        """The values of one frame, masked. Raises SumError for a value beyond the policy's limit."""

    def open(self, frame: int, sealed: Octets, masks: Sequence[Mask]) -> Integers:
        """The integers of one frame of a sum, after ``masks``. Raises SumError or CiphertextError."""


class CollectorGroup(Protocol):
    """What the coordinator does: it adds what it can't read."""

    @property
    def wire(self) -> Layout:
        """How sealed vectors are cut."""

    @property
    def parallel(self) -> bool:
        """Whether frames gain from more than one thread."""

    def add(self, total: Octets | None, sealed: Octets, sender: str) -> Octets:
        """One frame of a running total (None: there is none yet) and that of ``sender``'s upload."""

    def adjust(self, frame: int, sealed: Octets, masks: Sequence[Mask]) -> Octets:
        """One frame of a total after ``masks``."""


def adjust(
    group: CollectorGroup, total: Vector, masks: Sequence[Mask], sink: Vector, threads: int | None = None
) -> str:
    """Write ``total`` ± ``masks`` into ``sink``, which may be ``total``; SHA-256 of what was written."""
    check_size(total, group.wire, "the total")
    check_size(sink, group.wire, "the place for the total")
    made = in_order(
        group.wire.frames,
        lambda frame: frame_of(total, group.wire, frame),
        lambda frame, read: group.adjust(frame, read, masks),
        thread_count(group.parallel, threads),
    )
    return written(made, group.wire, sink)


def accumulate(group: CollectorGroup, total: Vector, upload: Vector, sender: str, *, first: bool) -> None:
    """Add ``sender``'s ``upload`` to ``total``; the ``first`` one replaces what is there. Raises CryptoError.

    An upload that is refused half-way leaves a total that must be made anew from the others.
    """
    check_size(upload, group.wire, f"the upload of {sender}")
    check_size(total, group.wire, "the total")
    for frame in range(group.wire.frames):
        before = None if first else frame_of(total, group.wire, frame)
        total.write(group.wire.offset(frame), group.add(before, frame_of(upload, group.wire, frame), sender))


def in_order(
    count: int, read: Callable[[int], Octets], work: Callable[[int, Octets], _Made], threads: int | None = None
) -> Iterator[_Made]:
    """``work(frame, read(frame))`` for each frame, in order: the work on ``threads`` threads, the reading here."""
    threads = min(threads or os.cpu_count() or 1, count)
    if threads == 1:
        yield from (work(frame, read(frame)) for frame in range(count))
        return
    under_way: deque[Future[_Made]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for frame in range(count):
            if len(under_way) > threads:
                yield under_way.popleft().result()
            under_way.append(pool.submit(work, frame, read(frame)))
        while under_way:
            yield under_way.popleft().result()


def thread_count(parallel: bool, threads: int | None) -> int | None:
    """How many threads a group's frames are worked on with."""
    return threads if parallel else 1


def written(made: Iterable[Octets], layout: Layout, sink: Vector) -> str:
    """Write the frames as they are made; the SHA-256 of all."""
    digest = hashlib.sha256()
    for frame, data in enumerate(made):
        sink.write(layout.offset(frame), data)
        digest.update(data.data)
    return digest.hexdigest()
