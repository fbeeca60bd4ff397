"""PURE: the result of a ``statistics`` job out of the opened totals, with everything left out that is too small.

What is left out is null, or named under ``withheld``; classes that were put together are named under ``merged``.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consortia_common.documents.kinds.statistics import Parameters
from consortia_node.errors import StepError
from consortia_node.moments import rounded
from consortia_node.stats import measures
from consortia_node.stats.disclosure import merged_bins, recoded, regrouped, withheld
from consortia_node.stats.quantiles import Search, told
from consortia_node.stats.table import Table, regrouped_all

Integers = NDArray[np.int64]
Searches = Mapping[str, Sequence[Search | None]]


class Result:
    """What may be told of a table of totals: nothing about fewer than ``smallest`` rows."""

    def __init__(self, table: Table, smallest: int) -> None:
        self._table = table
        self._parameters: Parameters = table.parameters
        self._smallest = smallest
        self._unit = 10**self._parameters.decimals
        self._exact = self._parameters.noise is None
        self._codes = table.recoding(smallest)

    def document(self, searches: Searches) -> dict[str, Any]:
        """All that the spec asks for. Raises StepError if there are too few rows for anything."""
        parameters = self._parameters
        if self._exact:
            self._table.require_counts()
        self._require_enough()
        told_of: dict[str, Any] = {"overall": self._overall()}
        if parameters.by:
            told_of |= {"by": list(parameters.by), **self._groups()}
        if merged := self._merged():
            told_of["merged"] = merged
        if parameters.histograms:
            told_of["histograms"] = {column: self.histogram(column) for column in parameters.histograms}
        if parameters.quantiles:
            told_of["quantiles"] = {
                column: [told(*pair, self._unit) for pair in zip(found, parameters.quantiles.at, strict=True)]
                for column, found in searches.items()
            }
        if parameters.correlations:
            told_of["correlations"] = self._correlations()
        if parameters.crosstabs:
            told_of["crosstabs"] = [self._crosstab(place) for place in range(len(parameters.crosstabs))]
        if parameters.information:
            told_of["information"] = {column: self._information(column) for column in parameters.information}
        if parameters.compare:
            told_of["compare"] = {column: self._compared(column) for column in parameters.histograms}
        return told_of

    def _require_enough(self) -> None:
        if self._table.cells("rows").sum() < self._smallest:
            raise StepError(
                f"all parties together have fewer rows than the {self._smallest} of which statistics may be "
                "released",
                blame="the job, which asks about too few customers",
                remedy="submit it again when more of them have given consent",
            )

    def _merged(self) -> dict[str, list[str]]:
        """The categories that count as "other" because they are small, by column."""
        found = {}
        for column, codes in self._codes.items():
            names, counts = self._table.names(column), self._table.margins[column]
            small = [names[c] for c in range(len(codes) - 1) if codes[c] != c and counts[c] > 0]
            if small:
                found[column] = small
        return found

    def _overall(self) -> dict[str, Any]:
        def whole(measure: Any, *columns: str) -> int:
            return int(self._table.cells(measure, *columns).sum())

        return self._describe(whole, hidden=frozenset(name for name, few in self._few(whole).items() if few))

    def _few(self, field: Any) -> dict[str, Any]:
        """Of the label and of each column of zeros and ones, where its rate would tell of a few.

        As in a cross table with it, so that no more is told by the one than by the other.
        """
        counts = {
            column: (field("count", column), field("sum", column) // self._unit)
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
        return bool(squares == total * self._unit)

    def _groups(self) -> dict[str, Any]:
        """Each group; those that must not be shown by name only."""
        table, by = self._table, self._parameters.by
        rows = self._counts("rows")
        hidden = withheld(rows, self._smallest)
        closed = {
            column: withheld(self._counts("count", column), self._smallest) for column in self._parameters.columns
        }
        if label := self._parameters.label:
            closed[label] = closed.get(label, False) | withheld(self._counts("known"), self._smallest)
        closed |= {column: closed[column] | few for column, few in self._few(self._counts).items()}
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

    def _field(self, measure: Any, *columns: str) -> Any:
        return regrouped_all(self._table.cells(measure, *columns), self._parameters.by, self._codes)

    def _counts(self, measure: Any, *columns: str) -> Integers:
        return np.array(self._field(measure, *columns), np.int64).clip(0)

    def _describe(self, field: Any, hidden: frozenset[str]) -> dict[str, Any]:
        rows = max(field("rows"), 0)
        described: dict[str, Any] = {"count": rows}
        if self._parameters.label:
            known, ones = field("known"), field("ones")
            shown = known >= self._smallest and self._parameters.label not in hidden
            described["label_rate"] = rounded(min(max(ones / known, 0), 1)) if shown else None
        columns = {}
        for column in self._parameters.columns:
            count = field("count", column)
            open_to_all = column not in hidden and count >= self._smallest
            total, squares = (field(measure, column) if open_to_all else 0 for measure in ("sum", "squares"))
            columns[column] = {
                "count": count if open_to_all else None,
                "missing": max(rows - count, 0) if open_to_all else None,
                **measures.described(count if open_to_all else 0, total, squares, self._unit, exact=self._exact),
            }
        if columns:
            described["columns"] = columns
        return described

    def histogram(self, column: str) -> dict[str, Any]:
        """The bins, neighbours merged where they are small, and between which values all lie, as far as is told."""
        counts = self._table.distribution(column).clip(0)
        edges = self._edges(column)
        bins = [
            {"low": edges[part.start], "high": edges[part.stop], "count": int(counts[part].sum())}
            for part in self._merged_bins(counts)
        ]
        filled = [item for item in bins if item["count"]]
        low, high = self._parameters.fixed_range(column)
        return {
            "bins": bins,
            "min": filled[0]["low"] if filled else None,
            "max": filled[-1]["high"] if filled else None,
            "resolution": rounded((high - low) / self._parameters.bins / self._unit),
        }

    def _merged_bins(self, counts: Integers) -> list[slice]:
        """The parts of a distribution that may be told; none if all of it is too small."""
        return merged_bins([counts], self._smallest, ends=1) if counts.sum() >= self._smallest else []

    def _edges(self, column: str) -> list[float | None]:
        """Of below the range, each bin, and above it; open ends are null."""
        low, high = self._parameters.fixed_range(column)
        bins = self._parameters.bins
        inner = [rounded((low + (high - low) * edge / bins) / self._unit) for edge in range(bins + 1)]
        return [None, *inner, None]

    def _correlations(self) -> dict[str, Any]:
        names, table = self._parameters.correlations, self._table
        count = table.related("rows")
        size = len(names)
        if self._exact and not self._apart(count):
            count = 0
        covariances: list[list[Any]] = [[None] * size for _ in names]
        for i in range(size if count >= self._smallest else 0):
            for j in range(i, size):
                first, second = (table.related("sum", names[place]) for place in (i, j))
                found = measures.covariance(
                    count, first, second, table.related("product", names[i], names[j]), self._unit
                )
                covariances[i][j] = covariances[j][i] = found
        shown = [[None if v is None else measures.rounded_fraction(v) for v in row] for row in covariances]
        return {
            "columns": list(names),
            "count": count if count >= self._smallest else None,
            "covariance": shown,
            "correlation": [[self._correlation(covariances, i, j) for j in range(size)] for i in range(size)],
        }

    def _apart(self, complete: int) -> bool:
        """Whether the complete rows are those that have each column, or far fewer; else the difference of two
        variances, one of which another job may have told, would be that of a few rows."""
        left = [self._table.related("count", column) - complete for column in self._parameters.correlations]
        return all(number <= 0 or number >= self._smallest for number in left)

    def _correlation(self, covariances: Sequence[Sequence[Any]], i: int, j: int) -> float | None:
        if covariances[i][j] is None:
            return None
        found = measures.correlation(covariances[i][j], covariances[i][i], covariances[j][j])
        return None if found is None else rounded(found)

    def _crosstab(self, place: int) -> dict[str, Any]:
        columns = self._parameters.crosstabs[place]
        counts = regrouped_all(self._table.crosstab(place).clip(0), columns, self._codes)
        hidden = withheld(counts, self._smallest)
        first, second = (self._table.names(column) for column in columns)
        rows = [
            {columns[0]: first[i], columns[1]: second[j], "count": None if hidden[i, j] else int(counts[i, j])}
            for i in np.flatnonzero(counts.sum(axis=1)).tolist()
            for j in np.flatnonzero(counts.sum(axis=0)).tolist()
        ]
        # Of a table that is not shown whole, chi² would tell what is withheld.
        told = measures.chi_square(np.zeros_like(counts) if hidden.any() else counts)
        return {"columns": list(columns), "cells": rows, **told}

    def _information(self, column: str) -> dict[str, Any]:
        if column in self._parameters.categories:
            return self._information_of_categories(column)
        zeros, ones = (counts[:-1].clip(0) for counts in self._table.labelled(column).T)
        edges, parts = self._edges(column), self._parts_of(column, zeros, ones)
        classes = [{"low": edges[part.start], "high": edges[part.stop]} for part in parts]
        zeros, ones = _added(zeros, parts), _added(ones, parts)
        told = self._evidence(classes, zeros, ones)
        return {**told, "ks": measures.distance(zeros, ones) if told["bins"] else None}

    def _parts_of(self, column: str, *weights: Integers) -> list[slice]:
        """Parts with enough of each; made of those of the column's histogram, which may be told too, so that the
        two can't be subtracted."""
        shown = self._merged_bins(self._table.distribution(column).clip(0))
        if not shown:
            return []
        parts = merged_bins([_added(weight, shown) for weight in weights], self._smallest)
        return [slice(shown[part.start].start, shown[part.stop - 1].stop) for part in parts]

    def _information_of_categories(self, column: str) -> dict[str, Any]:
        counts = regrouped(self._table.labelled(column).clip(0), 0, self._codes[column])
        counts = regrouped(counts, 0, recoded(counts.min(axis=1), self._smallest))
        kept = np.flatnonzero(counts.sum(axis=1))
        names = self._table.names(column)
        return self._evidence([{"category": names[place]} for place in kept], counts[kept, 0], counts[kept, 1])

    def _evidence(self, classes: Sequence[dict[str, Any]], zeros: Integers, ones: Integers) -> dict[str, Any]:
        small = np.minimum(zeros, ones) < self._smallest
        if (small & ((zeros > 0) | (ones > 0))).any():
            return {"iv": None, "bins": []}
        weights, value = measures.evidence(zeros, ones)
        bins = [
            {**named, "zeros": zero, "ones": one, "woe": weight}
            for named, zero, one, weight in zip(classes, zeros.tolist(), ones.tolist(), weights, strict=True)
        ]
        return {"iv": value, "bins": bins}

    def _compared(self, column: str) -> list[dict[str, Any]]:
        """Each period's histogram against that of the base."""
        compare = self._parameters.compare
        if compare is None:
            return []
        counts = regrouped(self._table.histogram(column)[:, :-1].clip(0), 0, self._codes[compare.column])
        names = self._table.names(compare.column)
        base = counts[names.index(str(compare.base))]
        return [
            {"category": names[place], **self.against(column, counts[place], base)}
            for place in range(len(names))
            if names[place] != str(compare.base) and counts[place].sum() > 0
        ]

    def against(self, column: str, part: Integers, base: Integers) -> dict[str, float | None]:
        """Two histograms of a column compared, over bins in which both have enough rows."""
        if min(part.sum(), base.sum()) < self._smallest:
            return {"psi": None, "ks": None}
        parts = self._parts_of(column, part, base)
        part, base = _added(part, parts), _added(base, parts)
        return {"psi": measures.stability(part, base), "ks": measures.distance(part, base)}


def _added(counts: Integers, parts: Sequence[slice]) -> Integers:
    """The counts of each part."""
    return np.array([counts[part].sum() for part in parts], np.int64)
