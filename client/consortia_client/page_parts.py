"""PURE: what notebooks show: facts and tables as HTML in which everything that came from elsewhere is escaped."""

from collections.abc import Iterable, Mapping
from html import escape

SHOWN = 50
"""Rows of a table that are shown."""


def facts(values: Mapping[str, object]) -> str:
    """Names and values, one pair a line."""
    rows = "".join(f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in values.items())
    return f"<table>{rows}</table>"


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Rows under column heads; of a long table the first ones."""
    every = [list(row) for row in rows]
    head = "".join(f"<th>{_text(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in every[:SHOWN])
    more = f"<p>… {len(every) - SHOWN:,} more rows</p>" if len(every) > SHOWN else ""
    return f"<table><caption>{_text(title)}</caption><tr>{head}</tr>{body}</table>{more}"


def _text(value: object) -> str:
    if value is None:
        return "–"
    return escape(f"{value:,.6g}" if isinstance(value, float) else str(value))
