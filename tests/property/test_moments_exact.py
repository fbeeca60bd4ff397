"""Sums of moments are exact: whatever the rows and how they are split, mean and deviation are those of all rows."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortia_node.errors import StepError
from consortia_node.moments import WORDS, fixed_point, moment_words, moments, rounded

LARGEST = 3_000_000_000
fixed = st.integers(-LARGEST, LARGEST)
columns = st.lists(fixed, min_size=1, max_size=30)


def words(rows: list[int]) -> np.ndarray:
    return moment_words(np.array(rows, np.int64).reshape(-1, 1))


def exact(rows: list[int], decimals: int) -> tuple[Fraction, Fraction]:
    """Mean and variance as fractions."""
    values = [Fraction(row, 10**decimals) for row in rows]
    mean = sum(values, Fraction()) / len(values)
    spread = sum(((value - mean) ** 2 for value in values), Fraction())
    return mean, spread / max(len(values) - 1, 1)


@given(columns, columns, columns, st.integers(0, 6))
def test_moments_of_the_sum_are_those_of_all_rows(one: list[int], two: list[int], three: list[int], d: int) -> None:
    everybody = one + two + three
    (found,) = moments(len(everybody), words(one) + words(two) + words(three), d)
    mean, variance = exact(everybody, d)
    assert found.mean == float(mean)
    assert abs(Fraction(found.deviation) ** 2 - variance) <= variance * Fraction(1, 2**51)


@given(columns)
def test_the_split_does_not_matter(rows: list[int]) -> None:
    halves = words(rows[::2]) + words(rows[1::2])
    assert moments(len(rows), halves, 2) == moments(len(rows), words(rows), 2)


@given(st.lists(st.tuples(fixed, fixed, fixed), min_size=2, max_size=10))
def test_columns_do_not_mix(rows: list[tuple[int, int, int]]) -> None:
    table = np.array(rows, np.int64)
    together = moments(len(rows), moment_words(table), 3)
    apart = [moments(len(rows), words(list(column)), 3)[0] for column in zip(*rows, strict=True)]
    assert together == apart
    assert moment_words(table).shape == (3 * WORDS,)


def test_a_billion_large_rows_do_not_overflow() -> None:
    part = words([LARGEST, -LARGEST, LARGEST]) * (1 << 28)
    (found,) = moments(3 << 28, part, 0)
    assert found.mean == pytest.approx(LARGEST / 3)
    assert found.deviation == pytest.approx(LARGEST * math.sqrt(8 / 9))


def test_the_smallest_spread_is_not_lost() -> None:
    rows = 10**9
    (found,) = moments(rows, words([1]), 6)
    assert found.deviation == pytest.approx(1e-6 / math.sqrt(rows), rel=1e-9)


@pytest.mark.parametrize(("count", "total", "mean"), [(0, 0, 0.0), (1, 250, 2.5)])
def test_less_than_two_rows_have_no_spread(count: int, total: int, mean: float) -> None:
    (found,) = moments(count, words([total]), 2)
    assert (found.mean, found.deviation) == (mean, 0.0)


def test_totals_that_no_rows_can_have_are_refused() -> None:
    with pytest.raises(StepError, match="total was refused"):
        moments(2, np.array([10, 0, 1]), 0)


@given(st.floats(-3000, 3000), st.integers(0, 6))
def test_fixed_point_is_the_nearest_number_of_that_many_decimals(value: float, decimals: int) -> None:
    (found,) = fixed_point(np.array([value]), decimals).tolist()
    assert abs(Fraction(found, 10**decimals) - Fraction(value)) <= Fraction(50_001, 100_000) / 10**decimals


@pytest.mark.parametrize("value", [3e9 + 1, -3.1e9, 1e300, math.inf, -math.inf, math.nan])
def test_what_does_not_fit_is_refused(value: float) -> None:
    with pytest.raises(StepError, match="fits with 0 decimals") as refused:
        fixed_point(np.array([[1.0, value]]), 0)
    assert "decimals" in refused.value.remedy
    assert fixed_point(np.array([3e9, -3e9]), 0).tolist() == [LARGEST, -LARGEST]
    with pytest.raises(StepError, match="larger than 3000, the most that fits with 6"):
        fixed_point(np.array([3001.0]), 6)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_results_carry_twelve_digits(value: float) -> None:
    assert rounded(value) == pytest.approx(value, rel=1e-11, abs=5e-324)
    assert len(f"{abs(rounded(value)):e}".replace("0", "").split("e")[0]) <= 13
    assert rounded(rounded(value)) == rounded(value)
