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
from consortia_common.documents.learners.regression import MEAN_BOUND, Regression
from consortia_node.errors import StepError
from consortia_node.learning import glm, state, stopping
from consortia_node.learning.measuring import Measured
from consortia_node.learning.preparing import Prepared
from consortia_node.learning.rows import Parts, Rows
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

    def contribute(self, values: Mapping[str, bytes], parts: Parts, turn: int) -> Floats | Integers:
        """This institution's share of the totals at the current coefficients."""
        del turn
        model = self._recall(values).model
        shares = [self._share(model, rows).vector() for rows in parts.learned.blocks()]
        vector = np.asarray(np.sum(shares, axis=0))
        if np.abs(vector).max(initial=0.0) > float(MEAN_BOUND):
            raise StepError(
                "a sum of the fit is out of all proportion: the fit diverges, or a feature has absurd values",
                blame="the job spec, or this institution's dataset",
                remedy="give the features with a long tail a low, a high or log1p in prepare, or raise l2",
            )
        return vector

    def _share(self, model: Floats, rows: Rows) -> glm.Totals:
        """Of the totals, by these rows."""
        features = self._prepared.preparation.matrix(rows.columns)
        weights = rows.weight * self._class_weights(rows.label) / self._unit
        shifted = (rows.label - self._centre) / self._spread
        return glm.add_up(self._family, model, features, shifted, weights)

    def absorb(self, values: state.Values, total: Any, turn: int) -> None:
        """Take the next Newton step."""
        totals = glm.Totals.from_vector(total, self._coefficients)
        share = 0.5 if self._asked.type == "logistic_regression" else 1.0
        stopping.note(values, turn - 1, Measured(share * totals.deviance / totals.weight, None))
        fit = glm.advance(self._recall(values), totals, float(self._asked.l2))
        best = fit.totals
        if best is None:
            raise StepError("no round of the fit came out", blame="the job", remedy="submit it again")
        data = {"objective": fit.objective, "change": fit.change}
        state.keep(values, _FIT, data, model=fit.model, best=fit.best, totals=best.vector())

    def is_over(self, values: Mapping[str, bytes]) -> bool:
        """Once it has converged."""
        return self._recall(values).change < CONVERGED

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
            "curve": stopping.told(stopping.curve(values)),
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
        deviance = totals.deviance * self._unit * self._spread**2
        scaled = glm.Totals(totals.information * self._unit, totals.score * self._unit, deviance, totals.weight)
        means, scales = self._units()
        own, there = glm.in_own_units(fit.best, scaled, means, scales)
        own = own * self._spread + np.append(np.zeros(len(own) - 1), self._centre)
        said = glm.inference(self._family, own, there, self._prepared.rows)
        names = [*self._prepared.preparation.names, "intercept"]
        numbers = zip(own, said.errors, said.statistics, said.p_values, said.low, said.high, strict=True)
        return [_coefficient(name, row) for name, row in zip(names, numbers, strict=True)]

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


def _coefficient(name: str, row: tuple[float, ...]) -> dict[str, str]:
    """One line of the table of coefficients."""
    fields = ("value", "error", "statistic", "p_value", "low", "high")
    return {"name": name} | {field: repr(rounded(float(number))) for field, number in zip(fields, row, strict=True)}
