"""Rooms are used again, never by two at once, and few of them wait; threads are taken where they are worth it."""

import threading

import numpy as np
import pytest

from consortia_crypto.sum import masking, rooms
from consortia_crypto.sum.masking import in_order, thread_count
from consortia_crypto.sum.vector import FRAME_BYTES, Octets
from consortia_crypto.sum.words import group_of
from tests.support.sealing import masks_of, policy_of


@pytest.fixture(autouse=True)
def _no_rooms_from_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "_spare", type(rooms._spare)(maxlen=rooms._spare.maxlen))


def test_a_room_that_was_given_back_is_taken_again() -> None:
    with rooms.rooms(2) as before:
        assert before[0] is not before[1]
    with rooms.rooms(2) as after:
        assert {id(room) for room in after} == {id(room) for room in before}


def test_who_is_at_it_at_the_same_time_has_a_room_of_its_own() -> None:
    with rooms.rooms(1) as mine, rooms.rooms(1) as theirs:
        assert mine[0] is not theirs[0]
        assert not np.shares_memory(mine[0].made, theirs[0].made)


def test_few_rooms_wait() -> None:
    with rooms.rooms(20):
        pass
    assert len(rooms._spare) == rooms._spare.maxlen


def test_a_room_is_given_back_after_an_error() -> None:
    with pytest.raises(KeyError), rooms.rooms(1):
        raise KeyError
    assert len(rooms._spare) == 1


@pytest.mark.parametrize("word_bits", [16, 24, 32, 64])
def test_every_frame_has_room(word_bits: int) -> None:
    group, room = group_of(policy_of(word_bits, FRAME_BYTES)), rooms.Room.new()
    in_memory = {16: 2, 24: 4, 32: 4, 64: 8}[word_bits] * group.wire.count(0)
    assert max(group.values.length(0), group.wire.length(0), in_memory) <= len(room.read) == len(room.made)
    assert all(part.ctypes.data % 64 == 0 for part in (room.read, room.made, room.piece))


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_no_room_is_used_again_before_its_frame_was_taken(threads: int) -> None:
    def read(frame: int, room: rooms.Room) -> Octets:
        room.read[:8] = frame
        return room.read[:8]

    def work(frame: int, octets: Octets, room: rooms.Room) -> tuple[Octets, Octets]:
        sum(range(20_000 * (frame % 3)))  # so that they end in another order
        room.made[:8] = frame
        return octets, room.made[:8]

    for frame, parts in enumerate(in_order(30, read, work, threads)):
        assert all(part.tolist() == [frame] * 8 for part in parts)


def test_a_room_comes_back_only_when_no_thread_works_in_it() -> None:
    """Also if whoever takes the frames stops half-way."""
    begun, go_on, waiting_rooms = threading.Event(), threading.Event(), []

    def work(frame: int, octets: Octets, room: rooms.Room) -> int:
        if frame == 1:
            begun.set()
            assert go_on.wait(10)
            waiting_rooms.append(len(rooms._spare))
        return frame

    made = in_order(5, lambda frame, room: room.read, work, 2)
    assert next(made) == 0
    assert begun.wait(10)
    go_on.set()
    made.close()
    assert waiting_rooms == [0]
    assert len(rooms._spare) == 3


@pytest.mark.parametrize(
    ("length", "masks", "cores", "expected"),
    [
        (10**6, 11, 8, 1), (10**6, 51, 2, 2), (10**6, 51, 8, 3), (10**7, 11, 2, 2), (10**7, 11, 8, 6),
        (10**8, 11, 8, 8), (10, 1, 8, 1), (10**7, 0, 8, 1), (10**8, 11, None, 1),
    ],
)  # fmt: skip
def test_threads_are_as_many_as_have_enough_to_do(
    monkeypatch: pytest.MonkeyPatch, length: int, masks: int, cores: int | None, expected: int
) -> None:
    monkeypatch.setattr(masking.os, "cpu_count", lambda: cores)
    group = group_of(policy_of(32, length, institutions=50))
    assert thread_count(group, masks_of("threads", masks), None) == expected
    assert thread_count(group, masks_of("threads", masks), 5) == 5
