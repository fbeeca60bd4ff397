"""A ``train`` job's generalised linear model, fitted by Newton's method."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from consortia_common.documents.base import ColumnName, Number
from consortia_common.documents.kinds import SumShape, Tensor
from consortia_common.documents.learners import Learner, Task

MEAN_BOUND = Number(1000)
"""Bound of a sum of Newton's method, relative to the spec's max_rows; standardised features keep far below it."""
_TASKS: Mapping[str, Task] = {
    "logistic_regression": "binary",
    "linear_regression": "number",
    "poisson_regression": "count",
}


class Regression(Learner):
    """A generalised linear model, by Newton's method: the pooled fit, with standard errors where l2 is 0."""

    type: Literal["logistic_regression", "linear_regression", "poisson_regression"]
    rounds: Annotated[int, Field(ge=1, le=100)] = 10
    """Newton steps at most; there are fewer where the fit converges before."""
    l2: Annotated[Number, Field(ge=0, le=1000)] = Number("0.0001")
    """Penalty l2/2·‖w‖² on the mean loss; of the standardised inputs' weights, not of the intercept."""
    class_weight: Literal["none", "balanced"] = "none"
    """``balanced`` weighs rows so that zeros and ones count alike (logistic_regression)."""

    @property
    def rounds_in_all(self) -> int:
        """As the spec says."""
        return self.rounds

    @property
    def may_end_early(self) -> bool:
        """Once it has converged."""
        return True

    @property
    def task(self) -> Task:
        """By type."""
        return _TASKS[self.type]

    def shapes(self, inputs: int, columns: int, *, noisy: bool = False) -> Mapping[str, SumShape]:
        """Information, score, deviance and weight, in words that keep double precision."""
        del columns
        coefficients = inputs + 1
        if noisy:
            return {"update": SumShape(word_bits=64, length=coefficients * (coefficients + 1) // 2 + coefficients)}
        length = coefficients * (coefficients + 1) // 2 + coefficients + 2
        return {"update": SumShape(word_bits=64, length=length, tensors=(Tensor(length=length, clip=MEAN_BOUND),))}

    def document_bytes(self, inputs: int) -> int:
        """Each input with its preparation and weight, and what an unpenalised fit says of it."""
        return inputs * (150 if self.l2 else 330)

    def problems(self, features: tuple[ColumnName, ...]) -> list[str]:
        """Class weights where there are no classes."""
        del features
        wrong = self.class_weight == "balanced" and self.type != "logistic_regression"
        return ["parameters.model.class_weight: only logistic_regression has classes"] if wrong else []
