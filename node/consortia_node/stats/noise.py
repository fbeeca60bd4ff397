"""PURE: noise for exact integers, sampled exactly: the discrete Gaussian of Canonne, Kamath and Steinke (2020).

Only integers are computed with, so that no rounding of floating point gives a value away. The source of randomness
is an argument. Its running time depends on the sample; nobody but this institution sees it to that accuracy.
"""

from collections.abc import Sequence
from math import ceil
from random import Random

from consortia_common.documents.kinds.statistics import Parameters
from consortia_common.statistics.layout import Field, Layout


def noised(
    numbers: Sequence[int], layout: Layout, parameters: Parameters, share: float, random: Random
) -> list[int]:
    """``numbers`` with this institution's share of the noise; ``share`` is its standard deviation on a count."""
    scales = {field: spread(field, parameters, share) for field in set(layout.numbers)}
    return [
        number + discrete_gaussian(scales[field], random)
        for number, field in zip(numbers, layout.numbers, strict=True)
    ]


def spread(field: Field, parameters: Parameters, share: float) -> int:
    """The standard deviation on a number, in whole steps: as much as a row can make it larger than a count."""
    reach = 1
    if field.degree:
        for column in field.columns if field.measure == "product" else field.columns * field.degree:
            reach *= max(map(abs, parameters.fixed_range(column)))
    return ceil(share * reach)


def discrete_gaussian(sigma: int, random: Random) -> int:
    """An integer x with probability proportional to exp(−x²/2σ²)."""
    scale = sigma + 1
    while True:
        value = _discrete_laplace(scale, random)
        excess = abs(abs(value) * scale - sigma * sigma)
        if _happens_exp(excess * excess, 2 * sigma * sigma * scale * scale, random):
            return value


def _discrete_laplace(scale: int, random: Random) -> int:
    """An integer x with probability proportional to exp(−|x|/scale)."""
    while True:
        remainder = random.randrange(scale)
        if not _happens_exp(remainder, scale, random):
            continue
        whole = 0
        while _happens_exp(1, 1, random):
            whole += 1
        value = remainder + scale * whole
        negative = random.randrange(2) == 1
        if not (negative and value == 0):
            return -value if negative else value


def _happens_exp(numerator: int, denominator: int, random: Random) -> bool:
    """True with probability exp(−numerator/denominator), which is not negative."""
    while numerator > denominator:
        if not _happens_below_one(1, 1, random):
            return False
        numerator -= denominator
    return _happens_below_one(numerator, denominator, random)


def _happens_below_one(numerator: int, denominator: int, random: Random) -> bool:
    """As ``_happens_exp``, for a quotient up to 1: von Neumann's method."""
    count = 1
    while random.randrange(denominator * count) < numerator:
        count += 1
    return count % 2 == 1
