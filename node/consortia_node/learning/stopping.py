"""PURE: how a fit goes from round to round, as all parties know it, and the rule by which it ends early.

The curve is made of opened totals and the rule of the curve, so that every party ends at the same round without
telling anybody. What it decides is kept under OVER, where the node sees that it may leave the other rounds out.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from consortia_common.documents.kinds.train import SHOWN_POINTS
from consortia_common.documents.learners import Stopping
from consortia_node.learning.measuring import Measured
from consortia_node.learning.state import Values
from consortia_node.moments import rounded

_CURVE = "curve"
_DIGITS = 6


@dataclass(frozen=True)
class Point:
    """How the model behind ``after`` rounds (of trees: trees) does."""

    after: int
    loss: float | None
    held_out: float | None


def curve(values: Mapping[str, bytes]) -> tuple[Point, ...]:
    """The points so far, in order."""
    return tuple(Point(*point) for point in json.loads(values.get(_CURVE, b"[]")))


def note(values: Values, after: int, found: Measured) -> None:
    """Put a point behind the others."""
    loss, held_out = (None if each is None else rounded(each, _DIGITS) for each in (found.loss, found.held_out))
    points = [[point.after, point.loss, point.held_out] for point in curve(values)]
    values[_CURVE] = json.dumps([*points, [after, loss, held_out]]).encode()


def best(points: Sequence[Point], rule: Stopping) -> int:
    """Behind how many rounds the best model is: the last that did better than those before by the tolerance.

    The model of no round at all is not among them.
    """
    found, lowest = 1, float("inf")
    for point in points:
        if point.after > 0 and point.held_out is not None and point.held_out < lowest - float(rule.tolerance):
            found, lowest = point.after, point.held_out
    return found


def is_over(points: Sequence[Point], rule: Stopping | None) -> bool:
    """Whether ``patience`` rounds have brought nothing better."""
    return rule is not None and bool(points) and points[-1].after - best(points, rule) >= rule.patience


def told(points: Sequence[Point]) -> list[dict[str, object]]:
    """The curve as results have it."""
    return [{"round": point.after, "loss": point.loss, "validation_loss": point.held_out} for point in points]


def outline(points: Sequence[Point]) -> list[dict[str, object]]:
    """The curve as watchers and cards have it: of a long one every so manieth point, and the last."""
    step = max(1, -(-len(points) // SHOWN_POINTS))
    return told(points[::-1][::step][::-1])
