"""Fixed point keeps to its bounds at every limit, rounds fairly by chance, and refuses what is not its vector."""

from typing import Any

import numpy as np
import pytest

from consortia_crypto.errors import SumError
from consortia_crypto.sum.quantise import dequantise, quantise
from consortia_crypto.sum.terms import Scale

LIMITS = pytest.mark.parametrize("limit", [1, 2**13 - 1, 2**21 - 1, 2**53 - 1, 2**59 - 1])


def source(seed: int = 1) -> Any:
    return np.random.default_rng(seed).bytes


@LIMITS
@pytest.mark.parametrize("dither", [None, source()], ids=["nearest", "by chance"])
def test_values_at_and_beyond_the_clip_stay_within_the_limit(limit: int, dither: Any) -> None:
    quantised = quantise(np.array([-9e9, -0.7, 0.0, 0.7, 9e9]), (Scale(5, 0.7),), limit, dither)
    assert quantised.tolist() == [-limit, -limit, 0, limit, limit]


@LIMITS
def test_the_way_back_errs_by_half_a_step_or_by_chance_less_than_a_whole_one(limit: int) -> None:
    values, scales = np.linspace(-2.0, 2.0, 101), (Scale(101, 2.0),)
    for dither, steps in ((None, 0.5), (source(), 1)):
        error = np.abs(dequantise(quantise(values, scales, limit, dither), scales, limit) - values)
        assert error.max() <= steps * 2.0 / limit + 1e-15


def test_every_tensor_has_its_own_clip_and_long_ones_no_seam() -> None:
    scales = (Scale(3, 0.001), Scale(200_000, 8.0), Scale(1, 1.0))
    values = np.concatenate([np.full(3, 0.0005), np.full(200_000, -2.0), [1.0]])
    quantised = quantise(values, scales, 1000)
    assert quantised.tolist() == [500] * 3 + [-250] * 200_000 + [1000]
    np.testing.assert_allclose(dequantise(quantised, scales, 1000), values, rtol=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.25, -0.25, 0.9, -3.5, 7.0])
def test_chance_rounds_to_the_value_on_average(value: float) -> None:
    count, scales = 200_000, (Scale(200_000, 10.0),)
    quantised = quantise(np.full(count, value), scales, 10, source())
    assert set(quantised.tolist()) <= {np.floor(value), np.ceil(value)}
    assert abs(quantised.mean() - value) < 6 * 0.5 / np.sqrt(count)


def test_rounding_to_the_nearest_piles_up_what_chance_evens_out() -> None:
    """Why few bits need chance: an update below half a step is lost in every round, or kept on average."""
    values, scales = np.full(1000, 0.4), (Scale(1000, 100.0),)
    rounds = 50
    nearest = sum(quantise(values, scales, 100) for _ in range(rounds))
    by_chance = sum(quantise(values, scales, 100, source(seed)) for seed in range(rounds))
    assert np.mean(nearest) == 0
    assert np.mean(by_chance) == pytest.approx(0.4 * rounds, rel=0.02)


@pytest.mark.parametrize(
    "values",
    [
        np.array([1.0, np.nan]),
        np.array([np.inf, 1.0]),
        np.zeros((2, 1)),
        np.zeros(2, np.float32),
        np.zeros(2, np.int64),
        [1.0, 1.0],
        np.zeros(3),
        np.zeros(1),
    ],
    ids=["NaN", "infinity", "matrix", "float32", "integers", "list", "long", "short"],
)
def test_other_than_its_finite_vector_is_refused(values: Any) -> None:
    with pytest.raises(SumError):
        quantise(values, (Scale(1, 1.0), Scale(1, 2.0)), 100)


@pytest.mark.parametrize("limit", [0, -1, 2**62])
def test_a_limit_without_meaning_is_refused(limit: int) -> None:
    with pytest.raises(SumError):
        quantise(np.zeros(1), (Scale(1, 1.0),), limit)


@pytest.mark.parametrize("total", [np.zeros(2), [1, 2], np.zeros(3, np.int64)], ids=["float64", "list", "long"])
def test_only_the_sum_goes_back(total: Any) -> None:
    with pytest.raises(SumError):
        dequantise(total, (Scale(2, 1.0),), 10)
