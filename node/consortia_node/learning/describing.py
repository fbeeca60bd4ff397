"""PURE: the finished model as a document."""

from collections.abc import Mapping

from consortia_common.documents.fitted import Fit, Model, TreesFit
from consortia_common.documents.jobspec import JobSpec
from consortia_common.documents.kinds.train import Parameters
from consortia_common.models.preparation import Evidence, Feature, Indicator, Numeric
from consortia_node.learning.preparing import Prepared

_LINKS = {"binary": "logit", "number": "identity", "count": "log"}


def model_of(
    spec: JobSpec,
    prepared: Prepared,
    fit: Fit,
    metrics: Mapping[str, object],
    *,
    privacy: Mapping[str, str],
    origin: Mapping[str, object],
) -> Model:
    """The model of a ``train`` job; the same at every party."""
    parameters = spec.parameters
    if not isinstance(parameters, Parameters):
        raise TypeError(spec.kind)
    features = () if isinstance(fit, TreesFit) else prepared.preparation.features
    value = {
        "label": parameters.label,
        "link": _LINKS[parameters.model.task],
        "categories": parameters.categories,
        "shapes": () if features else _shapes(parameters),
        "inputs": [_input(feature, parameters) for feature in features],
        "fit": fit.model_dump(),
        "metrics": texts(metrics),
        "privacy": dict(privacy),
        "origin": {**origin, "rows": prepared.rows},
    }
    return Model.from_value(value, "the fitted model")


def texts(value: object) -> object:
    """``value`` with numbers that are not whole as text, because canonical JSON has no floats."""
    if isinstance(value, Mapping):
        return {str(name): texts(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [texts(each) for each in value]
    return repr(value) if isinstance(value, float) else value


def _shapes(parameters: Parameters) -> list[dict[str, object]]:
    """What trees' columns go through before they are compared."""
    return [{"column": name, **prepare.model_dump()} for name, prepare in parameters.prepare.items()]


def _input(feature: Feature, parameters: Parameters) -> dict[str, object]:
    match feature:
        case Numeric(column, _, mean, scale):
            said = {"kind": "number", "column": column, "mean": repr(mean), "scale": repr(scale)}
            asked = parameters.prepare.get(column)
            return said | (asked.model_dump() if asked else {})
        case Indicator(column, place, _):
            return {"kind": "indicator", "column": column, "category": parameters.categories[column][place]}
        case Evidence(column, weights):
            numbers = [repr(weight) for weight in weights]
            return {
                "kind": "evidence",
                "column": column,
                "categories": parameters.categories[column],
                "weights": numbers[:-1],
                "other": numbers[-1],
            }
    raise TypeError(type(feature).__name__)
