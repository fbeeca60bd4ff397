"""PURE: what a model answers for rows of raw columns; the same code at every institution and at the analyst's."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from consortia_common.documents.fitted import (
    ColumnShape,
    EvidenceInput,
    IndicatorInput,
    LinearFit,
    Model,
    NetworkFit,
    NumericInput,
    TreeNode,
    TreesFit,
)
from consortia_common.models.network import Network
from consortia_common.models.preparation import Columns, Evidence, Feature, Indicator, Numeric, Preparation, Shape

Floats = NDArray[np.float64]
LARGEST = 60.0
"""Margins are held within this on both sides before an inverse link with an exponential."""
PREDICTION = "prediction"
"""The answer's name, beside the columns'."""
_AS_IT_IS = Shape()
INVERSE_LINKS: Mapping[str, Callable[[Floats], Floats]] = {
    "identity": lambda margin: margin,
    "logit": lambda margin: np.asarray(1.0 / (1.0 + np.exp(-np.clip(margin, -LARGEST, LARGEST)))),
    "log": lambda margin: np.asarray(np.exp(np.clip(margin, -LARGEST, LARGEST))),
}


def predict(model: Model, columns: Columns) -> Floats:
    """Probability, number or expected count of each row; (rows,). Categories are places in the model's lists."""
    return INVERSE_LINKS[model.link](margins(model, columns))


def margins(model: Model, columns: Columns) -> Floats:
    """The answer before the inverse link; (rows,)."""
    match model.fit:
        case LinearFit() as fit:
            weights = np.array([float(weight) for weight in fit.weights])
            return np.asarray(preparation_of(model).matrix(columns) @ weights + float(fit.intercept))
        case NetworkFit() as fit:
            weights = np.array([float(weight) for weight in fit.weights])
            network = Network(fit.sizes, fit.activation)
            output = network.margin(weights, preparation_of(model).matrix(columns))
            return np.asarray(output * float(fit.spread) + float(fit.centre))
        case TreesFit() as fit:
            shapes = {each.column: _shape(each) for each in model.shapes}
            raw = np.column_stack([shapes.get(name, _AS_IT_IS).apply(columns[name]) for name in fit.columns])
            total = np.zeros(len(raw))
            for tree in fit.trees:
                total += _tree(tree, raw)
            return total * float(fit.learning_rate) + float(fit.start)


def preparation_of(model: Model) -> Preparation:
    """The model's inputs, ready to be computed."""
    return Preparation(tuple(_feature(each, model.categories) for each in model.inputs))


def _feature(
    asked: NumericInput | IndicatorInput | EvidenceInput, categories: Mapping[str, Sequence[int | str]]
) -> Feature:
    match asked:
        case NumericInput():
            return Numeric(asked.column, _shape(asked), float(asked.mean), float(asked.scale))
        case IndicatorInput():
            place = list(categories[asked.column]).index(asked.category)
            return Indicator(asked.column, place, str(asked.category))
        case EvidenceInput():
            return Evidence(asked.column, tuple(float(each) for each in (*asked.weights, asked.other)))


def _shape(asked: ColumnShape) -> Shape:
    fill, low, high = (None if number is None else float(number) for number in (asked.fill, asked.low, asked.high))
    return Shape(fill, low, high, asked.log1p)


def _tree(tree: Sequence[TreeNode], raw: Floats) -> Floats:
    """The value of the leaf that each row falls into; (rows,)."""
    column = np.array([-1 if node.column is None else node.column for node in tree])
    upto = np.array([np.inf if node.upto is None else float(node.upto) for node in tree])
    missing_left = np.array([node.missing_left for node in tree])
    child = np.array([node.child for node in tree])
    place = np.zeros(len(raw), np.int64)
    while len(inner := np.flatnonzero(column[place] >= 0)):
        at = place[inner]
        values = raw[inner, column[at]]
        left = np.where(np.isnan(values), missing_left[at], values <= upto[at])
        for number in np.unique(at):
            among = tree[number].among
            if among is not None:
                here = (at == number) & ~np.isnan(values)
                left[here] = np.isin(values[here], among)
        place[inner] = child[at] + ~left
    return np.array([float(node.value) for node in tree])[place]
