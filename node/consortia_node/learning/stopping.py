"""PURE: how a fit goes from round to round, as all parties know it, and the rule by which it ends early.

The curve is made of opened totals and the rule of the curve, so that every party ends at the same round without
telling anybody. What it decides is kept under OVER, where the node sees that it may leave the other rounds out.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from consortia_common.documents.kinds.train import SHOWN_POINTS
from consortia_common.documents.stopping import Stopping
from consortia_node.errors import StepError
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
    auc: float | None = None

    def score(self, rule: Stopping) -> float | None:
        """What the rule goes by, the larger the better."""
        loss = None if self.held_out is None else -self.held_out
        return self.auc if rule.metric == "auc" else loss


def curve(values: Mapping[str, bytes]) -> tuple[Point, ...]:
    """The points so far, in order."""
    return tuple(Point(*point) for point in json.loads(values.get(_CURVE, b"[]")))


def note(values: Values, after: int, found: Measured, rule: Stopping | None = None) -> None:
    """Put a point behind the others. Raises StepError if it lacks what ``rule`` goes by."""
    if rule is not None and rule.metric == "auc" and found.auc is None:
        raise StepError(
            "too few rows of one label are held out for an area under the ROC curve to be told",
            blame="the job spec",
            remedy="submit the job again with a larger share in early_stopping, or with the metric loss",
        )
    point = (None if each is None else rounded(each, _DIGITS) for each in (found.loss, found.held_out, found.auc))
    known = [[each.after, each.loss, each.held_out, each.auc] for each in curve(values)]
    values[_CURVE] = json.dumps([*known, [after, *point]]).encode()


def best(points: Sequence[Point], rule: Stopping) -> int:
    """Behind how many rounds the best model is: the last that did better than those before by the tolerance.

    The model of no round at all is not among them.
    """
    found, highest = 1, float("-inf")
    for point in points:
        score = point.score(rule)
        if point.after > 0 and score is not None and score > highest + float(rule.tolerance):
            found, highest = point.after, score
    return found


def is_over(points: Sequence[Point], rule: Stopping | None) -> bool:
    """Whether ``patience`` rounds have brought nothing better."""
    return rule is not None and bool(points) and points[-1].after - best(points, rule) >= rule.patience


def require_descent(points: Sequence[Point], kept: int) -> None:
    """Return if the model behind ``kept`` rounds, or the last that was measured, does no worse than that of none.

    Without points, as where noise is asked for, nothing is known.
    """
    if not points:
        return
    begun, ended = points[0], points[min(kept, len(points) - 1)]
    for before, after in ((begun.loss, ended.loss), (begun.held_out, ended.held_out)):
        if before is not None and after is not None and after > before:
            raise StepError(
                f"the fit diverged: its loss rose from {before} to {after}",
                blame="the job spec",
                remedy="submit the job again with a smaller learning_rate or a max_norm, or prepare features that "
                "have a long tail",
            )


def told(points: Sequence[Point]) -> list[dict[str, object]]:
    """The curve as results have it."""
    return [
        {
            "round": point.after,
            "loss": point.loss,
            "validation_loss": point.held_out,
            "validation_auc": point.auc,
        }
        for point in points
    ]


def outline(points: Sequence[Point]) -> list[dict[str, object]]:
    """The curve as watchers and cards have it: of a long one every so manieth point, and the last."""
    step = max(1, -(-len(points) // SHOWN_POINTS))
    return told(points[::-1][::step][::-1])
