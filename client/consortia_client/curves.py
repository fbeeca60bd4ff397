"""PURE: how a fit goes, as its parties have opened it together: points, and lines of text that show them.

What comes is one party's word, under its signature; whether all agree the receipts of the finished job say.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from consortia_client.errors import ResultError

_LEVELS = "▁▂▃▄▅▆▇█"
_LOSSES = (("loss", "loss"), ("validation_loss", "validation"))


@dataclass(frozen=True)
class Point:
    """The loss of the model behind so many rounds (of trees: trees): on rows learned from, on rows held out."""

    round: int
    loss: float | None
    validation_loss: float | None


def points(told: Mapping[str, Any]) -> tuple[Point, ...]:
    """From what a party sealed, or from the training part of a result. Raises ResultError for anything else."""
    found = told.get("curve", [])
    try:
        return tuple(
            Point(int(each["round"]), _number(each["loss"]), _number(each["validation_loss"])) for each in found
        )
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise ResultError(
            "what a party tells of the fit is no curve",
            blame="the institution that sealed it",
            remedy="wait for the result, which comes with every party's receipt",
        ) from error


def lines(curve: Sequence[Point], width: int = 40) -> list[str]:
    """A line for each loss that was measured: its last value, and how it came there."""
    found = []
    for field, name in _LOSSES:
        values = [value for point in curve if (value := getattr(point, field)) is not None]
        if values:
            lowest = curve[[getattr(point, field) for point in curve].index(min(values))].round
            found.append(
                f"{name:<10} {values[-1]:.5f}  {spark(values, width)}  lowest {min(values):.5f} after {lowest}"
            )
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
