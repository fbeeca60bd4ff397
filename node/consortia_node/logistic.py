"""PURE: logistic regression as one institution trains and tests it; numpy only, no rows leave these functions.

The model is one vector: a coefficient for each standardised feature, then the intercept.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
LOSS_UNIT = 1_000_000
"""The log loss is summed in millionths."""


@dataclass(frozen=True)
class Training:
    """Settings of the local fit."""

    steps: int
    learning_rate: float
    l2: float


def logits(model: Floats, features: Floats) -> Floats:
    """Shape (rows,)."""
    return np.asarray(features @ model[:-1] + model[-1])


def probabilities(model: Floats, features: Floats) -> Floats:
    """The estimated probability of the label being 1; shape (rows,)."""
    z = np.clip(logits(model, features), -60, 60)
    return np.asarray(1.0 / (1.0 + np.exp(-z)))


def descend(model: Floats, features: Floats, labels: Floats, training: Training) -> Floats:
    """``training.steps`` full-batch gradient steps on the mean log loss plus l2/2·‖coefficients‖²."""
    fitted = model.copy()
    with np.errstate(over="ignore", invalid="ignore"):  # whoever seals the outcome refuses what is not finite
        for _ in range(training.steps):
            error = probabilities(fitted, features) - labels
            slope = features.T @ error / len(labels) + training.l2 * fitted[:-1]
            fitted[:-1] -= training.learning_rate * slope
            fitted[-1] -= training.learning_rate * error.mean()
    return fitted


def histogram(scores: Floats, labels: Floats, bins: int) -> Integers:
    """Counts of scores in [0, 1] by equal bins, first where the label is 0, then where it is 1; (2·bins,)."""
    index = np.minimum((scores * bins).astype(np.int64), bins - 1) + bins * labels.astype(np.int64)
    return np.bincount(index, minlength=2 * bins).astype(np.int64)


def loss_words(scores: Floats, labels: Floats) -> int:
    """The summed log loss in units of 1/LOSS_UNIT."""
    bounded = np.clip(scores, 1e-12, 1 - 1e-12)
    loss = -(labels * np.log(bounded) + (1 - labels) * np.log(1 - bounded)).sum()
    return round(float(loss) * LOSS_UNIT)


def area_under_curve(counts: Integers) -> float:
    """The area under the ROC curve from ``histogram`` totals; scores in one bin count as ties.

    The true area differs by at most half the share of (0, 1) pairs that lie in one bin.
    """
    negatives, positives = (half.astype(object) for half in np.split(counts, 2))
    below = np.cumsum(negatives) - negatives
    pairs = int(negatives.sum()) * int(positives.sum())
    doubled = int((positives * (2 * below + negatives)).sum())
    return doubled / (2 * pairs) if pairs else float("nan")
