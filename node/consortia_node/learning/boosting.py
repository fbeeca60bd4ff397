"""PURE: the gradient of a loss as whole numbers, so that sums of it over rows and institutions are exact.

First and second derivatives are rounded to units of 2^-20. A sum of them is then the same number in whatever
order and wherever it is added, which is why the federated model is the pooled one, split for split.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
UNIT = 1 << 20
LARGEST = 1 << 30
"""Largest derivative of one row, in units of 1/UNIT; larger ones, of an absurd target, are cut to it."""


@dataclass(frozen=True)
class Gradient:
    """First and second derivative of each row's loss by its margin, in units of 1/UNIT; (rows,)."""

    first: Integers
    second: Integers


class Objective(Protocol):
    """A loss of the margin, which is the sum of the trees' values."""

    def gradient(self, margin: Floats, target: Floats, weights: Floats) -> Gradient:
        """Of the weighted loss."""

    def start(self, mean: float) -> float:
        """The margin with the least loss for a target of this mean, where all margins are one."""

    def answer(self, margin: Floats) -> Floats:
        """What the margins predict."""


class _Logistic:
    def gradient(self, margin: Floats, target: Floats, weights: Floats) -> Gradient:
        chance = self.answer(margin)
        return _fixed(weights * (chance - target), weights * chance * (1 - chance))

    def start(self, mean: float) -> float:
        bounded = min(max(mean, 1e-6), 1 - 1e-6)
        return float(np.log(bounded / (1 - bounded)))

    def answer(self, margin: Floats) -> Floats:
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(margin, -60, 60))))


class _Squared:
    def gradient(self, margin: Floats, target: Floats, weights: Floats) -> Gradient:
        return _fixed(weights * (margin - target), weights)

    def start(self, mean: float) -> float:
        return mean

    def answer(self, margin: Floats) -> Floats:
        return margin


class _Poisson:
    def gradient(self, margin: Floats, target: Floats, weights: Floats) -> Gradient:
        mean = self.answer(margin)
        return _fixed(weights * (mean - target), weights * mean)

    def start(self, mean: float) -> float:
        return float(np.log(max(mean, 1e-6)))

    def answer(self, margin: Floats) -> Floats:
        return np.asarray(np.exp(np.clip(margin, -60, 60)))


OBJECTIVES: Mapping[str, Objective] = {"logistic": _Logistic(), "squared": _Squared(), "poisson": _Poisson()}


def _fixed(first: Floats, second: Floats) -> Gradient:
    whole = (np.rint(np.clip(each * UNIT, -LARGEST, LARGEST)).astype(np.int64) for each in (first, second))
    return Gradient(*whole)
