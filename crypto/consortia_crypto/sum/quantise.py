"""Fixed point for sealed sums: real numbers to integers of a known bound, and sums of them back. Pure numpy.

q = round(clip(x, ±C) · L / C), where L is the policy's limit and C the clip of the tensor that x belongs to: a
scale that everybody knows beforehand; nothing about the data chooses it. To the nearest, the error per summand
is at most C / 2L. With few bits such errors add up over rounds; given ``dither``, chance rounds up or down so
that the expected value is x itself (to within 2^-32 of a step), at the price of an error of up to C / L.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from consortia_crypto.errors import SumError
from consortia_crypto.sum.terms import Scale
from consortia_crypto.sum.vector import Integers

_FITS_INT32 = 2**31 - 1
"""Below it not only the limit is an int32, but also limit + 1, which rounding may give."""
_PIECE = 1 << 16
"""Values at a time: what is computed on the way stays small, however long the vector."""


def quantise(
    values: NDArray[np.float64],
    scales: Sequence[Scale],
    limit: int,
    dither: Callable[[int], bytes] | None = None,
) -> Integers:
    """A vector of float64 as integers in [−limit, limit]; ``dither`` gives that many bytes that nobody can guess.

    They are int32 where all of them fit. Raises SumError for NaN, infinity, another type or another length than
    that of ``scales``.
    """
    _check_vector(values, np.float64, scales, limit)
    quantised: Integers = np.empty(len(values), np.int32 if limit < _FITS_INT32 else np.int64)
    room = np.empty(min(_PIECE, len(values)), np.float64)
    for piece, clip in _pieces(scales):
        if not np.isfinite(values[piece]).all():
            raise _refused("a value is not a finite number")
        scaled = room[: piece.stop - piece.start]
        np.clip(values[piece], -clip, clip, out=scaled)
        scaled /= clip
        scaled *= limit
        rounded = np.rint(scaled, out=scaled) if dither is None else _by_chance(scaled, dither)
        integers = quantised[piece]
        np.copyto(integers, rounded, casting="unsafe")
        # The largest product may round up to limit + 1, hence the clamp on integers too.
        np.clip(integers, -limit, limit, out=integers)
    return quantised


def dequantise(total: Integers, scales: Sequence[Scale], limit: int) -> NDArray[np.float64]:
    """A sum of quantised vectors as float64, in the units of the values. Raises SumError as ``quantise`` does."""
    _check_vector(total, np.signedinteger, scales, limit)
    values = np.empty(len(total), np.float64)
    for piece, clip in _pieces(scales):
        np.divide(total[piece], limit, out=values[piece])
        values[piece] *= clip
    return values


def _by_chance(scaled: NDArray[np.float64], dither: Callable[[int], bytes]) -> NDArray[np.float64]:
    below = np.floor(scaled)
    chance = np.frombuffer(dither(4 * len(scaled)), "<u4") * 2.0**-32
    below += chance < scaled - below
    return below


def _pieces(scales: Sequence[Scale]) -> Iterator[tuple[slice, float]]:
    start = 0
    for scale in scales:
        end = start + scale.length
        for first in range(start, end, _PIECE):
            yield slice(first, min(first + _PIECE, end)), scale.clip
        start = end


def _check_vector(vector: NDArray[np.generic], kind: type, scales: Sequence[Scale], limit: int) -> None:
    if not 1 <= limit < 2**62 or not all(math.isfinite(scale.clip) and scale.clip > 0 for scale in scales):
        raise _refused("a clip is not a positive number or the limit not a positive integer")
    if not isinstance(vector, np.ndarray) or not np.issubdtype(vector.dtype, kind) or vector.ndim != 1:
        raise _refused(f"it is not one vector of {kind.__name__}")
    if len(vector) != sum(scale.length for scale in scales):
        raise _refused(f"the vector has {len(vector)} values, its scales are for another number")


def _refused(why: str) -> SumError:
    return SumError(
        f"numbers were not brought to or from fixed point: {why}",
        blame="the computation that made them",
        remedy="look for diverging training (a smaller learning rate) or a column with missing values",
    )
