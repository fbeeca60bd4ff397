"""PURE: a result document as flat tables, for terminals, CSV, data frames and charts.

Every row of a table has the same fields; what was withheld is None. A kind that is not known here is laid out by
the shape of its result.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
_FIGURES = (
    *("at", "value", "error", "low", "high", "count", "missing", "label_rate", "sum", "mean", "variance", "std"),
    *("zeros", "ones", "woe", "iv", "psi", "ks", "chi2", "dof", "p", "cramers_v", "covariance", "correlation"),
    *("min", "max", "resolution"),
)
"""Figures in the order in which they are read, behind what a row is about."""


@dataclass(frozen=True)
class Table:
    """Rows of equal fields under a name."""

    name: str
    rows: tuple[Row, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The fields: what rows are about, as it comes, then the figures in the order of ``_FIGURES``."""
        found = dict.fromkeys(field for row in self.rows for field in row)
        return tuple(sorted(found, key=lambda field: _FIGURES.index(field) if field in _FIGURES else -1))

    @property
    def subjects(self) -> tuple[str, ...]:
        """The fields that say what a row is about."""
        return tuple(field for field in self.columns if field not in _FIGURES)

    def cells(self) -> Iterator[list[Any]]:
        """Each row's values in the order of ``columns``."""
        return ([row.get(field) for field in self.columns] for row in self.rows)

    def as_columns(self) -> dict[str, list[Any]]:
        """Each field's values; text where a field has values of several types."""
        found = {field: [row.get(field) for row in self.rows] for field in self.columns}
        return {field: _alike(values) for field, values in found.items()}


def written(value: object) -> str:
    """A cell as people read it."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1e6 else f"{value:,.6g}"
    return f"{value:,}" if type(value) is int else str(value)


def tables_of(result: Mapping[str, Any]) -> dict[str, Table]:
    """The tables of a result, by name, those without rows left out."""
    parts = _statistics(result) if result.get("kind") == "statistics" else _any(result)
    gathered: dict[str, list[Row]] = {}
    for name, row in parts:
        gathered.setdefault(name, []).append(row)
    return {name: Table(name, tuple(rows)) for name, rows in gathered.items()}


def _statistics(result: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    """One table for each thing that can be asked."""
    yield "overall", _scalars(result.get("overall", {}))
    for group in result.get("groups", []):
        yield "groups", {**group["group"], **_scalars(group)}
    for part in [result.get("overall", {}), *result.get("groups", [])]:
        group = part.get("group") or dict.fromkeys(result.get("by", []))
        for column, described in part.get("columns", {}).items():
            yield "columns", {"column": column, **group, **described}
    for column, found in result.get("histograms", {}).items():
        yield from (("histograms", {"column": column, **item}) for item in found["bins"])
        yield "extent", {"column": column, **_scalars(found)}
    for column, found in result.get("quantiles", {}).items():
        yield from (("quantiles", {"column": column, **item}) for item in found)
    yield from _relations(result)
    for column, found in result.get("information", {}).items():
        yield "information", {"column": column, **_scalars(found)}
        yield from (("evidence", {"column": column, **item}) for item in found.get("bins", []))
    for column, found in result.get("compare", {}).items():
        yield from (("compare", {"column": column, **item}) for item in found)
    yield from (("withheld", dict(group)) for group in result.get("withheld", []))


def _relations(result: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    """Pairs of columns."""
    found = result.get("correlations", {})
    names = found.get("columns", [])
    for place, first in enumerate(names):
        for other in range(place, len(names)):
            values = {name: found[name][place][other] for name in ("covariance", "correlation")}
            yield "correlations", {"first": first, "second": names[other], **values}
    for table in result.get("crosstabs", []):
        first, second = table["columns"]
        yield from ((f"crosstab {first} {second}", dict(cell)) for cell in table["cells"])
        yield "association", {"first": first, "second": second, **_scalars(table)}


def _any(result: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Row]]:
    """By shape: single values as a table "result" of names and values, a list of mappings as a table of its own."""
    for name, value in result.items():
        if isinstance(value, Mapping):
            yield from _any(value, f"{prefix}{name}.")
        elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            yield from ((f"{prefix}{name}", _scalars(item)) for item in value)
        elif isinstance(value, list):
            rows = ({"place": place, "value": item} for place, item in enumerate(value))
            yield from ((f"{prefix}{name}", row) for row in rows)
        else:
            yield "result", {"name": f"{prefix}{name}", "value": value}


def _scalars(values: Mapping[str, Any]) -> Row:
    return {name: value for name, value in values.items() if not isinstance(value, Mapping | list)}


def _alike(values: list[Any]) -> list[Any]:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return [None if value is None else float(value) for value in values]
    return values if len(kinds) <= 1 else [None if value is None else str(value) for value in values]
