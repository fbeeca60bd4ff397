"""PURE: the opened numbers of a table by name: what its cells hold, and its tallies."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consortia_common.documents.kinds.statistics import Parameters
from consortia_common.statistics.layout import Axis, Field, Measure
from consortia_node.errors import TotalRefusedError
from consortia_node.stats.disclosure import recoded, regrouped

Integers = NDArray[np.int64]
Exact = NDArray[np.object_]
"""Of Python's integers, which never overflow."""


class Table:
    """The numbers of a first round, of one institution or of all."""

    def __init__(self, numbers: Sequence[int], parameters: Parameters) -> None:
        layout = parameters.layout()
        self.parameters = parameters
        self.unit = 10**parameters.decimals
        """What stands for a 1 in the sums."""
        self._layout = layout
        split = layout.cells.size * len(layout.fields)
        self._cells: Exact = np.array(numbers[:split], object).reshape(*layout.cells.shape, len(layout.fields))
        self._tallies: list[tuple[tuple[Axis, ...], Integers]] = []
        for tally in layout.tallies:
            counts = np.array(numbers[split : split + tally.size], np.int64)
            self._tallies.append((tally.axes, counts.reshape(tally.shape)))
            split += tally.size
        self._related = dict(zip(layout.related, numbers[split:], strict=True))

    def require_counts(self) -> None:
        """Return if no count is negative and none of values exceeds its rows. Raises TotalRefusedError."""
        rows = self.cells("rows")
        counts = [self.cells("count", column) for column in self.parameters.columns]
        counts += [self.cells("known"), self.cells("ones")] if self.parameters.label else []
        wrong = (rows < 0).any() or any((count < 0).any() or (count > rows).any() for count in counts)
        tallied = [counts for _, counts in self._tallies]
        if wrong or any((counts < 0).any() or counts.sum() > rows.sum() for counts in tallied):
            raise TotalRefusedError("the table holds counts that no rows can have")

    def cells(self, measure: Measure, *columns: str) -> Exact:
        """One field of all cells, in their shape."""
        label = self.parameters.label
        columns = (str(label),) if measure in ("known", "ones") else columns
        return self._cells[..., self._layout.fields.index(Field(measure, columns))]

    def related(self, measure: Measure, *columns: str) -> int:
        """A sum over the rows that have all columns of ``correlations``."""
        return self._related[Field(measure, columns)]

    def histogram(self, column: str) -> Integers:
        """By period if periods are compared, then below the range, its bins, above it, missing."""
        return self._tallies[self.parameters.binned().index(column)][1]

    def distribution(self, column: str) -> Integers:
        """The histogram of all rows, without the missing ones; also of a column that is only informative."""
        if column not in self.parameters.binned():
            return np.array(self._by_label(column).sum(axis=1), np.int64)[:-1]
        counts = self.histogram(column)
        return (counts.sum(axis=0) if counts.ndim > 1 else counts)[:-1]

    def crosstab(self, place: int) -> Integers:
        """The ``place``-th cross table."""
        return self._tallies[len(self.parameters.binned()) + place][1]

    def labelled(self, column: str) -> Integers:
        """Classes of an informative column by label 0 and 1."""
        return self._by_label(column)[:, :2]

    def _by_label(self, column: str) -> Integers:
        first = len(self.parameters.binned()) + len(self.parameters.crosstabs)
        return self._tallies[first + self.parameters.information.index(column)][1]

    @cached_property
    def margins(self) -> dict[str, Integers]:
        """How many rows each class of each category column has; where several tables tell, the first."""
        found: dict[str, Integers] = {}
        tables: list[tuple[tuple[Axis, ...], Any]] = [(self._layout.cells.axes, self.cells("rows"))]
        for axes, counts in [*tables, *self._tallies]:
            for place, axis in enumerate(axes):
                if axis.kind == "category" and axis.column not in found:
                    others = tuple(other for other in range(len(axes)) if other != place)
                    found[axis.column] = np.array(counts.sum(axis=others), np.int64)
        return found

    def recoding(self, smallest: int) -> dict[str, list[int]]:
        """For each category column the class that each class counts as, so that none is small."""
        return {column: recoded(counts.clip(0), smallest) for column, counts in self.margins.items()}

    def names(self, column: str) -> list[str]:
        """The classes of a category column."""
        return [*map(str, self.parameters.categories[column]), "other"]


def regrouped_all(table: Any, axes: Sequence[str], codes: dict[str, list[int]]) -> Any:
    """``table`` with each of its first axes, by these columns, recoded."""
    for place, column in enumerate(axes):
        table = regrouped(table, place, codes[column])
    return table
