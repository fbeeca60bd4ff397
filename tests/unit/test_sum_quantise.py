"""Fixed point keeps to its bounds at every limit, and refuses what is not a finite vector."""

from typing import Any

import numpy as np
import pytest

from consortia_crypto.errors import SumError
from consortia_crypto.sum.quantise import dequantise, quantise

LIMITS = pytest.mark.parametrize("limit", [1, 2**13 - 1, 2**21 - 1, 2**53 - 1, 2**61 - 1])


@LIMITS
def test_values_at_and_beyond_the_clip_stay_within_the_limit(limit: int) -> None:
    quantised = quantise(np.array([-9e9, -0.7, 0.0, 0.7, 9e9]), 0.7, limit)
    assert quantised.tolist() == [-limit, -limit, 0, limit, limit]


@LIMITS
def test_the_way_back_errs_by_half_a_step(limit: int) -> None:
    values = np.linspace(-2.0, 2.0, 101)
    error = np.abs(dequantise(quantise(values, 2.0, limit), 2.0, limit) - values)
    assert error.max() <= 1.0 / limit + 1e-15


@pytest.mark.parametrize(
    "values",
    [
        np.array([1.0, np.nan]),
        np.array([np.inf]),
        np.zeros((2, 2)),
        np.zeros(3, np.float32),
        np.zeros(3, np.int64),
        [1.0],
    ],
    ids=["NaN", "infinity", "matrix", "float32", "integers", "list"],
)
def test_other_than_a_finite_vector_is_refused(values: Any) -> None:
    with pytest.raises(SumError):
        quantise(values, 1.0, 100)


@pytest.mark.parametrize(("clip", "limit"), [(0.0, 9), (-1.0, 9), (float("nan"), 9), (float("inf"), 9), (1.0, 0)])
def test_a_grid_without_meaning_is_refused(clip: float, limit: int) -> None:
    with pytest.raises(SumError):
        quantise(np.zeros(1), clip, limit)


@pytest.mark.parametrize("total", [np.zeros(3), [1, 2]], ids=["float64", "list"])
def test_only_integers_go_back(total: Any) -> None:
    with pytest.raises(SumError):
        dequantise(total, 1.0, 10)
