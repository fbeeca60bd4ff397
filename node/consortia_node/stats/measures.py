"""PURE: statistics out of exact sums and counts, each with its textbook formula.

Sums are Python's unbounded integers and quotients fractions until the last step, so that all institutions write the
same digits.
"""

from fractions import Fraction
from math import isqrt, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consortia_node.errors import TotalRefusedError
from consortia_node.moments import rounded

Integers = NDArray[np.int64]


def described(count: int, total: int, squares: int, unit: int, *, exact: bool = True) -> dict[str, Any]:
    """Sum, mean, variance and standard deviation (of the sample) of ``count`` numbers in units of 1/unit.

    Raises TotalRefusedError for sums that no numbers can have, unless they are not ``exact`` but noisy.
    """
    if count <= 0:
        return {"sum": None, "mean": None, "variance": None, "std": None}
    mean = Fraction(total, count * unit)
    variance = _variance(count, total, squares, unit, exact=exact)
    return {
        "sum": rounded_fraction(Fraction(total, unit)),
        "mean": rounded_fraction(mean),
        "variance": None if variance is None else rounded_fraction(variance),
        "std": None if variance is None else rounded(root(variance)),
    }


def _variance(count: int, total: int, squares: int, unit: int, *, exact: bool) -> Fraction | None:
    if count < 2:
        return None
    variance = Fraction(squares * count - total * total, count * (count - 1) * unit * unit)
    if variance < 0 and exact:
        raise TotalRefusedError("a sum of squares is smaller than the sum that goes with it allows")
    return max(variance, Fraction(0))


def covariance(count: int, first: int, second: int, product: int, unit: int) -> Fraction | None:
    """Of the sample."""
    if count < 2:
        return None
    return Fraction(product * count - first * second, count * (count - 1) * unit * unit)


def correlation(covariance: Fraction, first: Fraction, second: Fraction) -> float | None:
    """Pearson's, from the covariance and both variances; none of a constant column."""
    if first <= 0 or second <= 0:
        return None
    return max(-1.0, min(1.0, float(covariance) / root(first) / root(second)))


def chi_square(table: Integers) -> dict[str, Any]:
    """Pearson's test of independence and Cramér's V; rows and columns without counts are left out."""
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0].astype(np.float64)
    if min(table.shape, default=0) < 2:
        return {"chi2": None, "dof": 0, "p": None, "cramers_v": None}
    from scipy.special import chdtrc  # noqa: PLC0415 - a third of what a worker takes to start

    total = table.sum()
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / total
    value = float(((table - expected) ** 2 / expected).sum())
    dof = (table.shape[0] - 1) * (table.shape[1] - 1)
    return {
        "chi2": rounded(value),
        "dof": dof,
        "p": rounded(float(chdtrc(dof, value)), 9),
        "cramers_v": rounded((value / total / (min(table.shape) - 1)) ** 0.5),
    }


def stability(part: Integers, base: Integers) -> float | None:
    """Population stability index Σ (p − q)·ln(p/q) of two histograms; none if a bin is empty in one alone."""
    part, base = part[(part > 0) | (base > 0)], base[(part > 0) | (base > 0)]
    if not part.size or (part <= 0).any() or (base <= 0).any():
        return None
    p, q = part / part.sum(), base / base.sum()
    return rounded(float(((p - q) * np.log(p / q)).sum()))


def distance(part: Integers, base: Integers) -> float | None:
    """Kolmogorov–Smirnov: the largest distance of two cumulative distributions, at the edges of bins."""
    if part.sum() <= 0 or base.sum() <= 0:
        return None
    gap = np.abs(part.cumsum() / part.sum() - base.cumsum() / base.sum())
    return rounded(float(gap.max()))


def evidence(zeros: Integers, ones: Integers) -> tuple[list[float | None], float | None]:
    """Weight of evidence of each bin, ln(share of zeros / share of ones), and their information value."""
    if not (zeros.size and zeros.sum() > 0 and ones.sum() > 0):
        return [None] * len(zeros), None
    weights = [
        log(zero * ones.sum() / one / zeros.sum()) if zero > 0 and one > 0 else None
        for zero, one in zip(zeros.tolist(), ones.tolist(), strict=True)
    ]
    shares = (zeros / zeros.sum() - ones / ones.sum()).tolist()
    value = sum(share * weight for share, weight in zip(shares, weights, strict=True) if weight is not None)
    return [None if weight is None else rounded(weight) for weight in weights], rounded(value)


def root(value: Fraction) -> float:
    """The square root, the same on every machine: an integer root of the number scaled by 2^256."""
    return float(Fraction(isqrt(int(value * 2**256)), 2**128))


def rounded_fraction(value: Fraction) -> float:
    """As it is written in results."""
    return rounded(float(value))
