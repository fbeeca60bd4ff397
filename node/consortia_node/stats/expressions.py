"""PURE: what a spec asks, as expressions over the consented rows.

Numbers become integers of 10^-decimals before anything is summed or binned, so that every institution rounds once
and in one way. A bin is an integer division, done in floating point with half a bin's fraction of a step added,
which makes it exact for numbers up to LARGEST and a thousand bins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw

from consortia_common.documents.kinds.statistics import Parameters
from consortia_common.statistics.layout import LARGEST, Axis, Tally

Frame = nw.LazyFrame[Any]
CELL, LABEL = "_cell", "_label"


@dataclass(frozen=True)
class Bracket:
    """Integers in fixed point from ``low`` to below ``end``."""

    low: int
    end: int

    @property
    def width(self) -> int:
        """How many."""
        return self.end - self.low

    def part(self, bins: int, place: int) -> "Bracket":
        """The ``place``-th of ``bins`` equal parts, to whole steps; some are empty where bins are narrower."""
        return Bracket(*(self.low - (-self.width * edge // bins) for edge in (place, place + 1)))


class Expressions:
    """Over a frame of this schema, for these parameters."""

    def __init__(self, schema: Mapping[str, Any], parameters: Parameters) -> None:
        self._schema = schema
        self._parameters = parameters
        self._unit = 10**parameters.decimals

    def fixed(self, column: str) -> nw.Expr:
        """The column in fixed point as Int64; null where it is, and where a value is too large to be summed."""
        value: nw.Expr = nw.col(column)
        low, high = self._limits(column)
        if self._schema[column] == nw.Boolean:
            whole: nw.Expr = value.cast(nw.Int64) * self._unit
            return whole
        if self._parameters.noise is not None:
            value = value.clip(low, high)
        rounded: nw.Expr = value * self._unit
        if not self._schema[column].is_integer():
            rounded = _nearest(rounded)
        return nw.when((value >= low) & (value <= high)).then(rounded.cast(nw.Int64))

    def label(self) -> nw.Expr:
        """The label as Float64."""
        return nw.col(str(self._parameters.label)).cast(nw.Float64)

    def key(self, tally: Tally) -> nw.Expr:
        """Which of the tally's counts a row adds to."""
        keys = [self._class(axis) for axis in tally.axes]
        value = keys[0] if keys else nw.lit(0)
        for axis, key in zip(tally.axes[1:], keys[1:], strict=True):
            value = value * axis.size + key
        return value

    def bracketed(self, column: str, brackets: Sequence[Bracket]) -> nw.Expr:
        """In which bin of which bracket a row is; of equal brackets the first counts."""
        value, bins = self._rounded(column), self._parameters.bins
        key: nw.Expr = nw.lit(len(brackets) * bins)
        for place, bracket in reversed(list(enumerate(brackets))):
            if not bracket.width:
                continue
            inside = (value >= bracket.low) & (value < bracket.end)
            key = nw.when(inside).then(place * bins + self._bin(value, bracket)).otherwise(key)
        return key.cast(nw.Int32)

    def _class(self, axis: Axis) -> nw.Expr:
        if axis.kind == "category":
            return self._category(axis)
        if axis.kind == "label":
            return nw.col(axis.column).cast(nw.Int64).fill_null(2)
        low, high = self._parameters.fixed_range(axis.column)
        value, bins = self._rounded(axis.column), self._parameters.bins
        beyond = nw.when(value > high).then(nw.lit(bins + 1)).otherwise(nw.lit(bins + 2))
        beyond = nw.when(value < low).then(nw.lit(0)).otherwise(beyond)
        # The highest value of a range belongs to its last bin.
        beyond = nw.when(value == high).then(nw.lit(bins)).otherwise(beyond)
        # First what nearly all values are, since the engine looks at the rest for the others alone.
        inside = (value >= low) & (value < high)
        place = self._bin(value, Bracket(low, high)).cast(nw.Int32) + 1
        return nw.when(inside).then(place).otherwise(beyond).cast(nw.Int32)

    def _bin(self, value: nw.Expr, bracket: Bracket) -> nw.Expr:
        """The number of the bin as a whole number of Float64, for a value inside the bracket."""
        bins = self._parameters.bins
        return ((value - (bracket.low - 0.5 / bins)) * (bins / bracket.width)).floor()

    def _rounded(self, column: str) -> nw.Expr:
        """The column in fixed point as whole numbers of Float64, which holds them exactly."""
        value: nw.Expr = nw.col(column).cast(nw.Float64) * self._unit
        whole = self._schema[column] == nw.Boolean or self._schema[column].is_integer()
        return value if whole else _nearest(value)

    def _category(self, axis: Axis) -> nw.Expr:
        known, dtype = self._parameters.categories[axis.column], self._schema[axis.column]
        value = nw.col(axis.column)
        if dtype == nw.Boolean or not (dtype == nw.String or dtype.is_numeric()):
            value = value.cast(nw.String)
        number = dtype.is_numeric()
        key: nw.Expr = nw.lit(len(known))
        for place, category in reversed(list(enumerate(known))):
            told = _number(category) if number else str(category)
            if told is not None:
                key = nw.when(value == nw.lit(told)).then(nw.lit(place)).otherwise(key)
        return key

    def _limits(self, column: str) -> tuple[float, float]:
        """Between what the column's values count."""
        if self._parameters.noise is not None:
            low, high = self._parameters.ranges[column]
            return float(low), float(high)
        return -LARGEST / self._unit, LARGEST / self._unit


def _nearest(value: nw.Expr) -> nw.Expr:
    """The nearest whole number, halves upwards: an addition and a floor are an eighth of an engine's ``round``."""
    return (value + 0.5).floor()


def _number(category: int | str) -> int | None:
    try:
        return int(category)
    except ValueError:
        return None
