"""PURE: the result of a ``statistics`` job out of the opened totals, with everything left out that is too small.

What is left out is null, or named under ``withheld``; classes that were put together are named under ``merged``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from consortia_common.documents.base import Number
from consortia_common.documents.kinds.statistics import Parameters
from consortia_node.errors import StepError
from consortia_node.moments import rounded
from consortia_node.stats import measures
from consortia_node.stats.disclosure import withheld
from consortia_node.stats.distributions import Distributions
from consortia_node.stats.groups import Groups
from consortia_node.stats.quantiles import Search, told
from consortia_node.stats.table import Table, regrouped_all

Searches = Mapping[str, Sequence[Search | None]]


class Result:
    """What may be told of a table of totals: nothing about fewer than ``smallest`` rows."""

    def __init__(self, table: Table, smallest: int) -> None:
        self._table = table
        self._parameters: Parameters = table.parameters
        self._smallest = smallest
        self._exact = self._parameters.noise is None
        self._codes = table.recoding(smallest)

    def document(self, searches: Searches) -> dict[str, Any]:
        """All that the spec asks for. Raises StepError if there are too few rows for anything."""
        parameters = self._parameters
        if self._exact:
            self._table.require_counts()
        self._require_enough()
        groups, distributions = Groups(self._table, self._smallest), Distributions(self._table, self._smallest)
        told_of: dict[str, Any] = {"overall": groups.overall()}
        if parameters.by:
            told_of |= {"by": list(parameters.by), **groups.groups()}
        if merged := self._merged():
            told_of["merged"] = merged
        if parameters.histograms:
            told_of["histograms"] = {column: distributions.histogram(column) for column in parameters.histograms}
        if parameters.quantiles:
            told_of["quantiles"] = self._quantiles(parameters.quantiles.at, searches)
        if parameters.correlations:
            told_of["correlations"] = self._correlations()
        if parameters.crosstabs:
            told_of["crosstabs"] = [self._crosstab(place) for place in range(len(parameters.crosstabs))]
        if parameters.information:
            told_of["information"] = {
                column: distributions.information(column) for column in parameters.information
            }
        if parameters.compare:
            told_of["compare"] = {column: distributions.compared(column) for column in parameters.histograms}
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

    def _quantiles(self, shares: Sequence[Number], searches: Searches) -> dict[str, Any]:
        """Each column's, at each of the shares that were asked for."""
        return {
            column: [told(*pair, self._table.unit) for pair in zip(found, shares, strict=True)]
            for column, found in searches.items()
        }

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
                    count, first, second, table.related("product", names[i], names[j]), self._table.unit
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
        association = measures.chi_square(np.zeros_like(counts) if hidden.any() else counts)
        return {"columns": list(columns), "cells": rows, **association}
