"""Evaluation: the measures of a model over all banks' rows are those that scikit-learn finds on the pooled ones."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from consortia_common.documents.model import LinearModel
from consortia_common.errors import DocumentError
from consortia_common.models.scorecard import as_model
from consortia_node.errors import StepError
from consortia_node.kinds.evaluate import STEPS
from tests.support.specs import BANKS, spec
from tests.support.work import Banks

MODEL = as_model(LinearModel.from_numbers(["income", "age"], [-1.2, -0.4], 0.1, [3000, 45], [1500, 17]))
NAME = "job-0123456789abcdef"


def made(rows: int, seed: int) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    income, age = np.round(generator.gamma(4, 800, rows), 2), generator.integers(20, 80, rows).astype(float)
    margin = -(income - 3000) / 1300 - (age - 45) / 30
    return {
        "income": income,
        "age": age,
        "default": (generator.random(rows) < 1 / (1 + np.exp(-margin))).astype(float),
        "region": generator.choice(["north", "south", "east"], rows),
    }


def banks(min_cell: int = 10, **parameters: Any) -> Banks:
    tables = {bank: {"clients": made(rows, rows)} for bank, rows in zip(BANKS, (300, 500, 90), strict=True)}
    of = Banks(spec("evaluate", **{"model_digest": MODEL.hash()} | parameters), tables, min_cell)
    for work in of.works.values():
        work.models = {NAME: MODEL}
    return of


def run(of: Banks) -> Mapping[str, Any]:
    of.add("evaluate")
    return of.results()[0]


def pooled(of: Banks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores and regions."""

    def column(name: str) -> np.ndarray:
        return np.concatenate([np.asarray(work.tables["clients"][name]) for work in of.works.values()])

    margin = -1.2 * (column("income") - 3000) / 1500 - 0.4 * (column("age") - 45) / 17 + 0.1
    return column("default"), 1 / (1 + np.exp(-margin)), column("region")


def test_measures_are_those_of_the_pooled_rows() -> None:
    of = banks(thresholds=["0.25", "0.5"])
    found = run(of)["overall"]
    labels, scores, _ = pooled(of)
    false, true, _ = metrics.roc_curve(labels, scores)
    assert found["rows"] == 890
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(labels, scores), abs=2e-4)
    assert found["ks"] == pytest.approx(float((true - false).max()), abs=5e-3)
    assert found["average_precision"] == pytest.approx(metrics.average_precision_score(labels, scores), abs=2e-3)
    assert found["log_loss"] == pytest.approx(metrics.log_loss(labels, scores), abs=1e-6)
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(labels, scores), abs=1e-6)
    for decided in found["decisions"]:
        matrix = metrics.confusion_matrix(labels, scores >= decided["threshold"])
        assert [decided[name] for name in ("true_negatives", "false_positives")] == matrix[0].tolist()
        assert [decided[name] for name in ("false_negatives", "true_positives")] == matrix[1].tolist()


def test_calibration_and_gains_are_those_of_the_pooled_rows() -> None:
    of = banks()
    found = run(of)["overall"]
    labels, scores, _ = pooled(of)
    for part in found["calibration"]:
        inside = (scores >= part["low"]) & (scores < part["high"])
        assert part["rows"] == (inside.sum() if inside.sum() >= 10 else None)
        if part["rows"]:
            assert part["share_of_ones"] == pytest.approx(labels[inside].mean())
    best = np.argsort(-scores)
    for part in found["gains"]:
        top = best[: round(part["share"] * len(labels))]
        assert part["gain"] == pytest.approx(labels[top].sum() / labels.sum(), abs=1e-9)
        assert part["lift"] == pytest.approx(part["gain"] / part["share"])


def test_groups_are_compared() -> None:
    of = banks(group="region", groups=["north", "south"])
    found = run(of)
    labels, scores, regions = pooled(of)
    for name, chosen in (("north", regions == "north"), ("other", regions == "east")):
        assert found["groups"][name]["rows"] == chosen.sum()
        rate = (scores[chosen] >= 0.5)[labels[chosen] == 1].mean()
        assert found["groups"][name]["decisions"][0]["true_positive_rate"] == pytest.approx(rate)
    selected = [(scores[regions == name] >= 0.5).mean() for name in ("north", "south", "east")]
    assert found["gaps"][0]["selected"] == pytest.approx(max(selected) - min(selected))


def test_a_small_group_is_not_told_nor_left_to_subtraction() -> None:
    of = banks(group="region", groups=["north", "south"])
    for work in of.works.values():
        work.tables["clients"]["region"] = np.array(
            ["north"] * 30 + ["south"] * (len(work.tables["clients"]["age"]) - 30)
        )
    of.works[BANKS[0]].tables["clients"]["region"][:3] = "east"
    found = run(of)
    assert found["groups"]["other"] is None
    assert found["groups"]["north"] is None
    assert found["groups"]["south"]["rows"] == 800


def test_each_party_may_keep_its_own() -> None:
    of = banks(own=True)
    (first, *_) = of.outcomes("evaluate", None)  # type: ignore[arg-type]
    assert b'"rows": 300' in first.files["evaluation.json"]


def test_too_few_rows_in_all_are_refused() -> None:
    with pytest.raises(StepError, match="fewer rows than the 1000"):
        run(banks(min_cell=1000))


@pytest.mark.parametrize(
    ("parameters", "why"),
    [({"model_digest": "0" * 64}, "is another than"), ({"features": ["income", "age", "region"]}, "other columns")],
)
def test_another_model_than_the_spec_means_is_refused(parameters: Mapping[str, Any], why: str) -> None:
    with pytest.raises(StepError, match=why):
        run(banks(**parameters))


@pytest.mark.parametrize(
    ("parameters", "mistake"),
    [
        ({"group": "region"}, "give both group and groups"),
        ({"group": "region", "groups": ["north"], "task": "number"}, "decisions about 0 and 1"),
        ({"groups": ["a", "a"], "group": "region"}, "named twice"),
        ({"thresholds": ["1.5"]}, "less than 1"),
        ({"label": "age"}, "also a feature"),
    ],
)
def test_a_spec_s_mistakes_are_named(parameters: Mapping[str, Any], mistake: str) -> None:
    with pytest.raises(DocumentError, match=mistake):
        banks(**parameters)


def test_a_spec_s_turns_are_steps_that_there_are() -> None:
    assert {turn.step for turn in banks().spec.parameters.turns(BANKS[0])} == set(STEPS)
