"""PURE: the best split of each node of a level from its histograms, by the second-order gain of gradient boosting.

A split is a set of bins that goes left. For a numeric feature it is the bins up to one of them; for a categorical
one the bins are first put in order of first / second derivative, among whose prefixes the best subset lies.
Missing values go to the side that gains more. Source: Chen and Guestrin, XGBoost (2016), equations 5 to 7 and
algorithm 3; Fisher (1958) for the order of categories.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from consortia_node.learning.boosting import UNIT
from consortia_node.learning.histograms import FIRST, ROWS, SECOND

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Rules:
    """What a split must satisfy."""

    l2: float = 1.0
    min_gain: float = 0.0
    min_rows: int = 20
    """Of all institutions' rows on each side."""
    min_hessian: float = 1e-3
    categorical: frozenset[int] = frozenset()
    """Features, by place, whose bins have no order."""
    monotone: dict[int, int] = field(default_factory=dict)
    """Features along which the prediction may only rise (1) or only fall (−1)."""


@dataclass(frozen=True)
class Split:
    """The best split of one node: rows whose bin of ``feature`` is in ``left`` (bins,) go left."""

    feature: int
    left: NDArray[np.bool_]
    gain: float
    totals: tuple[Integers, Integers]
    """First, second derivative and rows of the left and of the right part."""


def value(totals: Integers, l2: float) -> float:
    """The value of a leaf, learning rate 1. Rows answered so well that they have no curvature get a unit of it."""
    return -float(totals[FIRST]) / (max(float(totals[SECOND]), 1.0) + l2 * UNIT)


def best(
    histograms: Integers, rules: Rules, allowed: NDArray[np.bool_], bounds: Sequence[tuple[float, float]]
) -> list[Split | None]:
    """The split of each node with the largest gain, among the ``allowed`` features (features,); None if none gains.

    ``histograms`` are (nodes, features, bins, 3), missing values in the last bin; ``bounds`` those of each node's
    value. Of equal gains the first feature wins, then the first threshold, then missing values to the left.
    """
    order = _order(histograms, rules)
    left, total = _prefixes(histograms, order, rules), histograms[:, 0].sum(axis=1).T[:, :, None, None, None]
    gains = _gains(left, total, rules, np.array(bounds).T[:, :, None, None, None])
    gains[:, ~allowed] = -np.inf
    largest = np.argmax(gains.reshape(len(gains), -1), axis=1)
    found: list[Split | None] = []
    for node, place in enumerate(largest):
        feature, threshold, side = (int(each) for each in np.unravel_index(place, gains.shape[1:]))
        gain = float(gains[node, feature, threshold, side])
        if not gain > rules.min_gain:
            found.append(None)
            continue
        goes_left = np.zeros(histograms.shape[2], bool)
        goes_left[order[node, feature, : threshold + 1]] = True
        goes_left[-1] = side == 0
        part = left[:, node, feature, threshold, side]
        found.append(Split(feature, goes_left, gain, (part, total[:, node, 0, 0, 0] - part)))
    return found


def _order(histograms: Integers, rules: Rules) -> Integers:
    """For each node and feature the order in which its bins join the left side; (nodes, features, bins − 1)."""
    nodes, features, bins = histograms.shape[0], histograms.shape[1], histograms.shape[2] - 1
    order = np.tile(np.arange(bins), (nodes, features, 1))
    for feature in sorted(rules.categorical):
        table = histograms[:, feature, :-1].astype(np.float64)
        ratio = table[..., FIRST] / (np.maximum(table[..., SECOND], 1.0) + rules.l2 * UNIT)
        order[:, feature] = np.argsort(ratio, axis=1, kind="stable")
    return order


def _prefixes(histograms: Integers, order: Integers, rules: Rules) -> Integers:
    """The totals left of every candidate; (3, nodes, features, bins − 1, sides).

    The sides are those on which missing values go left and right; only the first if there are none.
    """
    by_number = np.ascontiguousarray(np.moveaxis(histograms, -1, 0))
    known, missing = by_number[..., :-1], by_number[..., -1:]
    if rules.categorical:
        known = np.take_along_axis(known, order[None], axis=-1)
    prefix = np.cumsum(known, axis=-1)
    return np.stack([prefix + missing, prefix], axis=-1) if missing.any() else prefix[..., None]


def _gains(left: Integers, total: Integers, rules: Rules, bounds: Floats) -> Floats:
    """The gain of every candidate, −∞ where the rules forbid it; (nodes, features, bins − 1, sides)."""
    right = total - left
    gains = _quality(left, rules, bounds) + _quality(right, rules, bounds) - _quality(total, rules, bounds)
    for part in (left, right):
        gains[(part[ROWS] < rules.min_rows) | (part[SECOND] < max(rules.min_hessian * UNIT, 1))] = -np.inf
    for feature, direction in rules.monotone.items():
        own = bounds[:, :, 0]
        rise = _values(right[:, :, feature], rules, own) - _values(left[:, :, feature], rules, own)
        gains[:, feature][direction * rise < 0] = -np.inf
    return np.asarray(gains)


def _values(totals: Integers, rules: Rules, bounds: Floats) -> Floats:
    first, second = totals[FIRST].astype(np.float64), np.maximum(totals[SECOND], 1.0)
    return np.asarray(np.clip(-first / (second + rules.l2 * UNIT), bounds[0], bounds[1]))


def _quality(totals: Integers, rules: Rules, bounds: Floats) -> Floats:
    """By how much the loss falls if these rows get the best value within ``bounds``, the lowest and the highest."""
    first, second = totals[FIRST] / UNIT, np.maximum(totals[SECOND], 1) / UNIT + rules.l2
    if not rules.monotone:  # nothing else bounds a value
        return np.asarray(0.5 * np.square(first) / second)
    values = np.clip(-first / second, bounds[0], bounds[1])
    return np.asarray(-(first * values + 0.5 * second * np.square(values)))
