"""PURE: how raw columns become a model's inputs, the same in training, in testing and wherever the model is used.

A spec says what to do with each column; fitting adds what only the data tell (means, spreads, weights of evidence),
from sums over all institutions. The fitted ``Preparation`` is part of the model. Missing values are NaN. Text
categories never come here: a column of categories holds the place of each value in the agreed list, NaN for any
other value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Columns = Mapping[str, Floats]
"""By column name: (rows,)."""


class Feature(Protocol):
    """One column of a model's input matrix."""

    @property
    def name(self) -> str:
        """What reports call it."""

    def values(self, columns: Columns) -> Floats:
        """Its value in each row; (rows,)."""


@dataclass(frozen=True)
class Shape:
    """What is done to a number before it is scaled, in this order."""

    fill: float | None = None
    """In the place of a missing value; none: the mean of what is there, which only the data tell."""
    low: float | None = None
    high: float | None = None
    log1p: bool = False

    def apply(self, column: Floats) -> Floats:
        """The numbers; missing ones stay missing unless there is a ``fill``."""
        filled = column if self.fill is None else np.where(np.isnan(column), self.fill, column)
        held = np.clip(filled, self.low, self.high) if (self.low, self.high) != (None, None) else filled
        return np.asarray(np.sign(held) * np.log1p(np.abs(held))) if self.log1p else held


@dataclass(frozen=True)
class Numeric:
    """A number, shaped, then as (x − mean) / scale; a missing one is the mean."""

    column: str
    shape: Shape = Shape()
    mean: float = 0.0
    scale: float = 1.0

    @property
    def name(self) -> str:
        """The column's."""
        return self.column

    def values(self, columns: Columns) -> Floats:
        """See Feature."""
        scaled = (self.shape.apply(columns[self.column]) - self.mean) / self.scale
        return np.where(np.isnan(scaled), 0.0, scaled)


@dataclass(frozen=True)
class Indicator:
    """1 where the column holds one category, by its place in the agreed list."""

    column: str
    category: int
    label: str

    @property
    def name(self) -> str:
        """Column and category."""
        return f"{self.column}={self.label}"

    def values(self, columns: Columns) -> Floats:
        """See Feature."""
        return np.asarray(columns[self.column] == self.category, np.float64)


@dataclass(frozen=True)
class Evidence:
    """The weight of evidence of the column's category; ``weights`` has one more, for values outside the list."""

    column: str
    weights: tuple[float, ...]

    @property
    def name(self) -> str:
        """The column's."""
        return self.column

    def values(self, columns: Columns) -> Floats:
        """See Feature."""
        places = columns[self.column]
        known = np.where(np.isnan(places), len(self.weights) - 1, places).astype(np.int64)
        return np.asarray(self.weights, np.float64)[known]


@dataclass(frozen=True)
class Preparation:
    """The fitted features, in the order of the model's inputs."""

    features: tuple[Feature, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the features."""
        return tuple(feature.name for feature in self.features)

    def matrix(self, columns: Columns) -> Floats:
        """The inputs; (rows, features)."""
        return np.column_stack([feature.values(columns) for feature in self.features])


def evidence(counts: NDArray[np.int64], smoothing: float = 0.5) -> tuple[float, ...]:
    """The weight of evidence of each category, ln(share of ones / share of zeros), from (categories, 2) counts of
    (zeros, ones). ``smoothing`` is added to each count, so that an empty one has a finite weight."""
    smooth = counts + smoothing
    shares = smooth / smooth.sum(axis=0)
    return tuple(float(weight) for weight in np.log(shares[:, 1] / shares[:, 0]))


def stacked(columns: Columns, order: Sequence[str]) -> Floats:
    """The raw columns side by side; (rows, columns)."""
    return np.column_stack([columns[name] for name in order])
