"""PURE: generalised linear models by Newton's method on sums (iteratively reweighted least squares).

Each round an institution adds up, over its own rows, the Fisher information, the score and the deviance at the
current coefficients; the totals give everybody the same next coefficients. Sums don't care whose rows they are
over, so the fit is the pooled one. Features come standardised and without an intercept column; the coefficients
are one vector, the intercept last. Source: McCullagh and Nelder, Generalized Linear Models, 2nd ed., §2.5.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from consortia_node.errors import StepError, TotalRefusedError

Floats = NDArray[np.float64]
_LARGEST_LOG = 60.0
"""Linear predictors are held within ± this: beyond, a probability is 0 or 1 in double precision anyway."""
_HALVINGS = 1e-9
"""A round whose penalised deviance rose by more than this share of itself went too far, and is halved."""


@dataclass(frozen=True)
class Family:
    """A distribution with its canonical link: the mean, its slope, and the deviance of one row."""

    mean: Callable[[Floats], Floats]
    variance: Callable[[Floats], Floats]
    """Of the mean; under the canonical link also the slope of the mean and the weight of a row."""
    deviance: Callable[[Floats, Floats], Floats]
    """(observed, mean) → twice the log-likelihood that the fit falls short of a perfect one."""
    dispersion: bool = False
    """Whether the variance has a scale of its own that is estimated, as in linear regression."""


def _logistic(predictor: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(predictor, -_LARGEST_LOG, _LARGEST_LOG))))


def _logistic_deviance(observed: Floats, mean: Floats) -> Floats:
    bounded = np.clip(mean, 1e-15, 1 - 1e-15)
    return np.asarray(-2 * (observed * np.log(bounded) + (1 - observed) * np.log1p(-bounded)))


def _poisson_deviance(observed: Floats, mean: Floats) -> Floats:
    ratio = np.where(observed > 0, observed / mean, 1.0)
    return np.asarray(2 * (observed * np.log(ratio) - (observed - mean)))


FAMILIES: Mapping[str, Family] = {
    "linear_regression": Family(
        mean=lambda predictor: predictor,
        variance=np.ones_like,
        deviance=lambda observed, mean: np.square(observed - mean),
        dispersion=True,
    ),
    "logistic_regression": Family(_logistic, lambda mean: mean * (1 - mean), _logistic_deviance),
    "poisson_regression": Family(
        mean=lambda predictor: np.exp(np.clip(predictor, -_LARGEST_LOG, _LARGEST_LOG)),
        variance=lambda mean: mean,
        deviance=_poisson_deviance,
    ),
}


@dataclass(frozen=True)
class Totals:
    """What is summed over rows at given coefficients: ``information`` (p, p), ``score`` (p,), and two numbers."""

    information: Floats
    score: Floats
    deviance: float
    weight: float

    def vector(self) -> Floats:
        """The upper triangle of the information, the score, deviance and weight: one vector to be sealed."""
        upper = self.information[np.triu_indices(len(self.score))]
        return np.concatenate([upper, self.score, [self.deviance, self.weight]])

    @classmethod
    def from_vector(cls, vector: Floats, coefficients: int) -> "Totals":
        """The inverse of ``vector``. Raises TotalRefusedError for totals that no rows can have."""
        cut = coefficients * (coefficients + 1) // 2
        information = np.zeros((coefficients, coefficients))
        information[np.triu_indices(coefficients)] = vector[:cut]
        information += np.triu(information, 1).T
        deviance, weight = float(vector[-2]), float(vector[-1])
        if weight <= 0 or (np.diag(information) < 0).any():
            raise TotalRefusedError("the rows have no weight, or the information of a coefficient is negative")
        return cls(information, np.asarray(vector[cut:-2]), deviance, weight)


def length(coefficients: int) -> int:
    """How many numbers ``Totals.vector`` has."""
    return coefficients * (coefficients + 1) // 2 + coefficients + 2


def add_up(family: Family, model: Floats, features: Floats, target: Floats, weights: Floats) -> Totals:
    """This institution's share of the totals; features (rows, p − 1), target and weights (rows,).

    Raises StepError where the numbers overflow, which is how a diverging fit shows.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        design = np.column_stack([features, np.ones(len(features))])
        mean = family.mean(design @ model)
        curvature = weights * family.variance(mean)
        information = design.T @ (curvature[:, None] * design)
        score = design.T @ (weights * (target - mean))
        deviance = float(weights @ family.deviance(target, mean))
    totals = Totals(information, score, deviance, float(weights.sum()))
    if not np.isfinite(totals.vector()).all():
        raise StepError(
            "the fit diverged: a sum over the rows is not finite",
            blame="the job spec: the model does not suit the data",
            remedy="raise l2, or clip or transform the features that have extreme values",
        )
    return totals


@dataclass(frozen=True)
class Fit:
    """How far the fit is. ``model`` is where the next round is to be added up; ``best`` the last that improved."""

    model: Floats
    best: Floats
    objective: float = math.inf
    change: float = math.inf
    """Largest change of a coefficient in the last step; the fit has converged where it is tiny."""
    totals: Totals | None = None
    """At ``best``."""

    @classmethod
    def start(cls, coefficients: int, intercept: float = 0.0) -> "Fit":
        """All coefficients zero but the intercept."""
        first = np.append(np.zeros(coefficients - 1), intercept)
        return cls(first, first)


def advance(fit: Fit, totals: Totals, l2: float) -> Fit:
    """The fit after the round whose totals are at ``fit.model``; ``l2`` is per unit of weight.

    A step that made things worse is halved, unless rows came or went meanwhile; otherwise the next Newton step is
    taken. No penalty on the intercept.
    """
    penalty = _penalty(len(fit.model), l2, totals.weight)
    objective = totals.deviance + float(penalty @ np.square(fit.model))
    comparable = fit.totals is not None and fit.totals.weight == totals.weight
    if comparable and objective > fit.objective + _HALVINGS * abs(fit.objective):
        middle = (fit.model + fit.best) / 2
        return replace(fit, model=middle, change=float(np.abs(middle - fit.best).max()))
    step = solve(totals.information + np.diag(penalty), totals.score - penalty * fit.model)
    return Fit(fit.model + step, fit.model, objective, float(np.abs(step).max()), totals)


def solve(matrix: Floats, right: Floats) -> Floats:
    """matrix⁻¹ · right. Raises StepError where columns depend on one another."""
    try:
        if np.linalg.cond(matrix) < 1e13:
            return np.asarray(np.linalg.solve(matrix, right))
    except np.linalg.LinAlgError:
        pass
    raise StepError(
        "the coefficients can't be told apart: a feature is constant, or follows from the others",
        blame="the job spec",
        remedy="leave one of the dependent features out, or set l2 above 0",
    )


@dataclass(frozen=True)
class Inference:
    """What an unpenalised fit says of its coefficients, in the order and units of ``model``."""

    errors: Floats
    statistics: Floats
    p_values: Floats
    low: Floats
    high: Floats
    dispersion: float


def inference(family: Family, model: Floats, totals: Totals, rows: int, level: float = 0.95) -> Inference:
    """Wald statistics from the totals at the fitted ``model``: t where the dispersion is estimated, else z."""
    freedom = max(rows - len(model), 1)
    dispersion = totals.deviance / freedom if family.dispersion else 1.0
    covariance = solve(totals.information, np.eye(len(model))) * dispersion
    errors = np.sqrt(np.diag(covariance))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistics = model / errors
    from scipy import special  # noqa: PLC0415 - a third of what a worker takes to start

    if family.dispersion:
        quantile, below = partial(special.stdtrit, freedom), partial(special.stdtr, freedom)
    else:
        quantile, below = special.ndtri, special.ndtr
    reach = float(quantile((1 + level) / 2)) * errors
    return Inference(errors, statistics, 2 * below(-np.abs(statistics)), model - reach, model + reach, dispersion)


def in_own_units(model: Floats, totals: Totals, means: Floats, scales: Floats) -> tuple[Floats, Totals]:
    """Coefficients and totals for features in their own units, where ``model`` is of (x − mean) / scale.

    ``model`` = A · own, so own = A⁻¹ · model and the information becomes Aᵀ · information · A.
    """
    change = np.diag(np.append(scales, 1.0))
    change[-1, :-1] = means
    own = np.append(model[:-1] / scales, model[-1] - float((model[:-1] / scales) @ means))
    return own, replace(totals, information=change.T @ totals.information @ change, score=change.T @ totals.score)


def _penalty(coefficients: int, l2: float, weight: float) -> Floats:
    return np.append(np.full(coefficients - 1, l2 * weight), 0.0)
