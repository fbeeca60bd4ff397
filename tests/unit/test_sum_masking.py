"""Masked words are the values plus AES-256 keystreams, exactly, whatever the width, the frames and the threads."""

import hashlib
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from consortia_crypto.errors import SumError
from consortia_crypto.sum.keystream import PIECE_BYTES, Keystream, new_buffer
from consortia_crypto.sum.masking import Mask, accumulate, adjust, in_order
from consortia_crypto.sum.opening import seal
from consortia_crypto.sum.plans import MaskPlan
from consortia_crypto.sum.rooms import Room
from consortia_crypto.sum.vector import FRAME_BYTES, MemoryVector
from consortia_crypto.sum.words import Words, group_of
from tests.support.sealing import masks_of, policy_of, seed_of, values_of, without

WIDTHS = pytest.mark.parametrize("word_bits", [16, 24, 32, 64])
STREAM_BYTES = {16: 2, 24: 4, 32: 4, 64: 8}


def stream(seed: bytes, count: int, stretch: int = 0) -> bytes:
    counter = stretch.to_bytes(12, "big") + (2).to_bytes(4, "big")
    return Cipher(algorithms.AES(seed), modes.CTR(counter)).encryptor().update(bytes(count))


def expected(word_bits: int, values: NDArray[np.int64], masks: tuple[Mask, ...]) -> bytes:
    """The upload by the words of the design: Python's integers, one frame."""
    size = STREAM_BYTES[word_bits]
    words = [int(value) for value in values]
    for mask in masks:
        drawn = stream(mask.seed, size * len(words))
        for place in range(len(words)):
            words[place] += mask.sign * int.from_bytes(drawn[size * place : size * (place + 1)], "little")
    return b"".join((word % 2**word_bits).to_bytes(word_bits // 8, "little") for word in words)


def sealed(group: Words, values: NDArray[np.int64], masks: tuple[Mask, ...], threads: int = 1) -> MemoryVector:
    sink = MemoryVector.zeros(group.wire.size)
    digest = put(group, MemoryVector(group.values.octets(values)), sink, masks, threads)
    assert digest == hashlib.sha256(sink.data.tobytes()).hexdigest()
    return sink


def put(
    group: Words, values: MemoryVector, sink: MemoryVector, masks: tuple[Mask, ...] = (), threads: int = 1
) -> str:
    """Seal without asking for a tag; the digest."""
    policy = policy_of(8 * group.wire.unit_bytes, group.wire.units)
    return seal(policy, group, values, sink, MaskPlan(masks, (), seed_of("tag")), threads)[0]


def opened(group: Words, total: MemoryVector, masks: tuple[Mask, ...]) -> NDArray[np.int64]:
    frames = range(group.wire.frames)
    parts = [
        group.open(frame, total.read(group.wire.offset(frame), group.wire.length(frame)), masks) for frame in frames
    ]
    return np.concatenate(parts).astype(np.int64)


@WIDTHS
def test_the_upload_is_what_the_design_says(word_bits: int) -> None:
    policy, masks = policy_of(word_bits, 1000), masks_of("a", 4)
    values = values_of(policy, 1)
    assert sealed(group_of(policy), values, masks).data.tobytes() == expected(word_bits, values, masks)


@WIDTHS
def test_frames_pieces_and_threads_leave_no_seam(word_bits: int) -> None:
    policy = policy_of(word_bits, 3 * FRAME_BYTES // (word_bits // 8) - 5)
    group, masks, values = group_of(policy), masks_of("b", 1), values_of(policy, 2)
    assert group.wire.frames >= 3
    assert group.wire.length(0) <= FRAME_BYTES
    alone, together = (sealed(group, values, masks, threads).data for threads in (1, 3))
    np.testing.assert_array_equal(alone, together)
    size = STREAM_BYTES[word_bits]
    streams = [stream(masks[0].seed, size * group.values.count(frame), frame) for frame in range(group.wire.frames)]
    subtracted = np.frombuffer(b"".join(streams), f"<u{size}").astype(np.int64)
    difference = opened(group, MemoryVector(alone), ()) + subtracted - values
    np.testing.assert_array_equal(difference << (64 - word_bits), 0)


@WIDTHS
def test_what_was_masked_comes_back(word_bits: int) -> None:
    policy = policy_of(word_bits, 700_001)
    group, masks, values = group_of(policy), masks_of("c", 5), values_of(policy, 3)
    values[:2] = policy.limit, -policy.limit
    np.testing.assert_array_equal(opened(group, sealed(group, values, masks), without(masks)), values)


@WIDTHS
def test_uploads_add_up_to_the_sum_when_pairs_of_masks_cancel(word_bits: int) -> None:
    policy = policy_of(word_bits, 400_000)
    group, total = group_of(policy), MemoryVector.zeros(group_of(policy).wire.size)
    pair, self_masks = Mask(seed_of("pair"), 1), masks_of("self", 2)
    values = [values_of(policy, seed) for seed in range(2)]
    for number, mask in enumerate([pair, *without((pair,))]):
        upload = sealed(group, values[number], (mask, self_masks[number]))
        accumulate(group, total, upload, f"bank-{number}", first=number == 0)
    adjust(group, total, without(self_masks), total)
    np.testing.assert_array_equal(opened(group, total, ()), values[0] + values[1])


def test_the_first_upload_replaces_what_was_there() -> None:
    policy = policy_of(32, 10)
    group, total = group_of(policy), MemoryVector(np.full(40, 255, np.uint8))
    accumulate(group, total, sealed(group, values_of(policy, 1), ()), "bank-0", first=True)
    np.testing.assert_array_equal(opened(group, total, ()), values_of(policy, 1))


@pytest.mark.parametrize("call", ["values", "sink", "total", "upload"])
def test_vectors_of_another_size_are_refused(call: str) -> None:
    group = group_of(policy_of(32, 10))
    right, wrong = MemoryVector.zeros(40), MemoryVector.zeros(39)
    calls: dict[str, Any] = {
        "values": lambda: put(group, wrong, right),
        "sink": lambda: put(group, right, wrong),
        "total": lambda: adjust(group, wrong, (), right),
        "upload": lambda: accumulate(group, right, wrong, "bank-1", first=False),
    }
    with pytest.raises(SumError, match="39 bytes"):
        calls[call]()


def test_a_mask_does_not_show_its_seed() -> None:
    assert "seed" not in repr(Mask(b"s" * 32, 1))


@pytest.mark.parametrize("stretch", [0, 1, 199, 2**32 - 1])
def test_a_keystream_is_counter_mode_under_the_number_of_its_stretch(stretch: int) -> None:
    read, buffer = Keystream(seed_of("k"), stretch), new_buffer()
    read.read_into(buffer, PIECE_BYTES)
    assert buffer.tobytes()[:PIECE_BYTES] + read.read(100) == stream(seed_of("k"), PIECE_BYTES + 100, stretch)


@pytest.mark.parametrize(("seed", "stretch"), [(b"short", 0), (bytes(32), 2**32), (bytes(32), -1)])
def test_a_keystream_has_one_seed_and_numbered_stretches(seed: bytes, stretch: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Keystream(seed, stretch)


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_what_fails_in_a_thread_fails_here(threads: int) -> None:
    def work(frame: int, read: NDArray[np.uint8], room: Room) -> int:
        if frame == 5:
            raise SumError("no", blame="test", remedy="none")
        return frame

    made = in_order(20, lambda frame, room: np.zeros(1, np.uint8), work, threads)
    assert [next(made) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(SumError, match="no"):
        next(made)
