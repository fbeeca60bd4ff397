"""Training: the banks together find the model that plain federated averaging over their rows finds."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from consortia_common.documents.kinds.train import Parameters
from consortia_common.documents.model import LinearModel, logit
from consortia_crypto.errors import SumError
from consortia_node.errors import StepError
from consortia_node.kinds.train import STEPS
from consortia_node.logistic import Training, descend
from tests.support.consortium import BANKS, spec
from tests.support.work import Banks

ROUNDS = 4
FEATURES = ("income", "age")


def made(rows: int, seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    income, age = np.round(generator.gamma(4, 800, rows), 2), generator.integers(20, 80, rows).astype(float)
    risk = 1 / (1 + np.exp((income - 3000) / 900 + (age - 45) / 20))
    return {"income": income, "age": age, "default": (generator.random(rows) < risk).astype(float)}


def banks(tables: Mapping[str, Any] | None = None, **parameters: Any) -> Banks:
    sizes = dict(zip(BANKS, (60, 200, 120), strict=True))
    tables = tables or {
        bank: {"clients": made(rows, rows), "clients_test": made(rows, rows + 1)} for bank, rows in sizes.items()
    }
    return Banks(spec("train", rounds=ROUNDS, **parameters), tables)


def run(of: Banks) -> Mapping[str, Any]:
    """The steps as the coordinator asks them."""
    of.add("query.moments")
    for turn in range(1, ROUNDS + 1):
        of.add("train", turn)
    if next(iter(of.works.values())).spec.parameters.test_dataset:
        of.add("evaluate")
    return of.results()[0]


def directly(of: Banks, dataset: str = "clients") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means, deviations and the model of federated averaging in plain numpy."""
    works = of.works.values()
    asked: Any = next(iter(works)).spec.parameters
    tables = [work.matrix(dataset, (*FEATURES, "default")) for work in works]
    everybody = np.concatenate(tables)[:, :2]
    means, scales = everybody.mean(axis=0), everybody.std(axis=0, ddof=1)
    training = Training(asked.local_steps, float(asked.learning_rate), float(asked.l2))
    model = np.zeros(3)
    for _ in range(ROUNDS):
        fitted = [descend(model, (table[:, :2] - means) / scales, table[:, 2], training) for table in tables]
        clipped = [np.clip(each - model, -float(asked.clip), float(asked.clip)) for each in fitted]
        model = model + np.average(clipped, axis=0, weights=[len(table) for table in tables])
    return means, scales, model


def assert_is(found: Mapping[str, Any], expected: tuple[np.ndarray, ...], tolerance: float) -> None:
    means, scales, model = expected
    assert [float(x) for x in found["means"]] == pytest.approx(means, rel=1e-9)
    assert [float(x) for x in found["scales"]] == pytest.approx(scales, rel=1e-9)
    assert [*map(float, found["weights"]), float(found["bias"])] == pytest.approx(model, abs=tolerance)


@pytest.mark.parametrize(
    ("parameters", "tolerance"),
    [({"word_bits": 64}, 1e-9), ({}, 1e-7), ({"word_bits": 24}, 1e-4), ({"clip": "0.05"}, 1e-8)],
)
def test_together_the_banks_find_what_plain_averaging_finds(parameters: dict[str, Any], tolerance: float) -> None:
    together = banks(**parameters)
    result = run(together)
    assert (result["kind"], result["parties"], result["rows"]) == ("train", list(BANKS), 380)
    assert result["model"]["features"] == list(FEATURES)
    assert_is(result["model"], directly(together), tolerance)


def test_the_evaluation_is_that_of_all_test_rows() -> None:
    together = banks()
    result = run(together)
    tests = np.concatenate(
        [work.matrix("clients_test", (*FEATURES, "default")) for work in together.works.values()]
    )
    model = LinearModel.from_value(result["model"], "the result")
    scores = 1 / (1 + np.exp([-logit(model, row[:2]) for row in tests]))
    assert result["evaluation"]["rows"] == len(tests)
    assert result["evaluation"]["auc"] == pytest.approx(roc_auc_score(tests[:, 2], scores), abs=2e-4)
    assert result["evaluation"]["log_loss"] == pytest.approx(log_loss(tests[:, 2], scores), abs=1e-6)


def test_without_a_test_part_the_last_update_is_taken_in_at_the_end() -> None:
    together = banks(test_dataset=None)
    result = run(together)
    assert result["evaluation"] == {}
    assert_is(result["model"], directly(together), 1e-7)


def test_test_rows_of_one_label_have_no_area() -> None:
    tables = {
        bank: {"clients": made(50, 1), "clients_test": made(9, 2) | {"default": np.zeros(9)}} for bank in BANKS
    }
    result = run(banks(tables))
    assert result["evaluation"]["auc"] is None
    assert result["evaluation"]["rows"] == 27


def test_another_strategy_ends_elsewhere() -> None:
    plain, adaptive = run(banks()), run(banks(strategy={"name": "FedAdam", "settings": {"eta": "0.5"}}))
    assert plain["model"]["weights"] != adaptive["model"]["weights"]
    assert adaptive["evaluation"]["auc"] > 0.6


def test_a_feature_that_is_the_same_everywhere_does_no_harm() -> None:
    tables = {bank: {"clients": made(50, 1) | {"age": np.full(50, 40.0)}} for bank in BANKS}
    result = run(banks(tables, test_dataset=None))
    assert result["model"]["scales"][1] == "1.0"
    assert float(result["model"]["weights"][1]) == 0


def test_a_round_taken_again_from_the_state_before_it_seals_the_same() -> None:
    together = banks()
    together.add("query.moments")
    together.add("train", 1)
    kept = {name: dict(work.values) for name, work in together.works.items()}
    first = together.add("train", 2)
    for name, work in together.works.items():
        work.values = kept[name]
    again = together.add("train", 2)
    assert (first == again).all()


@pytest.mark.parametrize(
    ("change", "parameters", "why"),
    [
        ({"default": np.full(50, 2.0)}, {}, "label column of clients holds something other than 0 and 1"),
        ({"income": np.full(50, 1e9)}, {}, "most that fits with 3 decimals"),
        ({}, {"max_rows": 49}, "max_rows of 49"),
    ],
)
def test_rows_that_do_not_fit_the_spec_are_refused(change: Any, parameters: Any, why: str) -> None:
    together = banks({bank: {"clients": made(50, 1) | change} for bank in BANKS}, test_dataset=None, **parameters)
    with pytest.raises(StepError, match=why):
        run(together)


def test_an_update_that_is_not_finite_is_not_sealed() -> None:
    together = banks({bank: {"clients": made(50, 1)} for bank in BANKS}, test_dataset=None)
    together.add("query.moments")
    together.add("train", 1)
    for work in together.works.values():
        work.values["train.means"] = np.array([np.nan, 0.0]).tobytes()
    with pytest.raises(SumError, match="not a finite number"):
        together.add("train", 2)


@pytest.mark.parametrize("weight", [0, -5])
def test_a_sum_without_weight_is_refused(weight: int) -> None:
    together = banks()
    together.add("query.moments")
    hostile = together.add("train", 1)
    hostile[-1] = weight
    together.give("update", hostile, 1)
    with pytest.raises(StepError, match="total was refused"):
        together.add("train", 2)


def test_a_spec_s_turns_are_the_steps_that_there_are() -> None:
    parameters = spec("train", rounds=ROUNDS).parameters
    assert isinstance(parameters, Parameters)
    assert {turn.step for turn in parameters.turns(BANKS[0])} == set(STEPS)
