"""Altair charts of results' tables. Altair comes with the extra ``plots`` and is loaded when a chart is made."""

from typing import Any

from consortia_client.errors import ResultError
from consortia_client.optional import load
from consortia_client.tables import Row, Table

_WIDTH, _HEIGHT = 480, 240
_PART = "_part"
"""What tells bars of one class apart."""


def histogram(table: Table, column: str) -> Any:
    """The bins of ``column`` as areas, since they may be of unequal width: their height is rows for the narrowest.

    Open ends, below and above the range, are not drawn but named.
    """
    rows = [row for row in table.rows if row.get("column") == column]
    if not rows:
        raise _nothing(f"column {column}", {str(row.get("column")) for row in table.rows})
    bins = [row for row in rows if row["low"] is not None and row["high"] is not None]
    beyond = sum(row["count"] or 0 for row in rows if row not in bins)
    width = min((row["high"] - row["low"] for row in bins), default=1)
    drawn = [row | {"floor": 0, "height": row["count"] * width / (row["high"] - row["low"])} for row in bins]
    title = f"{column}: {beyond:,} rows beyond the range" if beyond else column
    altair = _altair()
    marks = altair.Chart(altair.Data(values=drawn), title=title, width=_WIDTH, height=_HEIGHT)
    return marks.mark_rect(stroke="white", strokeWidth=0.5).encode(
        x=altair.X("low:Q", title=column),
        x2="high:Q",
        y=altair.Y("floor:Q", title=f"rows for each {width:,.6g}"),
        y2="height:Q",
        tooltip=["low:Q", "high:Q", "count:Q"],
    )


def bars(table: Table, value: str, by: str) -> Any:
    """``value`` for each class of ``by``, side by side where rows differ in something else; what was withheld is
    left out."""
    for name in (value, by):
        if name not in table.columns:
            raise _nothing(f"field {name}", set(table.columns))
    rows: list[Row] = [row for row in table.rows if row.get(value) is not None and row.get(by) is not None]
    others = [name for name in table.subjects if name not in (value, by)]
    parts = [" · ".join(str(row[name]) for name in others if row.get(name) is not None) for row in rows]
    altair = _altair()
    drawn = [row | {_PART: part} for row, part in zip(rows, parts, strict=True)]
    chart = altair.Chart(altair.Data(values=drawn), width=_WIDTH, height=_HEIGHT)
    beside = {"xOffset": f"{_PART}:N", "color": altair.Color(f"{_PART}:N", title=None)} if any(parts) else {}
    return chart.mark_bar().encode(
        x=altair.X(f"{_field(by)}:N", title=by, sort=None, axis=altair.Axis(labelAngle=0)),
        y=altair.Y(f"{_field(value)}:Q", title=value),
        tooltip=[f"{_field(by)}:N", f"{_field(value)}:Q"],
        **beside,
    )


def _field(name: str) -> str:
    """A field's name as Vega-Lite takes it literally."""
    return name.replace("\\", "\\\\").replace(".", "\\.").replace("[", "\\[").replace(":", "\\:")


def _altair() -> Any:
    return load("altair", "a chart", "consortia[plots]")


def _nothing(what: str, there: set[str]) -> ResultError:
    return ResultError(
        f"the table has no {what[:60]}",
        blame="whoever asked for the chart",
        remedy=f"choose one of: {', '.join(sorted(there))}",
    )
