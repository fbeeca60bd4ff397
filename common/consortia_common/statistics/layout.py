"""PURE: which numbers a ``statistics`` job adds up, in which order, and how large one row can make them.

A table is a list of exact integers: for each cell of the group-by its rows and its columns' sums, then counts over
other divisions of the rows (tallies), then the sums of products for correlations. Integers that can outgrow a word
of a sealed sum are sent as two, value = high · 2^LOW_BITS + low, so that nothing ever wraps: MAX_ROWS rows of the
largest values of 50 institutions stay below the limit that consortia_crypto.sum.terms sets.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Literal

LARGEST = 3_000_000_000
"""Largest absolute value of a number in fixed point, so that its square fits 64 bits."""
MAX_ROWS = 1 << 40
"""Most rows that one institution may add."""
LOW_BITS = 53
"""Bits of the low word of an integer that is sent as two."""
OTHER = "other"
"""The class of rows whose category is none of those that the spec declares, or absent."""

BELOW, MISSING_LABEL = 0, 2
"""The class of values below the range; that of rows without a label."""


@dataclass(frozen=True)
class Axis:
    """One way in which rows are told apart.

    ``category``: the declared ones in order, then OTHER. ``bins``: below the range, the bins, above it, missing.
    ``label``: 0, 1, missing. ``brackets``: the bins of each bracket in turn, then all other rows.
    """

    kind: Literal["category", "bins", "label", "brackets"]
    column: str
    size: int


@dataclass(frozen=True)
class Tally:
    """Counts of rows by every combination of the axes' classes, the last axis running fastest."""

    axes: tuple[Axis, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Classes of each axis."""
        return tuple(axis.size for axis in self.axes)

    @property
    def size(self) -> int:
        """How many counts."""
        return prod(self.shape)


Measure = Literal["rows", "known", "ones", "count", "sum", "squares", "product"]


@dataclass(frozen=True)
class Field:
    """One number of a cell: of which columns it is, and its degree in their values."""

    measure: Measure
    columns: tuple[str, ...] = ()

    @property
    def degree(self) -> int:
        """0 for counts; 1 for sums; 2 for sums of squares and of products."""
        return {"sum": 1, "squares": 2, "product": 2}.get(self.measure, 0)

    @property
    def wide(self) -> bool:
        """Whether it takes two words."""
        return self.degree > 0


@dataclass(frozen=True)
class Layout:
    """The numbers of one table: cells × fields, the tallies, then ``related`` (sums over complete rows)."""

    cells: Tally
    fields: tuple[Field, ...]
    tallies: tuple[Tally, ...] = ()
    related: tuple[Field, ...] = ()

    @cached_property
    def numbers(self) -> tuple[Field, ...]:
        """Each number of the table in order; those of tallies are counts of rows."""
        rows = Field("rows")
        counted = (rows,) * sum(tally.size for tally in self.tallies)
        return self.fields * self.cells.size + counted + self.related

    @property
    def words(self) -> int:
        """The length of the sealed sum: low words of all numbers, then the high words of the wide ones."""
        fields = len(self.fields) + sum(field.wide for field in self.fields)
        related = len(self.related) + sum(field.wide for field in self.related)
        return fields * self.cells.size + sum(tally.size for tally in self.tallies) + related

    def touched(self) -> int:
        """How many numbers one row can change."""
        return len(self.fields) + len(self.tallies) + len(self.related)


def fields_of(columns: Sequence[str], label: str | None) -> tuple[Field, ...]:
    """The fields of a cell."""
    labelled = (Field("known", (label,)), Field("ones", (label,))) if label else ()
    described = (Field(what, (column,)) for column in columns for what in _DESCRIBED)
    return (Field("rows"), *labelled, *described)


def related_of(columns: Sequence[str], *, counted: bool) -> tuple[Field, ...]:
    """The fields of correlations: the complete rows, over which each column's sum and each pair's sum of products;
    and if ``counted``, how many rows have each column."""
    if not columns:
        return ()
    counts = (Field("count", (column,)) for column in columns if counted)
    sums = (Field("sum", (column,)) for column in columns)
    return (Field("rows"), *counts, *sums, *(Field("product", pair) for pair in pairs(columns)))


def pairs(columns: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each pair of the columns once, each column's with itself included."""
    for place, first in enumerate(columns):
        for second in columns[place:]:
            yield first, second


_DESCRIBED: tuple[Measure, ...] = ("count", "sum", "squares")
