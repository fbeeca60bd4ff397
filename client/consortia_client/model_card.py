"""PURE: a model's card: what it is for, whose data it learned from, how good it is, and where its limits are.

Everything on it comes from the model's own document, so that card and model can't part. The form follows Mitchell
et al., Model Cards for Model Reporting (2019).
"""

from collections.abc import Iterator, Sequence
from typing import Any

from consortia_client.curves import COURSES, Course
from consortia_client.measured import Measured
from consortia_client.pages import Figure, Page, Section
from consortia_common.documents.fitted import (
    EvidenceInput,
    IndicatorInput,
    LinearFit,
    Model,
    NetworkFit,
    NumericInput,
    Origin,
    TreesFit,
)

_ANSWERS = {"logit": "a probability", "identity": "a number", "log": "an expected count"}
_MEASURES = {
    "rows": "rows in the test",
    "ones": "of them with label 1",
    "auc": "area under the ROC curve",
    "ks": "Kolmogorov–Smirnov distance",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "brier": "Brier score",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "r2": "R²",
    "deviance": "mean deviance",
}

_PROMISES = {
    "epsilon": "ε",
    "delta": "δ",
    "rows_per_customer": "rows of a customer at most",
    "multiplier": "noise of a round, in units of what a row changes",
    "sampling": "share of the rows in a round",
    "covers": "it covers",
    "does_not_cover": "it does not cover",
}


def card(model: Model, withdrawn: str = "") -> Page:
    """The card; ``withdrawn`` says by whom, when and why, if that is known.

    Raises DocumentError for metrics that are none.
    """
    origin = model.origin
    return Page(
        language="en",
        title=f"Model card: {model.label}",
        introduction=[f"{_kind(model)} that answers with {_ANSWERS[model.link]} of {model.label}."],
        facts=[
            *([("state", withdrawn)] if withdrawn else []),
            ("digest", model.hash()),
            ("purpose", origin.purpose or "not recorded"),
            ("agreement", origin.agreement or "not recorded"),
            ("lawful basis", origin.lawful_basis.replace("_", " ") or "not recorded"),
            ("institutions", ", ".join(origin.parties) or "not recorded"),
            ("learned from", f"{_rows(model)} rows of {origin.dataset}" if origin.dataset else "not recorded"),
            ("tested on", origin.test_dataset or "nothing, or not recorded"),
            ("received by", _received(origin)),
            ("job, whose receipts prove it", origin.job or "not recorded"),
            ("job spec", origin.spec or "not recorded"),
        ],
        sections=[
            _inputs(model),
            _fitted(model),
            *_trained(model),
            _tested(model),
            _privacy(model),
            _limits(model),
        ],
        footer="Drawn up from the model's own document; the digest names exactly that document.",
    )


def _received(origin: Origin) -> str:
    """To whom the agreement let the model be handed."""
    reached = [*(origin.parties if "parties" in origin.recipients else ())]
    reached += ["the analyst who asked"] if "analyst" in origin.recipients else []
    return ", ".join(reached) or "not recorded"


def _rows(model: Model) -> str:
    return f"{'about ' if model.privacy else ''}{model.origin.rows:,}"


def _kind(model: Model) -> str:
    match model.fit:
        case LinearFit():
            names = {
                "logit": "A logistic regression",
                "identity": "A linear regression",
                "log": "A Poisson regression",
            }
            return names[model.link]
        case TreesFit(trees=trees):
            return f"An ensemble of {len(trees)} boosted trees"
        case NetworkFit(sizes=sizes):
            return f"A neural network with layers of {', '.join(map(str, sizes))} units"


def _inputs(model: Model) -> Section:
    rows = [_input(each) for each in model.inputs]
    if isinstance(model.fit, TreesFit):
        shaped = {each.column: each for each in model.shapes}
        for column in model.fit.columns:
            if column in model.categories:
                rows.append((column, f"one of {', '.join(map(str, model.categories[column]))}"))
            else:
                rows.append((column, _shape(shaped[column]) if column in shaped else "as it is"))
    return Section("Inputs", columns=("column", "how it is prepared"), rows=rows)


def _input(each: NumericInput | IndicatorInput | EvidenceInput) -> tuple[str, str]:
    match each:
        case NumericInput():
            shape = _shape(each)
            return each.column, f"{shape + ', then ' if shape else ''}(x − {each.mean}) / {each.scale}"
        case IndicatorInput():
            return each.column, f"1 where it is {each.category}"
        case EvidenceInput():
            return each.column, f"weight of evidence of {', '.join(map(str, each.categories))}, or of any other"


def _shape(each: Any) -> str:
    parts = [f"{each.fill} if missing"] if each.fill is not None else []
    parts += [f"at least {each.low}"] if each.low is not None else []
    parts += [f"at most {each.high}"] if each.high is not None else []
    return ", ".join([*parts, *(["sign(x)·ln(1 + |x|)"] if each.log1p else [])])


def _fitted(model: Model) -> Section:
    fit = model.fit
    if isinstance(fit, TreesFit):
        used: dict[str, int] = dict.fromkeys(fit.columns, 0)
        for tree in fit.trees:
            for node in tree:
                if node.column is not None:
                    used[fit.columns[node.column]] += 1
        rows = [(name, str(count)) for name, count in sorted(used.items(), key=lambda item: -item[1])]
        return Section("Fit", columns=("column", "splits"), rows=rows)
    if isinstance(fit, LinearFit) and fit.coefficients:
        names = ("input", "coefficient", "standard error", "p", "95 % interval")
        coefficients = [
            (
                one.name,
                _number(one.value),
                _number(one.error),
                _number(one.p_value),
                f"{_number(one.low)} to {_number(one.high)}",
            )
            for one in fit.coefficients
        ]
        return Section("Fit", columns=names, rows=coefficients)
    if isinstance(fit, LinearFit):
        inputs = [_named(each) for each in model.inputs]
        weights = [(name, _number(weight)) for name, weight in zip(inputs, fit.weights, strict=True)]
        why = "had noise" if model.privacy else "was penalised"
        sentence = f"Weights of the prepared inputs. The fit {why}, so it has no standard errors."
        return Section(
            "Fit", [sentence], columns=("input", "weight"), rows=[*weights, ("intercept", _number(fit.intercept))]
        )
    return Section("Fit", [f"{len(fit.weights):,} weights."])


def _named(each: NumericInput | IndicatorInput | EvidenceInput) -> str:
    return f"{each.column}={each.category}" if isinstance(each, IndicatorInput) else each.column


def _trained(model: Model) -> Iterator[Section]:
    """How the fit went, round by round."""
    curve = Measured.of(model.metrics).curve
    told = [(course, points) for course in COURSES if len(points := course.of(curve)) > 1]
    if told:
        facts = [(course.title, _went(course, points)) for course, points in told]
        figures = [_drawn(course, points) for course, points in told]
        sentence = "Sums over all institutions' rows, opened by all of them after each round (of trees: each tree)."
        yield Section("Training", [sentence], facts=facts, figures=figures)


def _went(course: Course, points: Sequence[tuple[int, float]]) -> str:
    after, best = course.at_best(points)
    return (
        f"{_number(points[0][1])} at first, {course.best} {_number(best)} after {after:,}, "
        f"last {_number(points[-1][1])} after {points[-1][0]:,}"
    )


def _drawn(course: Course, points: Sequence[tuple[int, float]]) -> Figure:
    """In the unit square; the words beside it say what its sides are."""
    last, values = points[-1][0], [value for _, value in points]
    low, high = min(values), max(values)
    scaled = [(at / (last or 1), (value - low) / ((high - low) or 1.0)) for at, value in points]
    up = f"{_number(low)} to {_number(high)}"
    return Figure(course.title, "rounds", up, scaled, diagonal=False, ends=("0", f"{last:,}"))


def _tested(model: Model) -> Section:
    measured = Measured.of(model.metrics)
    facts = [
        (words, _number(getattr(measured, name))) for name, words in _MEASURES.items() if name in model.metrics
    ]
    if not facts:
        return Section("Test", ["The job tested the model on nothing; run an evaluate job before it is used."])
    return Section("Test, on rows kept apart at every institution", facts=facts, figures=list(_curves(measured)))


def _curves(measured: Measured) -> Iterator[Figure]:
    if measured.roc:
        yield Figure("ROC curve", "share of zeros", "share of ones", [(0.0, 0.0), *measured.roc, (1.0, 1.0)])
    middles = [
        ((each.low + each.high) / 2, each.share_of_ones)
        for each in measured.calibration
        if each.share_of_ones is not None
    ]
    if middles:
        yield Figure("Calibration", "score", "share of ones", middles)
    if measured.gains:
        points = [(0.0, 0.0), *((each.share, each.gain) for each in measured.gains)]
        yield Figure("Gains", "share of rows, best first", "share of ones", points)


def _privacy(model: Model) -> Section:
    facts = [(words, model.privacy[name]) for name, words in _PROMISES.items() if name in model.privacy]
    noisy = "What it was fitted from had noise: it promises each customer (ε, δ) differential privacy, as below."
    sentence = noisy if facts else "No noise was added: whoever has the model has what it learned."
    rows = ["Rows never left their institution; what was added up travelled as sealed sums.", sentence]
    return Section("Privacy", rows, facts=facts)


def _limits(model: Model) -> Section:
    sentences = [
        "It knows the customers who had consented at these institutions at the time; others may differ.",
        "It says what went together, not what causes what; a decision about a person needs a person.",
        f"It looks at {', '.join(model.columns)} with the units and meanings of the catalogue.",
    ]
    if model.categories:
        sentences.append("A category that is not listed counts as none of those listed.")
    return Section("Limits", sentences)


def _number(value: Any) -> str:
    """Six significant digits."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{float(value):.6g}"
