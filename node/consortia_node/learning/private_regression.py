"""PURE: a regression by Newton's method on noisy sums.

Of each row the score, shortened to the spec's clip, and its part of the information matrix, scaled down to the
square of the clip (Frobenius), are added up with noise. Directions in which the information drowns in its own noise
are stepped along as if they had just as much information as noise: slower, never astray, and towards the same end,
which is where the score vanishes.
"""

from collections.abc import Mapping
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from consortia_common.documents.fitted import LinearFit
from consortia_common.documents.kinds.train import Parameters
from consortia_common.documents.learners.regression import Regression
from consortia_node.learning import state
from consortia_node.learning.fit_regression import NewtonRounds
from consortia_node.learning.noising import UNIT, Integers, Noising
from consortia_node.learning.preparing import Prepared
from consortia_node.learning.rows import Parts
from consortia_node.moments import rounded

Floats = NDArray[np.float64]
_FIT = "regression"
_REACH = sqrt(2)
"""A row changes the score by one unit and the information by one unit."""


class PrivateNewtonRounds(NewtonRounds):
    """The rounds of one fit; see Learning."""

    def __init__(self, parameters: Parameters, asked: Regression, prepared: Prepared, noising: Noising) -> None:
        super().__init__(parameters, asked, prepared)
        self._noising = noising
        self._clip = float(noising.asked.clip)

    def contribute(self, values: Mapping[str, bytes], parts: Parts, turn: int) -> Integers:
        """This institution's share of information and score, in units of the clip, with its share of the noise."""
        del turn
        rows, model = parts.learned, self._model(values)[0]
        features = self._prepared.preparation.matrix(rows.columns)
        design = np.column_stack([features, np.ones(len(rows))])
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused before it is sealed
            mean, weights = self._family.mean(design @ model), self._class_weights(rows.label)
            slope = weights * ((rows.label - self._centre) / self._spread - mean)
            curvature = weights * self._family.variance(mean)
            norms = np.square(design).sum(axis=1)
            slope *= np.minimum(1, self._clip / np.maximum(np.abs(slope) * np.sqrt(norms), 1e-30))
            curvature *= np.minimum(1, self._clip**2 / np.maximum(curvature * norms, 1e-30))
            information = design.T @ (curvature[:, None] * design) / self._clip**2
            score = design.T @ slope / self._clip
        upper = information[np.triu_indices(self._coefficients)]
        return self._noising.add(np.concatenate([upper, score]), _REACH, self._noising.multipliers.rounds)

    def absorb(self, values: state.Values, total: Integers, turn: int) -> None:
        """Take the next step."""
        del turn
        model, size = self._model(values)[0], self._coefficients
        numbers = self._noising.opened(total, _REACH, self._prepared.most_rows)
        upper, score = numbers[:-size] * self._clip**2, numbers[-size:] * self._clip
        information = np.zeros((size, size))
        information[np.triu_indices(size)] = upper
        information += np.triu(information, 1).T
        penalty = np.append(np.full(size - 1, float(self._asked.l2) * self._prepared.rows), 0.0)
        step = _careful(information + np.diag(penalty), score - penalty * model, self._drowning)
        state.keep(values, _FIT, {"change": float(np.abs(step).max())}, model=model + step)

    def is_over(self, values: Mapping[str, bytes]) -> bool:
        """Noise never converges; all rounds are taken."""
        del values
        return False

    def finish(self, values: Mapping[str, bytes]) -> tuple[LinearFit, dict[str, object]]:
        """The model; noise leaves no standard errors to speak of."""
        model, change = self._model(values)
        weights = [repr(rounded(float(weight) * self._spread)) for weight in model[:-1]]
        intercept = repr(rounded(float(model[-1]) * self._spread + self._centre))
        made = LinearFit.from_value(
            {"type": "linear", "weights": weights, "intercept": intercept}, "the fitted model"
        )
        return made, {"rounds": self._asked.rounds, "largest_last_change": rounded(change, 3)}

    def _model(self, values: Mapping[str, bytes]) -> tuple[Floats, float]:
        """The coefficients, and the largest change that the last step made of one."""
        if _FIT not in values:
            return np.append(np.zeros(self._coefficients - 1), self._start), 0.0
        data, arrays = state.recall(values, _FIT)
        return arrays["model"], float(data["change"])

    @property
    def _drowning(self) -> float:
        """About the largest eigenvalue of the noise in the information (Wigner's semicircle)."""
        numbers = self._coefficients * (self._coefficients + 3) // 2
        deviation = self._noising.deviation(_REACH, self._noising.multipliers.rounds, numbers) / UNIT
        return 2 * sqrt(self._coefficients) * deviation * self._noising.whole * self._clip**2


def _careful(matrix: Floats, right: Floats, least: float) -> Floats:
    """matrix⁻¹ · right for a symmetric matrix, with eigenvalues of at least ``least``."""
    eigenvalues, vectors = np.linalg.eigh(matrix)
    return np.asarray(vectors @ ((vectors.T @ right) / np.maximum(eigenvalues, least)))
