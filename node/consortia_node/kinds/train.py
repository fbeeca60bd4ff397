"""``train`` at the institution: standardise by federated moments, descend locally, seal the update, open the sum.

Every institution opens the same sums and takes the same server step, so all hold the same model after each round
without telling anybody. An update is summed as its weighted difference from the model of the round; the last
value is the weight itself, rows relative to the spec's public ``max_rows``.
"""

import math
from collections.abc import Mapping
from typing import cast

import numpy as np

from consortia_common.content import Content
from consortia_common.documents.kinds.train import SCORE_BINS, Parameters
from consortia_common.documents.model import LinearModel
from consortia_node.errors import StepError, TotalRefusedError
from consortia_node.kinds import Floats, Integers, Outcome, Step, Work
from consortia_node.logistic import (
    LOSS_UNIT,
    Training,
    area_under_curve,
    descend,
    histogram,
    loss_words,
    probabilities,
)
from consortia_node.moments import fixed_point, moment_words, moments, rounded

_MEANS, _SCALES, _MODEL, _ROWS = "train.means", "train.scales", "train.model", "train.rows"


def sum_moments(work: Work, request: Content) -> Outcome:
    """The number of rows and the moments of every feature, to be summed."""
    del request
    parameters = _parameters(work)
    features = work.matrix(parameters.dataset, parameters.features)
    words = moment_words(fixed_point(features, parameters.decimals))
    return Outcome(summand=np.concatenate([[len(features)], words]))


def train(work: Work, request: Content) -> Outcome:
    """Take in the last sum, descend on the institution's own rows; the update is to be summed."""
    del request
    parameters = _parameters(work)
    if work.turn == 1:
        _standardise(work)
    else:
        _take_in(work, work.turn - 1)
    features, labels = _rows(work, parameters.dataset)
    model = _vector(work, _MODEL)
    training = Training(parameters.local_steps, float(parameters.learning_rate), float(parameters.l2))
    update = descend(model, features, labels, training) - model
    return Outcome(summand=_weighted(work, update, len(labels)))


def evaluate(work: Work, request: Content) -> Outcome:
    """Take in the last update; histograms of the test part's scores are to be summed."""
    del request
    _take_in(work, _parameters(work).rounds)
    features, labels = _rows(work, str(_parameters(work).test_dataset))
    scores = probabilities(_vector(work, _MODEL), features)
    words = np.append(histogram(scores, labels, SCORE_BINS), loss_words(scores, labels))
    return Outcome(summand=words)


def conclude(work: Work, request: Content) -> Outcome:
    """The result: the model, and how it did on all test parts together."""
    del request
    evaluation: dict[str, object] = {}
    if _parameters(work).test_dataset:
        evaluation = _evaluation(work.total("evaluation"))
    else:
        _take_in(work, _parameters(work).rounds)
    return Outcome(
        result={
            "kind": "train",
            "parties": list(work.spec.parties),
            "rows": int(_vector(work, _ROWS)[0]),
            "model": _document(work),
            "evaluation": evaluation,
        }
    )


def _evaluation(total: Integers) -> dict[str, object]:
    """How the model did; ``auc`` is null where all test rows have one label, since then there is none."""
    rows, area = int(total[:-1].sum()), area_under_curve(total[:-1])
    if rows <= 0 or (total[:-1] < 0).any():
        raise TotalRefusedError("the histograms of the test scores hold counts that no rows can have")
    return {
        "rows": rows,
        "auc": None if math.isnan(area) else rounded(area),
        "log_loss": rounded(int(total[-1]) / LOSS_UNIT / rows),
    }


def _standardise(work: Work) -> None:
    """Take in the moments; start from a model of zeros."""
    parameters = _parameters(work)
    words = work.total("moments")
    found = moments(int(words[0]), words[1:], parameters.decimals)
    _keep(work, _ROWS, np.array([float(words[0])]))
    _keep(work, _MEANS, np.array([item.mean for item in found]))
    _keep(work, _SCALES, np.array([item.deviation or 1.0 for item in found]))
    _keep(work, _MODEL, np.zeros(len(parameters.features) + 1))


def _take_in(work: Work, turn: int) -> None:
    """Take the strategy's server step with the weighted mean of round ``turn``'s updates."""
    total = work.real_total("update", turn)
    weight = float(total[-1])
    if weight <= 0:
        raise TotalRefusedError("the sum of the updates' weights is not positive")
    _keep(work, _MODEL, work.server_step(_vector(work, _MODEL), total[:-1] / weight))


def _weighted(work: Work, update: Floats, rows: int) -> Floats:
    parameters = _parameters(work)
    if rows > parameters.max_rows:
        raise StepError(
            f"there are more rows with consent here than the spec's max_rows of {parameters.max_rows}",
            blame="the job spec",
            remedy="submit the job again with a larger max_rows",
        )
    clip, weight = float(parameters.clip), rows / parameters.max_rows
    bounded = np.clip(update, -clip, clip) if np.isfinite(update).all() else update
    return np.append(weight * bounded, weight)


def _rows(work: Work, dataset: str) -> tuple[Floats, Floats]:
    parameters = _parameters(work)
    table = work.matrix(dataset, (*parameters.features, parameters.label))
    labels = table[:, -1]
    if not np.isin(labels, (0.0, 1.0)).all():
        raise StepError(
            f"the label column of {dataset} holds something other than 0 and 1",
            blame="this institution's dataset",
            remedy="prepare the column so that it is 1 where the event happened and 0 elsewhere",
        )
    return (table[:, :-1] - _vector(work, _MEANS)) / _vector(work, _SCALES), labels


def _document(work: Work) -> dict[str, object]:
    model = [rounded(value) for value in _vector(work, _MODEL)]
    return LinearModel.from_numbers(
        _parameters(work).features,
        model[:-1],
        model[-1],
        [rounded(value) for value in _vector(work, _MEANS)],
        [rounded(value) for value in _vector(work, _SCALES)],
    ).model_dump(mode="json")


def _keep(work: Work, name: str, vector: Floats) -> None:
    work.values[name] = vector.astype("<f8").tobytes()


def _vector(work: Work, name: str) -> Floats:
    return np.frombuffer(work.values[name], "<f8").astype(np.float64)


def _parameters(work: Work) -> Parameters:
    return cast("Parameters", work.spec.parameters)


STEPS: Mapping[str, Step] = {
    "query.moments": Step(sum_moments, reads=True),
    "train": Step(train, reads=True),
    "evaluate": Step(evaluate, reads=True),
    "query.conclude": Step(conclude),
}
