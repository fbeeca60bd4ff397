"""PURE: how good a model's scores are, from counts of rows by bin of score and label.

The counts are all that institutions add up; bins are equal shares of [0, 1]. Rows in one bin count as ties, which
bounds every error by what is in one bin. Sources: Hanley and McNeil (1982) for the area under the ROC curve;
Davis and Goadrich (2006) for precision and recall.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
UNIT = 1_000_000
"""Losses are summed in millionths."""


def tally(scores: Floats, labels: Floats, bins: int) -> Integers:
    """Zeros and ones by bin of score in [0, 1]; (2, bins)."""
    index = np.minimum((scores * bins).astype(np.int64), bins - 1) + bins * labels.astype(np.int64)
    counts: Integers = np.zeros((2, bins), np.int64)
    counts.ravel()[:] = np.bincount(index, minlength=2 * bins)
    return counts


def losses(scores: Floats, labels: Floats) -> Integers:
    """The summed log loss and squared error of probabilities, in units of 1/UNIT; (2,)."""
    bounded = np.clip(scores, 1e-15, 1 - 1e-15)
    logs = -(labels * np.log(bounded) + (1 - labels) * np.log1p(-bounded)).sum()
    both = np.array([logs, np.square(scores - labels).sum()]) * UNIT
    return np.asarray(np.rint(both), np.int64)


@dataclass(frozen=True)
class Curve:
    """Rows at or above each of the thresholds 1 − 1/bins, 1 − 2/bins, …, 0; counts from the top score down."""

    counts: Integers
    """(2, bins): zeros and ones in each bin, lowest score first."""

    @property
    def zeros(self) -> int:
        """Rows with label 0."""
        return int(self.counts[0].sum())

    @property
    def ones(self) -> int:
        """Rows with label 1."""
        return int(self.counts[1].sum())

    @property
    def bins(self) -> int:
        """Bins of score."""
        return int(self.counts.shape[1])

    def above(self) -> Integers:
        """(2, bins + 1): how many zeros and ones score at or above threshold k / bins, k = 0 … bins."""
        totals = np.zeros((2, self.bins + 1), np.int64)
        totals[:, :-1] = np.cumsum(self.counts[:, ::-1], axis=1)[:, ::-1]
        return totals


def area_under_roc(curve: Curve) -> float | None:
    """None where all rows have one label."""
    zeros, ones = (half.astype(object) for half in curve.counts)
    below = np.cumsum(zeros) - zeros
    pairs = curve.zeros * curve.ones
    return int((ones * (2 * below + zeros)).sum()) / (2 * pairs) if pairs else None


def kolmogorov_smirnov(curve: Curve) -> tuple[float, float] | None:
    """The largest distance between the labels' distributions of scores, and the threshold where it is."""
    if not (curve.zeros and curve.ones):
        return None
    above = curve.above()
    distance = np.abs(above[1] / curve.ones - above[0] / curve.zeros)
    place = int(np.argmax(distance))
    return float(distance[place]), place / curve.bins


def average_precision(curve: Curve) -> float | None:
    """The area under the precision-recall curve, as a sum over thresholds of recall gained times precision."""
    if not curve.ones:
        return None
    zeros, ones = curve.above()[:, -2::-1]
    gained = np.diff(ones, prepend=0) / curve.ones
    return float((gained * ones / np.maximum(zeros + ones, 1)).sum())


def roc(curve: Curve, points: int = 100) -> list[tuple[float, float]]:
    """(share of zeros, share of ones) at or above each of about so many thresholds, from the strictest on."""
    if not (curve.zeros and curve.ones):
        return []
    zeros, ones = curve.above()[:, :: -max(curve.bins // points, 1)]
    return [(float(false), float(true)) for false, true in zip(zeros / curve.zeros, ones / curve.ones, strict=True)]


@dataclass(frozen=True)
class Confusion:
    """Rows by label and by whether they score at or above the threshold."""

    threshold: float
    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int


def confusion(curve: Curve, thresholds: Sequence[float]) -> list[Confusion]:
    """At the bin edges nearest to ``thresholds``."""
    above = curve.above()
    found = []
    for threshold in thresholds:
        place = round(threshold * curve.bins)
        false, true = int(above[0, place]), int(above[1, place])
        found.append(Confusion(place / curve.bins, true, false, curve.zeros - false, curve.ones - true))
    return found


@dataclass(frozen=True)
class Calibrated:
    """Rows of one range of scores: the share of ones, beside the range that promised it."""

    low: float
    high: float
    rows: int
    share: float | None


def calibration(curve: Curve, ranges: int = 10) -> list[Calibrated]:
    """Equal ranges of the score."""
    cuts = np.linspace(0, curve.bins, ranges + 1).astype(int)
    found = []
    for first, last in pairwise(cuts):
        zeros, ones = (int(part) for part in curve.counts[:, first:last].sum(axis=1))
        rows = zeros + ones
        found.append(Calibrated(first / curve.bins, last / curve.bins, rows, ones / rows if rows else None))
    return found


@dataclass(frozen=True)
class Gained:
    """Of the ``share`` of rows with the highest scores: how many of all ones they hold, and how often by chance."""

    share: float
    gain: float
    lift: float


def gains(curve: Curve, parts: int = 10) -> list[Gained]:
    """For the top 1/parts, 2/parts, … of the rows, to the nearest bin."""
    if not curve.ones:
        return []
    zeros, ones = curve.above()[:, ::-1]
    rows = zeros + ones
    found = []
    for part in range(1, parts + 1):
        place = int(np.searchsorted(rows, part / parts * rows[-1]))
        share, gain = float(rows[place] / rows[-1]), float(ones[place] / curve.ones)
        found.append(Gained(share, gain, gain / share))
    return found
