"""PURE: what growing a tree adds up: derivatives and rows in each bin of each feature, for the nodes of one level.

Of two nodes with one parent only the smaller is summed; the other is the parent less its sibling, exactly, since
all of it is integers. That halves what is computed and what is sealed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consortia_node.errors import TotalRefusedError
from consortia_node.learning.binning import Codes
from consortia_node.learning.boosting import Gradient

Integers = NDArray[np.int64]
FIRST, SECOND, ROWS = range(3)
"""The three numbers of a bin, in this order."""


@dataclass(frozen=True)
class Shape:
    """Of one level's histograms: ``slots`` nodes at most, ``bins`` of each feature with that for missing values."""

    slots: int
    features: int
    bins: int

    @property
    def length(self) -> int:
        """Integers in all."""
        return self.slots * self.features * self.bins * 3


def build(codes: Codes, slots: NDArray[np.int64], gradient: Gradient, shape: Shape) -> Integers:
    """The histograms of the nodes in ``slots`` (rows,), −1 for a row in none; (slots, features, bins, 3).

    Exact: a bin's sum stays below 2^53 for up to 2^23 rows at the largest derivative, and for 2^33 at 1.
    """
    inside = np.flatnonzero(slots >= 0)
    everything = len(inside) == len(slots)
    numbers = (gradient.first[inside].astype(np.float64), gradient.second[inside].astype(np.float64), None)
    base, length = slots[inside] * shape.bins, shape.slots * shape.bins
    table = np.empty((shape.features, 3, length), np.int64)
    for feature in range(shape.features):
        column = codes[:, feature]
        index = base + (column if everything else column.take(inside))
        for number, weights in enumerate(numbers):
            table[feature, number] = np.bincount(index, weights, length)
    by_slot = table.reshape(shape.features, 3, shape.slots, shape.bins)
    return np.ascontiguousarray(by_slot.transpose(2, 0, 3, 1))


def require_possible(totals: Integers, rows: float) -> None:
    """Return if ``rows`` rows can have these histograms (slots, features, bins, 3); else TotalRefusedError."""
    wholes = totals.sum(axis=2)
    if (totals[..., SECOND:] < 0).any() or (wholes[..., ROWS] > rows).any():
        raise TotalRefusedError("a bin has fewer than no rows or curvature, or a node more rows than there are")
    if (wholes != wholes[:, :1]).any():
        raise TotalRefusedError("the features' bins don't add up to the same rows")


def siblings(parents: Integers, smaller: Integers) -> Integers:
    """The histograms of the larger nodes of each pair; all (pairs, features, bins, 3)."""
    return parents - smaller
