"""Costs as a picture: one panel for CPU time, one for bytes, one for memory. Needs the extra ``plots``; without it
nothing is lost but the picture, and it says so."""

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from benchmarks.figures import RESULTS
from benchmarks.sum.grid import ENGINES, Table

PICTURE = RESULTS / "sum.svg"
INSTITUTIONS = 10
"""The picture shows rounds of so many."""
_PANELS = (
    ("cpu", "CPU of one institution, ms"),
    ("bytes", "bytes per parameter, sent"),
    ("memory", "peak memory of one institution, MiB"),
)
_POWERS = [10**power for power in range(9)]


def draw(table: Table) -> str:
    """Write the picture, if it can be drawn; what to tell about it."""
    if not all(importlib.util.find_spec(name) for name in ("altair", "vl_convert")):
        return "no picture: it needs the extra `plots`, pip install 'consortia[plots]'"
    return f"drawn in {_drawn(importlib.import_module('altair'), _rows(table))}"


def _rows(table: Table) -> list[dict[str, Any]]:
    return [
        {
            "engine": name,
            "parameters": shape.length,
            "cpu": cost.cpu["institution"] * 1000,
            "bytes": cost.sent / shape.length,
            "memory": cost.memory["institution"] / 2**20,
        }
        for (name, shape), cost in table.items()
        if shape.institutions == INSTITUTIONS
    ]


def _drawn(alt: Any, rows: list[dict[str, Any]]) -> Path:
    base = alt.Chart(alt.Data(values=rows)).mark_line(point=True).encode(
        x=alt.X("parameters:Q", title="parameters", scale=alt.Scale(type="log"), axis=_axis(alt)),
        color=alt.Color("engine:N", title=None, sort=list(ENGINES), legend=alt.Legend(orient="top")),
    )  # fmt: skip
    panels = [
        base.encode(y=alt.Y(f"{name}:Q", title=title, scale=alt.Scale(type="log"), axis=_axis(alt))).properties(
            width=250, height=260
        )
        for name, title in _PANELS
    ]
    title = f"A sum over {INSTITUTIONS} institutions: what a round costs one of them"
    PICTURE.parent.mkdir(exist_ok=True)
    alt.hconcat(*panels).properties(title=title).save(PICTURE)
    return PICTURE


def _axis(alt: Any) -> Any:
    """Powers of ten only: what a logarithmic axis has in between runs into each other."""
    return alt.Axis(format="~s", values=_POWERS)
