"""What benchmarks share: a figure beside what it is measured against, the table of them, and their JSON.

Every ratio is of two figures of one run on one machine.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Figure:
    """One line of the table: what was measured, against what, and whether that is as good as it should be."""

    what: str
    value: float
    unit: str
    against: float | None = None
    ratio: float | None = None
    goal: str = ""
    met: bool | None = None


def figure(
    what: str, value: float, unit: str, against: float | None = None, goal: str = "", met: bool | None = None
) -> Figure:
    """A line of the table."""
    ratio = value / against if against else None
    limit = _rounded(against) if against else None
    return Figure(what, _rounded(value), unit, limit, ratio, goal, met if goal else None)


def timed(act: Callable[[], object], count: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """The seconds that ``act`` takes on average, ``count`` times."""
    began = clock()
    for _ in range(count):
        act()
    return (clock() - began) / count


def show(figures: Sequence[Figure], subject: str, limit: str) -> None:
    """The table, for a person: ``subject`` is what is measured, ``limit`` what it is measured against."""
    width = max(len(item.what) for item in figures)
    print(f"{'':{width}} {subject:>12} {'':6} {limit:>12} {'ratio':>8}  goal")
    for item in figures:
        against = "" if item.against is None else _short(item.against)
        ratio = "" if item.ratio is None else _ratio(item.ratio)
        mark = {True: "met", False: "NOT MET", None: ""}[item.met]
        value = f"{_short(item.value):>12} {item.unit:6} {against:>12}"
        print(f"{item.what:{width}} {value} {ratio:>8}  {item.goal} {mark}".rstrip())


def store(figures: Sequence[Figure], name: str) -> Path:
    """Write the figures to ``results/<name>.json``; where that is."""
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps([asdict(item) for item in figures], indent=1, ensure_ascii=False) + "\n")
    return path


def _rounded(value: float) -> float:
    return round(value, 3)


def _ratio(value: float) -> str:
    """In per cent while that can be read."""
    return f"{value:.1%}" if value < 10 else f"{value:,.0f} ×"


def _short(value: float) -> str:
    return f"{value:,.1f}" if value >= 100 else f"{value:,.3f}"
