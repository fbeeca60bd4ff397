"""PURE: rounds of Newton's method for a ``train`` job: what is summed in a round, and what its total changes.

Sums are relative to the spec's public max_rows and, for a number or a count, to the label's own scale, so that
they stay within bounds that everybody knows beforehand.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consortia_common.documents.fitted import LinearFit
from consortia_common.documents.kinds.train import Parameters
from consortia_common.documents.learners import MEAN_BOUND, Regression
from consortia_node.errors import StepError
from consortia_node.learning import glm, state
from consortia_node.learning.preparing import Prepared
from consortia_node.learning.rows import Rows
from consortia_node.moments import rounded

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_FIT = "regression"
CONVERGED = 1e-8
"""A fit has converged when its last step changed no standardised coefficient by more."""


class NewtonRounds:
    """The rounds of one fit; see Learning. All it remembers is in ``values``."""

    def __init__(self, parameters: Parameters, asked: Regression, prepared: Prepared) -> None:
        self._parameters = parameters
        self._asked = asked
        self._prepared = prepared
        self._family = glm.FAMILIES[asked.type]
        self._coefficients = parameters.inputs + 1

    def contribute(self, values: Mapping[str, bytes], rows: Rows, turn: int) -> Floats | Integers:
        """This institution's share of the totals at the current coefficients."""
        del turn
        fit = self._recall(values)
        features = self._prepared.preparation.matrix(rows.columns)
        weights = rows.weight * self._class_weights(rows.label) / self._unit
        shifted = (rows.label - self._centre) / self._spread
        vector = glm.add_up(self._family, fit.model, features, shifted, weights).vector()
        if np.abs(vector).max(initial=0.0) > float(MEAN_BOUND):
            raise StepError(
                "a sum of the fit is out of all proportion: the fit diverges, or a feature has absurd values",
                blame="the job spec, or this institution's dataset",
                remedy="give the features with a long tail a low, a high or log1p in prepare, or raise l2",
            )
        return vector

    def absorb(self, values: state.Values, total: Any, turn: int) -> None:
        """Take the next Newton step."""
        del turn
        totals = glm.Totals.from_vector(total, self._coefficients)
        fit = glm.advance(self._recall(values), totals, float(self._asked.l2))
        best = fit.totals
        if best is None:
            raise StepError("no round of the fit came out", blame="the job", remedy="submit it again")
        data = {"objective": fit.objective, "change": fit.change}
        state.keep(values, _FIT, data, model=fit.model, best=fit.best, totals=best.vector())

    def finish(self, values: Mapping[str, bytes]) -> tuple[LinearFit, dict[str, object]]:
        """The model, and how well the fit has converged."""
        fit = self._recall(values)
        weights = [rounded(float(weight) * self._spread) for weight in fit.best[:-1]]
        intercept = rounded(float(fit.best[-1]) * self._spread + self._centre)
        converged = fit.change < CONVERGED
        found: dict[str, object] = {
            "converged": converged,
            "largest_last_change": rounded(fit.change, 3),
            "deviance": self._deviance(fit),
        }
        made = LinearFit.from_value(
            {
                "type": "linear",
                "weights": [repr(weight) for weight in weights],
                "intercept": repr(intercept),
                "coefficients": self._inference(fit) if converged and self._asked.l2 == 0 else (),
            },
            "the fitted model",
        )
        return made, found

    def _inference(self, fit: glm.Fit) -> list[dict[str, str]]:
        """Of the coefficients per unit of each input as the column has it, in the label's own units."""
        totals = fit.totals
        if totals is None:
            return []
        scaled = glm.Totals(
            totals.information * self._unit, totals.score * self._unit, totals.deviance * self._unit, totals.weight
        )
        means, scales = self._units()
        own, there = glm.in_own_units(fit.best, scaled, means, scales)
        said = glm.inference(self._family, own, there, self._prepared.rows)
        names = [*self._prepared.preparation.names, "intercept"]
        numbers = zip(own, said.errors, said.statistics, said.p_values, said.low, said.high, strict=True)
        shift = np.zeros(len(own))
        shift[-1] = self._centre
        return [
            _coefficient(name, row, self._spread, moved)
            for name, row, moved in zip(names, numbers, shift, strict=True)
        ]

    def _units(self) -> tuple[Floats, Floats]:
        """Mean and scale by which each input was standardised: 0 and 1 where it was not."""
        features = self._prepared.preparation.features
        means = [getattr(feature, "mean", 0.0) for feature in features]
        scales = [getattr(feature, "scale", 1.0) for feature in features]
        return np.array(means, np.float64), np.array(scales, np.float64)

    def _recall(self, values: Mapping[str, bytes]) -> glm.Fit:
        if _FIT not in values:
            return glm.Fit.start(self._coefficients, self._start)
        data, arrays = state.recall(values, _FIT)
        totals = glm.Totals.from_vector(arrays["totals"], self._coefficients)
        return glm.Fit(arrays["model"], arrays["best"], data["objective"], data["change"], totals)

    def _class_weights(self, label: Floats) -> Floats:
        """1, or what makes zeros and ones of all parties count alike."""
        if self._asked.class_weight == "none":
            return np.ones(len(label))
        rows, ones = self._prepared.rows, self._prepared.ones
        return np.where(label > 0, rows / (2 * ones), rows / (2 * (rows - ones)))

    def _deviance(self, fit: glm.Fit) -> float | None:
        return None if fit.totals is None else rounded(fit.totals.deviance * self._unit * self._spread**2)

    @property
    def _centre(self) -> float:
        return self._prepared.label.mean if self._asked.type == "linear_regression" else 0.0

    @property
    def _spread(self) -> float:
        return (self._prepared.label.deviation or 1.0) if self._asked.type == "linear_regression" else 1.0

    @property
    def _unit(self) -> float:
        """What the sums are relative to."""
        mean = self._prepared.label.mean if self._asked.type == "poisson_regression" else 1.0
        return self._parameters.max_rows * mean

    @property
    def _start(self) -> float:
        """An intercept to begin with: that of a fit without features."""
        mean = self._prepared.label.mean
        starts = {"linear_regression": 0.0, "poisson_regression": float(np.log(mean)) if mean > 0 else 0.0}
        return starts.get(self._asked.type, 0.0)


def _coefficient(name: str, row: tuple[float, ...], spread: float, moved: float) -> dict[str, str]:
    """One line of the table of coefficients."""
    value, error, statistic, p_value, low, high = (float(number) for number in row)
    numbers = {
        "value": value * spread + moved,
        "error": error * spread,
        "statistic": statistic,
        "p_value": p_value,
        "low": low * spread + moved,
        "high": high * spread + moved,
    }
    return {"name": name} | {key: repr(rounded(number)) for key, number in numbers.items()}
