"""Vectors in memory and files read alike, and a sink keeps the frames of one vector in order or nothing."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from consortia_crypto.errors import SumError
from consortia_crypto.sum.vector import FileVector, FrameSink, Layout, MemoryVector, batch, frame_of, frames

LAYOUT = Layout(units=10, unit_bytes=3, per_frame=4)
DATA = bytes(range(30))


def test_a_layout_cuts_whole_units_and_loses_none() -> None:
    assert (LAYOUT.size, LAYOUT.frames) == (30, 3)
    assert [(LAYOUT.offset(frame), LAYOUT.length(frame)) for frame in range(3)] == [(0, 12), (12, 12), (24, 6)]


def test_frames_go_over_the_wire_and_come_together_again() -> None:
    sink = FrameSink(MemoryVector.zeros(30), LAYOUT, "bank-a")
    kept = MemoryVector.zeros(30)
    sink = FrameSink(kept, LAYOUT, "bank-a")
    for number, frame in enumerate(frames(MemoryVector(np.frombuffer(DATA, np.uint8)), LAYOUT)):
        assert sink.next == number
        sink.take(number, frame)
    assert sink.finish() == hashlib.sha256(DATA).hexdigest()
    assert kept.data.tobytes() == DATA


def test_a_vector_that_was_hashed_on_its_way_is_not_hashed_again() -> None:
    sink = FrameSink(MemoryVector.zeros(30), LAYOUT, "bank-a", "d" * 64)
    for number, frame in enumerate(batch(MemoryVector(np.frombuffer(DATA, np.uint8)), LAYOUT, 0, 2)):
        sink.take(number, frame)
    with pytest.raises(SumError, match="ended after 2 of 3"):
        sink.finish()
    sink.take(2, *batch(MemoryVector(np.frombuffer(DATA, np.uint8)), LAYOUT, 2, 2))
    assert sink.finish() == "d" * 64


@pytest.mark.parametrize(
    ("number", "length"),
    [(1, 12), (-1, 12), (3, 6), (0, 11), (0, 13), (0, 0)],
    ids=["gap", "before the first", "after the last", "short", "long", "empty"],
)
def test_another_frame_than_the_next_is_refused_in_the_senders_name(number: int, length: int) -> None:
    sink = FrameSink(MemoryVector.zeros(30), LAYOUT, "bank-a")
    with pytest.raises(SumError, match="at fault: bank-a"):
        sink.take(number, bytes(length))
    assert sink.next == 0


def test_a_frame_twice_and_a_frame_too_much_are_refused() -> None:
    sink = FrameSink(MemoryVector.zeros(30), LAYOUT, "bank-a")
    sink.take(0, DATA[:12])
    with pytest.raises(SumError):
        sink.take(0, DATA[:12])
    sink.take(1, DATA[12:24])
    with pytest.raises(SumError, match="ended after 2 of 3"):
        sink.finish()
    sink.take(2, DATA[24:])
    with pytest.raises(SumError):
        sink.take(3, b"")
    assert sink.finish() == hashlib.sha256(DATA).hexdigest()


def test_a_vector_of_another_size_is_neither_kept_nor_sent() -> None:
    with pytest.raises(SumError):
        FrameSink(MemoryVector.zeros(31), LAYOUT, "bank-a")
    with pytest.raises(SumError):
        frames(MemoryVector.zeros(29), LAYOUT)


@pytest.mark.parametrize("number", [-1, 3])
def test_there_is_no_frame_beyond_the_vector(number: int) -> None:
    with pytest.raises(SumError):
        frame_of(MemoryVector.zeros(30), LAYOUT, number)


def test_a_file_is_a_vector(tmp_path: Path) -> None:
    path = tmp_path / "vector"
    with FileVector.creating(path, 30) as vector:
        assert vector.read(0, 30).tobytes() == bytes(30)
        vector.write(12, np.frombuffer(DATA, np.uint8, 12, 12))
        assert vector.read(10, 4).tobytes() == bytes([0, 0, 12, 13])
    assert path.stat().st_mode & 0o777 == 0o600
    with FileVector.changing(path) as vector:
        vector.write(0, np.frombuffer(DATA, np.uint8, 12))
        vector.write(24, np.frombuffer(DATA, np.uint8, 6, 24))
        assert vector.size == 30
    with FileVector.reading(path) as vector:
        assert b"".join(frames(vector, LAYOUT)) == DATA == path.read_bytes()


def test_a_file_that_became_shorter_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "vector"
    path.write_bytes(DATA)
    with FileVector.reading(path) as vector:
        path.write_bytes(DATA[:20])
        with pytest.raises(SumError, match="shorter"):
            vector.read(12, 12)


@pytest.mark.parametrize("size", [4, 8])
def test_values_are_little_endian_integers_of_their_unit(size: int) -> None:
    layout = Layout(2, size, 2)
    octets = layout.octets(np.array([1, -2]))
    assert octets.tobytes() == b"\1" + bytes(size - 1) + b"\xfe" + b"\xff" * (size - 1)
    assert layout.integers(octets).tolist() == [1, -2]


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 2**63 - 1, -(2**63)])
def test_a_value_that_does_not_fit_is_refused_and_never_cut(value: int) -> None:
    assert Layout(1, 4, 1).octets(np.array([-(2**31)])).tobytes() == b"\0\0\0\x80"
    with pytest.raises(SumError, match="beyond 32 bits"):
        Layout(1, 4, 1).octets(np.array([value]))
