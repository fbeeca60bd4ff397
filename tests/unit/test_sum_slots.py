"""Sums of slots come out exactly at the extremes, and masks of slots are uniform and tell nothing but the sum."""

import numpy as np
import pytest

from consortia_crypto.he.params import SUM
from consortia_crypto.sum.keystream import Keystream
from consortia_crypto.sum.masking import Mask
from consortia_crypto.sum.slots import SLOTS, SlotGroup, pack, slots_of, uniform, unpack, values_per_block
from consortia_crypto.sum.terms import SumPolicy
from tests.support.sealing import masks_of, policy_of, seed_of, values_of, without

WIDTHS = pytest.mark.parametrize("word_bits", [16, 24, 32, 64])
PACKED = pytest.mark.parametrize("word_bits", [16, 24, 32])
T = SUM.plain_modulus
BLOCKS = 2


def made(policy: SumPolicy) -> SlotGroup:
    return slots_of(policy, BLOCKS)


@pytest.mark.parametrize("institutions", [3, 4, 5, 8, 9, 16, 33, 50])
@WIDTHS
def test_extremes_of_everybody_come_out(word_bits: int, institutions: int) -> None:
    policy = policy_of(word_bits, 12, institutions=institutions)
    limit, group = policy.limit, made(policy)
    for pattern in ([limit], [-limit], [limit, -limit], [-limit, 0, limit]):
        values = np.resize(pattern, 12)
        masks = [masks_of((word_bits, number), 2) for number in range(institutions)]
        total = sum(group.seal(0, values, own) for own in masks)
        shift = group.shift(0, 1, [mask for own in masks for mask in without(own)])
        np.testing.assert_array_equal(group.open(0, (total + shift) % T, []), values * institutions)


@pytest.mark.parametrize(("word_bits", "per_block"), [(16, 3 * 4096), (24, 2 * 4096), (32, 4096), (64, 2048)])
def test_a_block_takes_what_its_slots_take(word_bits: int, per_block: int) -> None:
    assert values_per_block(word_bits) == per_block
    for length, blocks in ((per_block, 1), (per_block + 1, 2)):
        policy = policy_of(word_bits, length)
        assert made(policy).seal(0, np.zeros(length, np.int64), []).shape == (blocks, SLOTS)


@WIDTHS
def test_slots_are_residues_and_masks_come_off(word_bits: int) -> None:
    policy = policy_of(word_bits, 5 * values_per_block(word_bits) - 7)
    group, masks = made(policy), masks_of("m", 5)
    for frame in range(3):
        values = values_of(policy, frame)[: group.values.count(frame)]
        sealed = group.seal(frame, values, masks)
        assert sealed.min() >= 0
        assert sealed.max() < T
        np.testing.assert_array_equal(group.open(frame, sealed, without(masks)), values)
        shifted = (sealed + group.shift(frame, len(sealed), without(masks))) % T
        np.testing.assert_array_equal(group.open(frame, shifted, []), values)


@PACKED
def test_packing_alone_keeps_sums(word_bits: int) -> None:
    policy = policy_of(word_bits, 10_000)
    values = [values_of(policy, seed) for seed in range(3)]
    total = np.asarray(sum(pack(word_bits, value) for value in values)) % T
    np.testing.assert_array_equal(unpack(word_bits, total)[:10_000], sum(values))
    assert not unpack(word_bits, total)[10_000:].any()


@PACKED
def test_what_two_institutions_seal_adds_up_to_slots_that_only_their_sum_decides(word_bits: int) -> None:
    """Else whoever decrypts the total would learn more than the sum of two inputs that he must not tell apart."""
    one, other = np.array([policy_of(word_bits, 3).limit, -1, 5]), np.array([-7, 2**10, 0])
    for change in (1, 1000):
        moved = pack(word_bits, one - change) + pack(word_bits, other + change)
        np.testing.assert_array_equal(moved % T, (pack(word_bits, one) + pack(word_bits, other)) % T)


def test_limbs_hide_the_carries_of_the_values() -> None:
    """Two pairs of inputs with one sum, whose lower halves carry in the second only: the totals don't show it."""
    policy = policy_of(64, 2048)
    group, pair = made(policy), Mask(seed_of("pair"), 1)
    carries, sums = [], np.full(2048, 3 * 2**31)
    for low in (2**31, 3 * 2**30):
        one = np.full(2048, low)
        total = group.seal(0, one, [pair]) + group.seal(0, sums - one, [Mask(pair.seed, -1)])
        np.testing.assert_array_equal(group.open(0, total, []), sums)
        carries.append((total[0, ::2] >> 32).mean())
    assert 0.45 < min(carries) <= max(carries) < 0.55  # limbs of the values themselves: 0 and 1


def test_a_packed_mask_is_the_upper_part_of_its_keystream() -> None:
    seed = seed_of("slots")
    drawn = made(policy_of(32, 2 * SLOTS)).shift(0, 2, [Mask(seed, 1)])
    stream = Keystream(seed).read(2 * 4128 * 8)
    expected = [int.from_bytes(stream[start + 2 : start + 8], "little") for start in range(0, len(stream), 8)]
    assert max(expected) < T
    assert drawn.reshape(-1).tolist() == expected[:4096] + expected[4128 : 4128 + 4096]


def test_a_mask_of_limbs_is_its_keystream() -> None:
    seed = seed_of("limbs")
    group = made(policy_of(64, 6000))
    drawn = np.concatenate([group.shift(0, 2, [Mask(seed, 1)]), group.shift(1, 1, [Mask(seed, 1)])])
    stream = Keystream(seed).read(2 * 4096 * 4) + Keystream(seed, 1).read(3808 * 4)
    assert drawn.reshape(-1)[:12000].tolist() == np.frombuffer(stream, "<u4").tolist()


@WIDTHS
def test_blocks_draw_apart(word_bits: int) -> None:
    group = made(policy_of(word_bits, 4 * values_per_block(word_bits)))
    drawn = np.concatenate([group.shift(frame, 2, masks_of("apart", 1)) for frame in range(2)])
    assert len(np.unique(drawn)) > 0.999 * drawn.size


def test_draws_beyond_the_modulus_are_passed_over_and_never_reduced() -> None:
    draws = np.array([[5, 9, 1, 10, 0, 3], [1, 2, 3, 4, 5, 6]], np.uint64)
    assert uniform(draws, 3, 10).tolist() == [[5, 9, 1], [1, 2, 3]]
    assert uniform(draws, 3, 9).tolist() == [[5, 1, 0], [1, 2, 3]]


def test_as_many_masks_as_a_round_can_have_do_not_overflow() -> None:
    """Fifty institutions of which sixteen dropped out: 34 self masks and 16 times 50 of pairs, all of one sign."""
    group, seed = made(policy_of(32, SLOTS)), seed_of("many")
    one, many = (group.shift(0, 1, [Mask(seed, -1)] * count)[0, :50] for count in (1, 834))
    assert many.tolist() == [834 * int(value) % T for value in one]
