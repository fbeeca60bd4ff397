"""The tag is the polynomial of the design, exactly; it adds up, and no other sum has it."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from consortia_crypto.errors import SumError
from consortia_crypto.sum.keystream import Keystream
from consortia_crypto.sum.tag import LARGEST, ROW, P, TagKey, accepts, shift, tag
from consortia_crypto.sum.terms import WORD_BITS, SumPolicy
from tests.support.sealing import masks_of, seed_of, without

NARROW, WIDE = 2**31, LARGEST
SEED = seed_of("tag")
KEY = TagKey.derive(SEED, WIDE)


def numbers_of(seed: bytes) -> tuple[list[int], int]:
    """r and γ, the slow way."""
    stream = Keystream(seed).read(8 * (ROW + 1))
    drawn = [int.from_bytes(stream[start : start + 8], "little") >> 3 for start in range(0, len(stream), 8)]
    assert max(drawn) < P
    return drawn[:ROW], drawn[ROW]


def reference(seed: bytes, values: NDArray[np.int64]) -> int:
    r, gamma = numbers_of(seed)
    rows = [values[start : start + ROW].tolist() for start in range(0, len(values), ROW)]
    return (
        sum(
            pow(gamma, len(rows) - number, P) * sum(a * b for a, b in zip(r, row, strict=False))
            for number, row in enumerate(rows, 1)
        )
        % P
    )


def drawn(bound: int, length: int, seed: int = 1) -> NDArray[np.int64]:
    values = np.random.default_rng(seed).integers(-bound, bound, length, endpoint=True)
    values[: length // 3] = bound
    values[-(length // 3) :] = -bound
    return values


@pytest.mark.parametrize("bound", [1, 2**15, NARROW, NARROW + 1, WIDE])
@pytest.mark.parametrize("length", [1, ROW - 1, ROW, ROW + 1, 20 * ROW + 7])
def test_the_tag_is_the_polynomial_of_the_design(bound: int, length: int) -> None:
    values = drawn(bound, length)
    assert tag(TagKey.derive(SEED, bound), [values]) == reference(SEED, values)


def test_extreme_digits_of_the_key_stay_exact() -> None:
    for extreme in (0, 1, LARGEST, LARGEST + 1, P - 1, 1 << 10, P - (1 << 10)):
        key = TagKey(np.full(ROW, extreme), 1, NARROW)
        values = np.full(ROW, NARROW, np.int64)
        assert tag(key, [values]) == extreme * NARROW * ROW % P
        assert tag(key, [-values]) == -extreme * NARROW * ROW % P


def test_chunks_of_whole_rows_make_no_difference() -> None:
    values = drawn(WIDE, 11 * ROW + 5)
    places = [0, 3 * ROW, 3 * ROW, 10 * ROW, len(values)]
    assert tag(KEY, [values[a:b] for a, b in pairwise(places)]) == tag(KEY, [values])


def test_a_broken_row_is_the_last() -> None:
    with pytest.raises(SumError, match="whole rows"):
        tag(KEY, [np.zeros(5, np.int64), np.zeros(ROW, np.int64)])


def test_tags_add_up() -> None:
    values = [drawn(2**50, 5000, seed) for seed in range(4)]
    assert tag(KEY, [np.asarray(sum(values))]) == sum(tag(KEY, [value]) for value in values) % P


def test_a_key_is_uniform_and_its_seeds_own() -> None:
    r, gamma = numbers_of(SEED)
    assert len(set(r)) == ROW
    assert abs(sum(r) / ROW / P - 0.5) < 0.05
    values = np.ones(2 * ROW, np.int64)
    assert tag(TagKey.derive(seed_of("other"), 1), [values]) != tag(TagKey.derive(SEED, 1), [values])
    assert tag(KEY, [values]) == sum(r) * (1 + gamma) % P


HONEST = [drawn(1000, 3 * ROW + 1, seed) for seed in range(3)]
TAGS = [tag(KEY, [values]) for values in HONEST]


def moved(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.roll(values, ROW)


@pytest.mark.parametrize(
    "total",
    [
        HONEST[0] + HONEST[1],
        HONEST[0] + HONEST[1] + 2 * HONEST[2],
        2 * (HONEST[0] + HONEST[1] + HONEST[2]),
        sum(HONEST) + np.eye(1, 3 * ROW + 1, 5, dtype=np.int64)[0],
        sum(HONEST) - np.eye(1, 3 * ROW + 1, 3 * ROW, dtype=np.int64)[0],
        moved(np.asarray(sum(HONEST))),
        -np.asarray(sum(HONEST)),
        0 * HONEST[0],
    ],
    ids=["dropped", "doubled", "scaled", "one more", "one less, at the end", "rows moved", "negated", "nothing"],
)
def test_only_the_sum_fits_the_tags(total: NDArray[np.int64]) -> None:
    assert accepts(tag(KEY, [np.asarray(sum(HONEST))]), sum(TAGS) % P)
    assert not accepts(tag(KEY, [total]), sum(TAGS) % P)


@pytest.mark.parametrize("total", [-1, P, (sum(TAGS) + 1) % P, (sum(TAGS) - 1) % P, sum(TAGS) % P + P])
def test_only_the_tags_of_the_sum_fit_it(total: int) -> None:
    assert not accepts(tag(KEY, [np.asarray(sum(HONEST))]), total)


def test_a_sum_moved_by_the_modulus_has_the_same_tag_and_is_refused_for_its_size() -> None:
    """Added to a 64-bit value, p would go unseen: so no key takes values that could differ by it."""
    value = np.array([12345], np.int64)
    assert reference(SEED, value) == reference(SEED, value - P)
    with pytest.raises(SumError, match="beyond"):
        tag(KEY, [value - P])
    with pytest.raises(ValueError, match="tell apart"):
        TagKey.derive(SEED, LARGEST + 1)


@pytest.mark.parametrize("word_bits", WORD_BITS)
@pytest.mark.parametrize("institutions", range(3, 51))
def test_no_policy_has_sums_that_tags_don_t_tell_apart(institutions: int, word_bits: int) -> None:
    policy = SumPolicy("s", tuple(str(number) for number in range(institutions)), 0, word_bits, 1)
    assert institutions * policy.limit <= min(LARGEST, 2 ** (word_bits - 1) - 1)


@pytest.mark.parametrize("value", [1001, -1001, np.iinfo(np.int64).min])
def test_a_value_beyond_the_bound_has_no_tag(value: int) -> None:
    with pytest.raises(SumError, match="beyond"):
        tag(TagKey.derive(SEED, 1000), [np.array([0, value])])


def test_masks_of_tags_come_off_again() -> None:
    masks = masks_of("t", 7)
    masked = shift(TAGS[0], masks)
    assert masked != TAGS[0]
    assert 0 <= masked < P
    assert shift(masked, without(masks)) == TAGS[0]
    first = int.from_bytes(Keystream(masks[1].seed).read(32), "little")
    assert shift(P - 1, masks[1:2]) == (first - 1) % P


def test_a_key_does_not_show_itself() -> None:
    assert str(numbers_of(SEED)[1]) not in repr(KEY)
