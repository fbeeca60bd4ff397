"""PURE: how the model of a round does, in a few numbers a party that are summed with the round's own.

They are the loss and the weight of the rows learned from, the same of the rows held out, and how many those are.
The loss is what the fit lowers: log loss, the squared error as a share of the label's variance, or the Poisson
deviance. No row counts with more than LARGEST_LOSS. Where zeros and ones are held out, counts of them by bin of
margin come before, from which the area under the ROC curve follows. What the totals say everybody may see.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from consortia_common.documents.stopping import LARGEST_LOSS, MEASURES, RANKS
from consortia_common.models import evaluation
from consortia_common.models.evaluation import Curve
from consortia_node.errors import TotalRefusedError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Objective = Literal["logistic", "squared", "poisson"]
UNIT = 1 << 20
_LARGEST_LOG = 60.0
_WIDEST = 8.0
"""Margins beyond ± this share a bin: log-odds of more than 99.9 %."""


@dataclass(frozen=True)
class Answered:
    """Rows, and the margins that the model has for them; (rows,) each. Target and margin are in one unit."""

    margin: Floats
    target: Floats
    weight: Floats


@dataclass(frozen=True)
class Measured:
    """Mean losses of one model over all parties' rows, and how it ranks those held out; None where none are."""

    loss: float | None
    held_out: float | None
    auc: float | None = None


def losses(objective: Objective, margin: Floats, target: Floats) -> Floats:
    """Of each row; (rows,). For a squared error both are in deviations of the label."""
    with np.errstate(over="ignore", invalid="ignore"):
        match objective:
            case "logistic":
                found = np.logaddexp(0.0, margin) - target * margin
            case "squared":
                found = np.square(margin - target)
            case "poisson":
                bounded = np.clip(margin, -_LARGEST_LOG, _LARGEST_LOG)
                logs = np.log(np.where(target > 0, target, 1.0)) - bounded
                found = 2 * (target * logs - (target - np.exp(bounded)))
    return np.asarray(np.clip(np.nan_to_num(found, nan=np.inf), 0.0, float(LARGEST_LOSS)))


def measures(objective: Objective, learned: Answered, held_out: Answered, ranks: int) -> Floats:
    """This institution's share; (``ranks`` + MEASURES,)."""
    counts = ranked(held_out) if ranks else np.empty(0)
    sums = [number for rows in (learned, held_out) for number in _sums(objective, rows)]
    return np.concatenate([counts, sums, [len(held_out.weight)]])


def ranked(rows: Answered) -> Integers:
    """Zeros, then ones, by bin of margin; (RANKS,)."""
    place = np.clip(np.nan_to_num(rows.margin) / (2 * _WIDEST) + 0.5, 0.0, 1.0)
    return evaluation.tally(place, rows.target, RANKS // 2).ravel()


def _sums(objective: Objective, rows: Answered) -> tuple[float, float]:
    loss = losses(objective, rows.margin, rows.target)
    return float((loss * rows.weight).sum()), float(rows.weight.sum())


def words(share: Floats) -> Integers:
    """``measures`` as whole numbers, in units of 1/UNIT."""
    return np.rint(share * UNIT).astype(np.int64)


@dataclass(frozen=True)
class Reading:
    """How a total of ``measures`` is read: so many numbers count rows, in this unit, exact to so many rows."""

    ranks: int = 0
    unit: float = 1.0
    coarse: float = 0.5
    fewest: int = 1
    """Of either label, of which an area under the ROC curve is told."""
    most: float = np.inf
    """Rows that there can be."""


def read(total: Floats | Integers, how: Reading) -> Measured:
    """What the total says. Raises TotalRefusedError for counts that no rows can have."""
    loss, weight, held_loss, held_weight, _ = (float(each) for each in total[-MEASURES:])
    counts = np.asarray(total[len(total) - MEASURES - how.ranks : -MEASURES], np.float64) / how.unit
    return Measured(
        loss / weight if weight > 0 else None,
        held_loss / held_weight if held_weight > 0 else None,
        _area(counts, how) if how.ranks else None,
    )


def _area(counts: Floats, how: Reading) -> float | None:
    if counts.min() < -how.coarse or counts.sum() > how.most + how.coarse * len(counts):
        raise TotalRefusedError("the rows held out are fewer than none in a bin, or more than there are")
    curve = Curve(np.maximum(np.rint(counts), 0).astype(np.int64).reshape(2, -1))
    return evaluation.area_under_roc(curve) if min(curve.zeros, curve.ones) >= max(how.fewest, 1) else None
