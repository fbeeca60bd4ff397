"""PURE: what may be told of how a column is distributed: its histogram, what it says of the label, how far two
distributions are apart.

Whatever is told of a numeric column is made of the parts of its histogram, which have enough rows each, so that no
two of these can be subtracted to show fewer.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consortia_common.documents.kinds.statistics import Parameters
from consortia_node.moments import rounded
from consortia_node.stats import measures
from consortia_node.stats.disclosure import merged_bins, recoded, regrouped
from consortia_node.stats.table import Table

Integers = NDArray[np.int64]


class Distributions:
    """The distributions in a table of totals: nothing about fewer than ``smallest`` rows."""

    def __init__(self, table: Table, smallest: int) -> None:
        self._table = table
        self._parameters: Parameters = table.parameters
        self._smallest = smallest
        self._codes = table.recoding(smallest)

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
            "resolution": rounded((high - low) / self._parameters.bins / self._table.unit),
        }

    def information(self, column: str) -> dict[str, Any]:
        """How much the classes of a column say of the label, over classes with enough rows of each."""
        if column in self._parameters.categories:
            return self._information_of_categories(column)
        zeros, ones = (counts[:-1].clip(0) for counts in self._table.labelled(column).T)
        edges, parts = self._edges(column), self._parts_of(column, zeros, ones)
        classes = [{"low": edges[part.start], "high": edges[part.stop]} for part in parts]
        zeros, ones = _added(zeros, parts), _added(ones, parts)
        told = self._evidence(classes, zeros, ones)
        return {**told, "ks": measures.distance(zeros, ones) if told["bins"] else None}

    def compared(self, column: str) -> list[dict[str, Any]]:
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

    def _merged_bins(self, counts: Integers) -> list[slice]:
        """The parts of a distribution that may be told; none if all of it is too small."""
        return merged_bins([counts], self._smallest, ends=1) if counts.sum() >= self._smallest else []

    def _edges(self, column: str) -> list[float | None]:
        """Of below the range, each bin, and above it; open ends are null."""
        low, high = self._parameters.fixed_range(column)
        bins = self._parameters.bins
        inner = [rounded((low + (high - low) * edge / bins) / self._table.unit) for edge in range(bins + 1)]
        return [None, *inner, None]

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


def _added(counts: Integers, parts: Sequence[slice]) -> Integers:
    """The counts of each part."""
    return np.array([counts[part].sum() for part in parts], np.int64)
