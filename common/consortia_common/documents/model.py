"""A linear model as a document, and the arithmetic that prepares it for scoring encrypted features.

Numbers are decimal text, so that a model has one canonical form and one digest. A model may carry the means and
scales by which its inputs are standardised; ``unit_form`` folds them, and the public range of every feature,
into the weights, because ciphertexts hold features already scaled to [-1, 1].
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from consortia_common.documents.base import ColumnName, Document, MistakesError, Number, refuse

Parameter = Annotated[Number, Field(ge=-(10**12), le=10**12)]
Scale = Annotated[Number, Field(ge=Number("1e-12"), le=10**12)]
Range = tuple[float, float]
"""The lowest and highest value of a feature; public, from the node's configuration."""
MAX_FEATURES = 256
_Features = Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=MAX_FEATURES)]


class LinearModel(Document):
    """logit = bias + Σ weightᵢ · (xᵢ - meanᵢ) / scaleᵢ, with mean 0 and scale 1 where none are given."""

    v: Literal[1] = 1
    type: Literal["logistic_regression"]
    features: _Features
    """In the order of the weights."""
    weights: tuple[Parameter, ...]
    bias: Parameter
    means: tuple[Parameter, ...] | None = None
    scales: tuple[Scale, ...] | None = None

    @classmethod
    def from_numbers(
        cls,
        features: Sequence[str],
        weights: Sequence[float],
        bias: float,
        means: Sequence[float] | None = None,
        scales: Sequence[float] | None = None,
    ) -> Self:
        """The model with these numbers, exactly. Raises DocumentError if they don't make one."""
        value = {
            "type": "logistic_regression",
            "features": tuple(features),
            "weights": _decimals(weights),
            "bias": _decimal(bias),
            "means": None if means is None else _decimals(means),
            "scales": None if scales is None else _decimals(scales),
        }
        return cls.from_value(value, "the model")

    @model_validator(mode="after")
    def _check(self) -> Self:
        """What no single field can say."""
        problems = []
        if len(set(self.features)) != len(self.features):
            problems.append("features: a feature is named twice")
        for name in ("weights", "means", "scales"):
            numbers = getattr(self, name)
            if numbers is not None and len(numbers) != len(self.features):
                problems.append(f"{name}: {len(numbers)} numbers for {len(self.features)} features")
        if problems:
            raise MistakesError(problems)
        return self


def plain_form(model: LinearModel) -> tuple[list[float], float]:
    """Weights and bias for features in their own units: the standardisation folded in."""
    means = [float(mean) for mean in model.means or [Number(0)] * len(model.features)]
    scales = [float(scale) for scale in model.scales or [Number(1)] * len(model.features)]
    weights = [float(weight) / scale for weight, scale in zip(model.weights, scales, strict=True)]
    return weights, float(model.bias) - _dot(weights, means)


def unit_form(model: LinearModel, ranges: Sequence[Range]) -> tuple[list[float], float]:
    """Weights and bias for features that ``to_unit`` has scaled to [-1, 1], by the ranges in feature order.

    Raises DocumentError if there is not one proper range for each feature.
    """
    _check_ranges(ranges, len(model.features))
    weights, bias = plain_form(model)
    middles = [(low + high) / 2 for low, high in ranges]
    halves = [(high - low) / 2 for low, high in ranges]
    scaled = [weight * half for weight, half in zip(weights, halves, strict=True)]
    return scaled, bias + _dot(weights, middles)


def to_unit(value: Any, limits: Range) -> Any:
    """A number, or an array of them, scaled so that its public range becomes exactly [-1, 1]."""
    low, high = limits
    return (value - low) / (high - low) * 2 - 1


def logit(model: LinearModel, row: Sequence[float]) -> float:
    """The model's score of one row in plain text, features in the model's order."""
    weights, bias = plain_form(model)
    return _dot(weights, row) + bias


def _check_ranges(ranges: Sequence[Range], count: int) -> None:
    if len(ranges) != count:
        raise refuse("the features' ranges", [f"{len(ranges)} ranges for {count} features"])
    if not all(math.isfinite(low) and math.isfinite(high) and low < high for low, high in ranges):
        raise refuse("the features' ranges", ["a range is empty or not finite"])


def _dot(left: Sequence[float], right: Sequence[float]) -> float:
    return math.fsum(a * b for a, b in zip(left, right, strict=True))


def _decimals(numbers: Sequence[float]) -> tuple[Number, ...]:
    return tuple(_decimal(number) for number in numbers)


def _decimal(number: float) -> Number:
    """The shortest decimal that reads back as the same float."""
    return Number(repr(float(number)))
