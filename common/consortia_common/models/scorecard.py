"""PURE: scorecards, the linear models that a bank brings and that encrypted scoring needs, as models and back."""

from consortia_common.documents.base import read_json, refuse
from consortia_common.documents.fitted import LinearFit, Model, NumericInput
from consortia_common.documents.model import LinearModel

_MARK = "consortia_model"
"""The field by which an artefact is known."""


def read(text: str, source: str) -> Model:
    """The model in a file: an artefact, a result that holds one, or a scorecard. Raises DocumentError."""
    if f'"{_MARK}"' not in text:
        return as_model(LinearModel.from_yaml(text, source))
    value = read_json(text, source, Model.MAX_BYTES)
    return Model.from_value(value.get("model", value) if isinstance(value, dict) else value, source)


def as_model(card: LinearModel) -> Model:
    """The model that answers like the scorecard."""
    means = card.means or ("0",) * len(card.features)
    scales = card.scales or ("1",) * len(card.features)
    value = {
        "label": "label",
        "link": "logit",
        "inputs": [
            {"kind": "number", "column": column, "mean": mean, "scale": scale}
            for column, mean, scale in zip(card.features, means, scales, strict=True)
        ],
        "fit": {"type": "linear", "weights": card.weights, "intercept": card.bias},
    }
    return Model.from_value(value, "the scorecard")


def scorecard_of(model: Model, name: str) -> LinearModel:
    """The scorecard that answers like the model. Raises DocumentError where there is none.

    Ciphertexts can be weighed and added, not compared or looked up: trees, networks and prepared columns can't be
    scored encrypted.
    """
    inputs = [each for each in model.inputs if isinstance(each, NumericInput)]
    plain = all((each.fill, each.low, each.high, each.log1p) == (None, None, None, False) for each in inputs)
    if (
        not isinstance(model.fit, LinearFit)
        or model.link != "logit"
        or len(inputs) != len(model.inputs)
        or not plain
    ):
        raise refuse(
            f"model {name}",
            ["only a logistic regression on plain numeric columns can score encrypted customers"],
        )
    value = {
        "type": "logistic_regression",
        "features": [each.column for each in inputs],
        "weights": model.fit.weights,
        "bias": model.fit.intercept,
        "means": [each.mean for each in inputs],
        "scales": [each.scale for each in inputs],
    }
    return LinearModel.from_value(value, f"model {name}")
