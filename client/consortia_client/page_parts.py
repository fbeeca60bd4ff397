"""PURE: what notebooks show: facts and tables as HTML in which everything that came from elsewhere is escaped."""

from collections.abc import Iterable, Mapping
from html import escape

from consortia_client.tables import written

SHOWN = 50
"""Rows of a table that are shown."""
_LEFT, _RIGHT = 'style="text-align: left"', 'style="text-align: right"'


def facts(values: Mapping[str, object]) -> str:
    """Names and values, one pair a line."""
    rows = "".join(f"<tr><th {_LEFT}>{_text(name)}</th>{_cell(str(value))}</tr>" for name, value in values.items())
    return f"<table>{rows}</table>"


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Rows under column heads, numbers to the right; of a long table the first ones."""
    every = [list(row) for row in rows]
    head = "".join(f"<th>{_text(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in every[:SHOWN])
    more = f"<p>… {len(every) - SHOWN:,} more rows</p>" if len(every) > SHOWN else ""
    return f"<table><caption>{_text(title)}</caption><tr>{head}</tr>{body}</table>{more}"


def _cell(value: object) -> str:
    return f"<td {_RIGHT if isinstance(value, int | float) else _LEFT}>{_text(value)}</td>"


def _text(value: object) -> str:
    return escape(written(value))
