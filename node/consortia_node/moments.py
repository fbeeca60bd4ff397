"""PURE: sums that add up exactly: fixed-point numbers, their squares in two words, and what the totals say.

A value x becomes the integer round(x·10^decimals). Its square may exceed a 64-bit word once many are added, so it
is summed as two words, square = high·2^31 + low; totals are put together again as Python's unbounded integers.
Counts, sums and sums of squares are therefore exact whatever the number of rows and institutions.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from consortia_node.errors import StepError, TotalRefusedError

WORDS = 3
"""Words a column: its sum, and the two halves of its sum of squares."""
_HALF = 31
_LARGEST = 3_000_000_000
"""Largest absolute fixed-point value whose square fits a 64-bit integer."""


def fixed_point(values: NDArray[np.float64], decimals: int) -> NDArray[np.int64]:
    """``values`` as integers in units of 10^-decimals, same shape. Raises StepError for one that is too large."""
    scaled = np.rint(values * 10.0**decimals)
    if not np.all(np.abs(scaled) <= _LARGEST):
        raise StepError(
            f"a value is larger than {_LARGEST / 10**decimals:g}, the most that fits with {decimals} decimals",
            blame="the job spec, which asks for more decimals than the data allow",
            remedy="submit the job again with fewer decimals",
        )
    return scaled.astype(np.int64)


def moment_words(fixed: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each of the columns of ``fixed`` (rows, columns): its WORDS words; shape (columns · WORDS,)."""
    squares = fixed * fixed
    parts = [fixed.sum(axis=0), (squares >> _HALF).sum(axis=0), (squares & ((1 << _HALF) - 1)).sum(axis=0)]
    return np.stack(parts, axis=1).ravel()


@dataclass(frozen=True)
class Moments:
    """Mean and sample standard deviation of one column, each correctly rounded to a float."""

    mean: float
    deviation: float


def moments(count: int, words: NDArray[np.int64], decimals: int) -> list[Moments]:
    """The moments of each column from the totals of ``moment_words`` over ``count`` rows.

    Raises TotalRefusedError for totals that no rows can have.
    """
    return [_moments(count, column.tolist(), 10**decimals) for column in words.reshape(-1, WORDS)]


def _moments(count: int, column: list[int], unit: int) -> Moments:
    total, high, low = column
    if count < 2:
        return Moments(total / unit if count else 0.0, 0.0)
    squares = (high << _HALF) + low
    variance = Fraction(squares * count - total * total, count * (count - 1) * unit * unit)
    if variance < 0:
        raise TotalRefusedError("a sum of squares is smaller than the sum that goes with it allows")
    return Moments(float(Fraction(total, count * unit)), _root(variance))


def _root(variance: Fraction) -> float:
    """The square root, the same on every machine: an integer root of the number scaled by 2^256."""
    return float(Fraction(isqrt(int(variance * 2**256)), 2**128))


def rounded(value: float, digits: int = 12) -> float:
    """``value`` to ``digits`` significant digits: what results carry, so that all parties write the same."""
    return float(Decimal(value).normalize().__format__(f".{digits}g"))
