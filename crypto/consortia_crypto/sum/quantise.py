"""Fixed point for sealed sums: real numbers to integers of a known bound, and sums of them back. Pure numpy.

q = round(clip(x, ±C) · L / C), where C is a clip that everybody knows beforehand and L the policy's limit. The
error per summand is at most C / 2L; nothing about the data chooses C.
"""

import math

import numpy as np
from numpy.typing import NDArray

from consortia_crypto.errors import SumError


def quantise(values: NDArray[np.float64], clip: float, limit: int) -> NDArray[np.int64]:
    """A vector of float64 as integers in [−limit, limit]. Raises SumError for NaN, infinity or another shape."""
    _check_grid(clip, limit)
    if not isinstance(values, np.ndarray) or values.dtype != np.float64 or values.ndim != 1:
        raise _refused("the values are not one vector of float64")
    if not np.isfinite(values).all():
        raise _refused("a value is not a finite number")
    scaled = np.rint(np.clip(values, -clip, clip) * (limit / clip))
    # Above 2^53 the largest product may round up to limit + 1, hence the clamp on integers too.
    return np.clip(scaled.astype(np.int64), -limit, limit)


def dequantise(total: NDArray[np.int64], clip: float, limit: int) -> NDArray[np.float64]:
    """A sum of quantised vectors as float64, in the units of the values. Raises SumError for another type."""
    _check_grid(clip, limit)
    if not isinstance(total, np.ndarray) or total.dtype != np.int64:
        raise _refused("the sum is not a numpy array of int64")
    return total.astype(np.float64) * (clip / limit)


def _check_grid(clip: float, limit: int) -> None:
    if not (math.isfinite(clip) and clip > 0 and 1 <= limit < 2**62):
        raise _refused("the clip is not a positive number or the limit not a positive integer")


def _refused(why: str) -> SumError:
    return SumError(
        f"numbers were not brought to fixed point: {why}",
        blame="the computation that made them",
        remedy="look for diverging training (a smaller learning rate) or a column with missing values",
    )
