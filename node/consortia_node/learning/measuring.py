"""PURE: how the model of a round does, in five numbers a party that are summed with the round's own.

They are the loss and the weight of the rows learned from, the same of the rows held out, and how many those are.
The loss is what the fit lowers: log loss, the squared error as a share of the label's variance, or the Poisson
deviance. No row counts with more than LARGEST_LOSS. What follows from the totals everybody may see.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from consortia_common.documents.learners import LARGEST_LOSS, MEASURES

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Objective = Literal["logistic", "squared", "poisson"]
UNIT = 1 << 20
_LARGEST_LOG = 60.0


@dataclass(frozen=True)
class Measured:
    """Mean losses of one model over all parties' rows; None where there are no rows."""

    loss: float | None
    held_out: float | None


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


def measures(loss: Floats, weight: Floats, held_loss: Floats, held_weight: Floats) -> Floats:
    """This institution's share; (MEASURES,)."""
    return np.array(
        [
            (loss * weight).sum(),
            weight.sum(),
            (held_loss * held_weight).sum(),
            held_weight.sum(),
            len(held_weight),
        ],
        np.float64,
    )


def words(share: Floats) -> Integers:
    """``measures`` as whole numbers, in units of 1/UNIT."""
    return np.rint(share * UNIT).astype(np.int64)


def read(total: Floats | Integers) -> Measured:
    """What the total of ``measures`` says, in whatever unit."""
    loss, weight, held_loss, held_weight, _ = (float(each) for each in total[-MEASURES:])
    return Measured(loss / weight if weight > 0 else None, held_loss / held_weight if held_weight > 0 else None)
