"""Packed words never carry, even when all institutions add their extremes to the top word of a full slot."""

import numpy as np
import pytest

from consortia_crypto.errors import SumError
from consortia_crypto.he.params import SUM
from consortia_crypto.sum import packing
from consortia_crypto.sum.policy import SumPolicy


def policy_of(institutions: int, word_bits: int, length: int) -> SumPolicy:
    return SumPolicy("job-1/1", tuple(f"bank-{number}" for number in range(institutions)), word_bits, length)


@pytest.mark.parametrize("institutions", [3, 4, 5, 8, 9, 16, 33, 50])
@pytest.mark.parametrize("word_bits", [16, 24, 64])
def test_extremes_fit_below_the_plain_modulus(word_bits: int, institutions: int) -> None:
    policy = policy_of(institutions, word_bits, 12)
    for sign in (-1, 1):
        values = np.full(12, sign * policy.limit)
        total = packing.pack(policy, values) * institutions
        assert total.min() >= 0
        assert total.max() < SUM.plain_modulus
        assert packing.unpack(policy, total).tolist() == [sign * policy.limit * institutions] * 12


@pytest.mark.parametrize(
    ("word_bits", "values_per_block"), [(16, 3 * 3964), (24, 2 * 3964), (64, 3964 // 2)], ids=["16", "24", "64"]
)
def test_a_block_takes_as_many_values_as_the_slots_left_by_the_roll_call(
    word_bits: int, values_per_block: int
) -> None:
    assert packing.blocks(policy_of(3, word_bits, values_per_block)) == 1
    assert packing.blocks(policy_of(3, word_bits, values_per_block + 1)) == 2


@pytest.mark.parametrize("word_bits", [16, 24, 64])
def test_a_sum_beyond_what_the_policy_allows_is_refused(word_bits: int) -> None:
    policy = policy_of(3, word_bits, 4)
    values = packing.pack(policy, np.full(4, policy.limit))
    with pytest.raises(SumError):
        packing.unpack(policy, values * 4)


def test_a_value_where_there_is_none_is_refused() -> None:
    policy = policy_of(3, 64, 4)
    slots = packing.pack(policy, np.zeros(4, np.int64))
    slots[0, 8] = 1
    with pytest.raises(SumError):
        packing.unpack(policy, slots)
