"""PURE: what may be told of all rows and of each group: how many, the label's rate, and the columns' moments.

A group that is too small, or that would follow from the others, is named and no more; so is, by null, a column of
which too few rows of a group have a value.
"""

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consortia_common.documents.kinds.statistics import Parameters
from consortia_node.moments import rounded
from consortia_node.stats import measures
from consortia_node.stats.disclosure import withheld
from consortia_node.stats.table import Table, regrouped_all

Integers = NDArray[np.int64]


class Groups:
    """The cells of a table of totals: nothing about fewer than ``smallest`` rows."""

    def __init__(self, table: Table, smallest: int) -> None:
        self._table = table
        self._parameters: Parameters = table.parameters
        self._smallest = smallest
        self._codes = table.recoding(smallest)

    def overall(self) -> dict[str, Any]:
        """All rows as one group."""

        def whole(measure: Any, *columns: str) -> int:
            return int(self._table.cells(measure, *columns).sum())

        return self._describe(whole, hidden=frozenset(name for name, few in self._few(whole).items() if few))

    def groups(self) -> dict[str, Any]:
        """Each group; those that must not be shown by name only."""
        table, by = self._table, self._parameters.by
        rows, closed = self._counts("rows"), self._closed()
        hidden = withheld(rows, self._smallest)
        groups, small = [], []
        for place in product(*(range(size) for size in rows.shape)):
            if rows[place] <= 0:
                continue
            named = {column: table.names(column)[code] for column, code in zip(by, place, strict=True)}
            if hidden[place]:
                small.append(named)
                continue

            def field(measure: Any, *columns: str, place: tuple[int, ...] = place) -> int:
                return int(self._field(measure, *columns)[place])

            not_shown = frozenset(column for column, flags in closed.items() if flags[place])
            groups.append({"group": named, **self._describe(field, hidden=not_shown)})
        return {"groups": groups, **({"withheld": small} if small else {})}

    def _closed(self) -> dict[str, Any]:
        """For the label and each column, of which groups nothing may be told."""
        columns = self._parameters.columns
        closed = {column: withheld(self._counts("count", column), self._smallest) for column in columns}
        if label := self._parameters.label:
            closed[label] = closed.get(label, False) | withheld(self._counts("known"), self._smallest)
        return closed | {column: closed[column] | few for column, few in self._few(self._counts).items()}

    def _describe(self, field: Any, hidden: frozenset[str]) -> dict[str, Any]:
        rows = max(field("rows"), 0)
        described: dict[str, Any] = {"count": rows}
        if self._parameters.label:
            known, ones = field("known"), field("ones")
            shown = known >= self._smallest and self._parameters.label not in hidden
            described["label_rate"] = rounded(min(max(ones / known, 0), 1)) if shown else None
        columns, unit, exact = {}, self._table.unit, self._parameters.noise is None
        for column in self._parameters.columns:
            count = field("count", column)
            open_to_all = column not in hidden and count >= self._smallest
            total, squares = (field(measure, column) if open_to_all else 0 for measure in ("sum", "squares"))
            columns[column] = {
                "count": count if open_to_all else None,
                "missing": max(rows - count, 0) if open_to_all else None,
                **measures.described(count if open_to_all else 0, total, squares, unit, exact=exact),
            }
        if columns:
            described["columns"] = columns
        return described

    def _few(self, field: Any) -> dict[str, Any]:
        """Of the label and of each column of zeros and ones, where its rate would tell of a few.

        As in a cross table with it, so that no more is told by the one than by the other.
        """
        counts = {
            column: (field("count", column), field("sum", column) // self._table.unit)
            for column in self._parameters.columns
            if self._is_binary(column)
        }
        if label := self._parameters.label:
            counts[label] = field("known"), field("ones")
        return {
            column: withheld(np.stack([known - ones, ones], axis=-1).clip(0), self._smallest).any(axis=-1)
            for column, (known, ones) in counts.items()
        }

    def _is_binary(self, column: str) -> bool:
        """Whether its squares are as large as its values, as only those of zeros and ones are."""
        total, squares = (int(self._table.cells(measure, column).sum()) for measure in ("sum", "squares"))
        return bool(squares == total * self._table.unit)

    def _field(self, measure: Any, *columns: str) -> Any:
        return regrouped_all(self._table.cells(measure, *columns), self._parameters.by, self._codes)

    def _counts(self, measure: Any, *columns: str) -> Integers:
        return np.array(self._field(measure, *columns), np.int64).clip(0)
