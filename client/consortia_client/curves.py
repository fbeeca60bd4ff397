"""PURE: how a fit goes, as its parties have opened it together: points, and lines of text that show them.

What comes is one party's word, under its signature; whether all agree the receipts of the finished job say.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from consortia_client.errors import ResultError

_LEVELS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Point:
    """How the model behind so many rounds (of trees: trees) does on rows learned from, and on rows held out."""

    round: int
    loss: float | None
    validation_loss: float | None
    validation_auc: float | None


@dataclass(frozen=True)
class Course:
    """One of a point's measures: its field, what people call it, and which of its values is the best."""

    field: str
    short: str
    title: str
    best: Literal["lowest", "highest"] = "lowest"

    def of(self, curve: Iterable[Any]) -> list[tuple[int, float]]:
        """Round and value of those points that have it."""
        found = ((point.round, getattr(point, self.field)) for point in curve)
        return [(after, value) for after, value in found if value is not None]

    def at_best(self, told: Sequence[tuple[int, float]]) -> tuple[int, float]:
        """Where it was best, for the first time."""
        return (min if self.best == "lowest" else max)(told, key=lambda point: point[1])


COURSES = (
    Course("loss", "loss", "Loss"),
    Course("validation_loss", "validation", "Loss on rows held out"),
    Course("validation_auc", "AUC", "AUC on rows held out", "highest"),
)


def points(told: Mapping[str, Any]) -> tuple[Point, ...]:
    """From what a party sealed, or from the training part of a result. Raises ResultError for anything else."""
    found = told.get("curve", [])
    try:
        return tuple(
            Point(int(each["round"]), *(_number(each[course.field]) for course in COURSES)) for each in found
        )
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise ResultError(
            "what a party tells of the fit is no curve",
            blame="the institution that sealed it",
            remedy="wait for the result, which comes with every party's receipt",
        ) from error


def lines(curve: Sequence[Point], width: int = 40) -> list[str]:
    """A line for each measure: its last value, how it came there, and its best."""
    found = []
    for course in COURSES:
        told = course.of(curve)
        if told:
            after, best = course.at_best(told)
            shown = spark([value for _, value in told], width)
            found.append(f"{course.short:<10} {told[-1][1]:.5f}  {shown}  {course.best} {best:.5f} after {after}")
    return found


def spark(values: Sequence[float], width: int) -> str:
    """The values as blocks of a height each, at most ``width`` of them, the last one always."""
    step = max(1, math.ceil(len(values) / width))
    shown = [values[place] for place in range(len(values) - 1, -1, -step)][::-1]
    low, high = min(shown), max(shown)
    scale = (len(_LEVELS) - 1) / (high - low) if high > low else 0.0
    return "".join(_LEVELS[round((value - low) * scale)] for value in shown)


def _number(value: Any) -> float | None:
    if value is None:
        return None
    found = float(value)
    if not math.isfinite(found):
        raise ValueError(value)
    return found
