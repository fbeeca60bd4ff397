"""Training: the banks together find the model that the same method finds on all rows in one place."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor
from sklearn.metrics import log_loss, roc_auc_score

from consortia_common.documents.fitted import Model
from consortia_common.documents.kinds.train import Parameters
from consortia_common.errors import DocumentError
from consortia_common.models.predict import predict
from consortia_node.errors import StepError
from consortia_node.kinds.train import STEPS
from consortia_node.learning import rows
from tests.support.fits import (
    FEATURES,
    LOGISTIC,
    NETWORK,
    SIZES,
    TREES,
    banks,
    made,
    pooled,
    run,
    standard,
    weights,
)
from tests.support.specs import BANKS, spec


@pytest.mark.parametrize(
    ("model", "label", "reference"),
    [
        (LOGISTIC, "default", LogisticRegression(C=np.inf, tol=1e-12, max_iter=9999)),
        (LOGISTIC | {"l2": "0.01"}, "default", LogisticRegression(C=1 / 3.8, tol=1e-12, max_iter=9999)),
        (
            LOGISTIC | {"class_weight": "balanced"},
            "default",
            LogisticRegression(C=np.inf, tol=1e-12, max_iter=9999, class_weight="balanced"),
        ),
        ({"type": "linear_regression", "l2": "0", "rounds": 2}, "loss", LinearRegression()),
        ({"type": "poisson_regression", "l2": "0"}, "calls", PoissonRegressor(alpha=0, tol=1e-12, max_iter=9999)),
    ],
)
def test_a_regression_is_the_pooled_one_to_six_digits(model: Mapping[str, Any], label: str, reference: Any) -> None:
    together = banks(model, label=label)
    result = run(together)
    found = reference.fit(standard(together), pooled(together, label))
    assert weights(result) == pytest.approx(
        [*np.ravel(found.coef_), *np.ravel(found.intercept_)], abs=1e-6, rel=1e-6
    )
    assert result["training"]["converged"]
    assert result["rows"] == 380


def test_an_unpenalised_fit_says_how_sure_it_is() -> None:
    together = banks({"type": "linear_regression", "l2": "0", "rounds": 2}, label="loss")
    said = run(together)["model"]["fit"]["coefficients"]
    design = np.column_stack([*(pooled(together, name) for name in FEATURES), np.ones(380)])
    value, residual, _, _ = np.linalg.lstsq(design, pooled(together, "loss"), rcond=None)
    errors = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * residual[0] / (380 - 3))
    assert [one["name"] for one in said] == [*FEATURES, "intercept"]
    assert [float(one["value"]) for one in said] == pytest.approx(value, rel=1e-6)
    assert [float(one["error"]) for one in said] == pytest.approx(errors, rel=1e-6)
    assert all(float(one["low"]) < float(one["value"]) < float(one["high"]) for one in said)


def test_a_penalised_fit_does_not_pretend_to_be_sure() -> None:
    assert run(banks(LOGISTIC | {"l2": "0.01"}))["model"]["fit"]["coefficients"] == []


@pytest.mark.parametrize(
    "model",
    [
        TREES,
        TREES | {"growth": "leaf", "leaves": 5},
        TREES | {"monotone": {"age": "falling"}},
        TREES | {"feature_share": "0.5"},
    ],
)
def test_trees_are_the_pooled_ones_split_for_split(model: Mapping[str, Any]) -> None:
    """Whose rows they are makes no difference: one bank with all rows gets the same trees."""
    apart = banks(model, features=["income", "age", "branch"], categories={"branch": ["north", "south"]})
    everything = {name: pooled(apart, name) for name in made(1, 1)}
    nothing = {name: column[:0] for name, column in everything.items()}
    tests = {bank: work.tables["clients_test"] for bank, work in apart.works.items()}
    rows = dict(zip(BANKS, (everything, nothing, nothing), strict=True))
    tables = {bank: {"clients": rows[bank], "clients_test": tests[bank]} for bank in BANKS}
    together = banks(model, tables, features=["income", "age", "branch"], categories={"branch": ["north", "south"]})
    assert run(apart)["model"]["fit"] == run(together)["model"]["fit"]


def parted(seed: int) -> dict[str, Any]:
    """Rows whose income gives their label away."""
    age = np.random.default_rng(seed).normal(size=40).round(3)
    return {"income": np.repeat([1.0, 2.0], 20), "age": age, "default": np.repeat([0.0, 1.0], 20)}


def test_trees_learn_what_a_line_cannot() -> None:
    def ring(seed: int) -> dict[str, Any]:
        generator = np.random.default_rng(seed)
        x, y = generator.normal(size=(2, 400)).round(3)
        return {"income": x, "age": y, "default": (x * x + y * y > 1.4).astype(float)}

    tables = {bank: {"clients": ring(i), "clients_test": ring(i + 9)} for i, bank in enumerate(BANKS)}
    line, trees = (
        run(banks(LOGISTIC | {"l2": "0.01"}, tables)),
        run(banks(TREES | {"trees": 20}, tables, max_rows=1000)),
    )
    assert line["evaluation"]["auc"] < 0.6
    assert trees["evaluation"]["auc"] > 0.95


def test_rows_taken_some_at_a_time_make_the_same_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(banks(LOGISTIC))["model"]["fit"]["weights"]
    monkeypatch.setattr(rows, "_BLOCK", 7)
    assert [float(one) for one in run(banks(LOGISTIC))["model"]["fit"]["weights"]] == pytest.approx(
        [float(one) for one in whole], rel=1e-9
    )


def test_trees_that_answer_every_row_to_the_last_bit_stay_finite() -> None:
    """No curvature is left then, and with l2 = 0 nothing else to divide by."""
    tables = {
        bank: {part: parted(place) for part in ("clients", "clients_test")} for place, bank in enumerate(BANKS)
    }
    asked = TREES | {"trees": 30, "learning_rate": "1", "l2": "0", "min_hessian": "0", "min_rows": 1}
    assert run(banks(asked, tables, max_rows=1000))["evaluation"]["auc"] == 1


def test_along_a_monotone_feature_the_answer_only_falls() -> None:
    result = run(banks(TREES | {"trees": 10, "monotone": {"income": "falling"}}))
    model = Model.from_value(result["model"], "the result")
    incomes = np.linspace(0, 8000, 400)
    answers = predict(model, {"income": incomes, "age": np.full(400, 50.0)})
    assert (np.diff(answers) <= 1e-12).all()
    assert answers[0] > answers[-1]


@pytest.mark.parametrize("model", [LOGISTIC, TREES, NETWORK])
def test_an_institution_without_rows_takes_part_with_nothing(model: Mapping[str, Any]) -> None:
    tables = {bank: {"clients": made(SIZES[bank], 1), "clients_test": made(50, 2)} for bank in BANKS}
    empty = {part: {name: column[:0] for name, column in table.items()} for part, table in tables[BANKS[0]].items()}
    result = run(banks(model, tables | {BANKS[0]: empty}))
    assert result["rows"] == sum(SIZES[bank] for bank in BANKS[1:])
    assert result["evaluation"]["rows"] == 100
    assert result["evaluation"]["auc"] > 0.6


def test_missing_values_have_a_place() -> None:
    def holes(bank: str) -> dict[str, Any]:
        table = made(SIZES[bank], 5)
        income = [None if row % 4 == 0 else float(value) for row, value in enumerate(table["income"])]
        return table | {"income": income}

    tables = {bank: {"clients": holes(bank), "clients_test": holes(bank)} for bank in BANKS}
    for model in (LOGISTIC, TREES, NETWORK):
        assert run(banks(model, tables))["evaluation"]["auc"] > 0.6


@pytest.mark.parametrize("encoding", ["one_hot", "weight_of_evidence"])
def test_categories_become_numbers_and_strangers_count_as_none(encoding: str) -> None:
    together = banks(
        LOGISTIC | {"l2": "0.001"},
        features=["income", "branch"],
        categories={"branch": ["north", "south"]},
        encoding=encoding,
    )
    result = run(together)
    model = Model.from_value(result["model"], "the result")
    answers = predict(model, {"income": np.full(3, 3000.0), "branch": np.array([0.0, 1.0, np.nan])})
    assert np.isfinite(answers).all()
    assert len(set(answers)) == 3
    assert model.columns == ("income", "branch")


def test_columns_are_prepared_as_the_spec_says() -> None:
    together = banks(LOGISTIC, prepare={"income": {"log1p": True, "low": "100", "high": "9000"}})
    result = run(together)
    shaped = np.log1p(np.clip(pooled(together, "income"), 100, 9000))
    described = result["model"]["inputs"][0]
    assert float(described["mean"]) == pytest.approx(shaped.mean(), abs=1e-3)
    assert (described["log1p"], described["low"], described["high"]) == (True, "100", "9000")


@pytest.mark.parametrize("model", [LOGISTIC, TREES, NETWORK | {"hidden": [4]}])
def test_the_model_answers_as_it_did_in_the_test(model: Mapping[str, Any]) -> None:
    together = banks(model)
    result = run(together)
    document = Model.from_value(result["model"], "the result")
    answers = predict(document, {name: pooled(together, name, "clients_test") for name in FEATURES})
    labels = pooled(together, "default", "clients_test")
    assert result["evaluation"]["rows"] == len(labels)
    assert result["evaluation"]["auc"] == pytest.approx(roc_auc_score(labels, answers), abs=5e-4)
    assert result["evaluation"]["log_loss"] == pytest.approx(log_loss(labels, answers), abs=1e-5)
    assert Model.from_canonical(document.canonical(), "again") == document


def test_the_test_of_numbers_has_their_errors() -> None:
    together = banks({"type": "linear_regression", "l2": "0"}, label="loss")
    result = run(together)
    model = Model.from_value(result["model"], "the result")
    answers = predict(model, {name: pooled(together, name, "clients_test") for name in FEATURES})
    errors = answers - pooled(together, "loss", "clients_test")
    assert result["evaluation"]["rmse"] == pytest.approx(float(np.sqrt(np.mean(errors**2))), rel=1e-6)
    assert result["evaluation"]["mae"] == pytest.approx(float(np.mean(np.abs(errors))), rel=1e-6)
    assert 0.5 < result["evaluation"]["r2"] < 1


def test_test_rows_of_one_label_have_no_area() -> None:
    tables = {
        bank: {"clients": made(50, 1), "clients_test": made(9, 2) | {"default": np.zeros(9)}} for bank in BANKS
    }
    result = run(banks(NETWORK, tables))
    assert result["evaluation"]["auc"] is None
    assert result["evaluation"]["rows"] == 27


def test_without_a_test_part_the_last_round_is_taken_in_at_the_end() -> None:
    with_test, without = run(banks()), run(banks(test_dataset=None))
    assert without["evaluation"] == {}
    assert without["model"]["fit"] == with_test["model"]["fit"]


@pytest.mark.parametrize(
    "strategy",
    [
        {"name": "FedAdam", "settings": {"eta": "0.5"}},
        {"name": "FedAvgM", "settings": {"server_momentum": "0.5"}},
        {"name": "FedProx", "settings": {"proximal_mu": "1"}},
    ],
)
def test_another_strategy_ends_elsewhere(strategy: Mapping[str, Any]) -> None:
    plain, other = run(banks()), run(banks(NETWORK | {"strategy": strategy}))
    assert plain["model"]["fit"] != other["model"]["fit"]
    assert other["evaluation"]["auc"] > 0.6


@pytest.mark.parametrize("name", ["Krum", "FedMedian"])
def test_a_strategy_that_looks_at_single_updates_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(DocumentError, match="compares single institutions' updates"):
        banks(NETWORK | {"strategy": {"name": name}})


def test_a_feature_that_is_the_same_everywhere_does_no_harm() -> None:
    tables = {bank: {"clients": made(50, 1) | {"age": np.full(50, 40.0)}} for bank in BANKS}
    for model in (LOGISTIC | {"l2": "0.001"}, TREES, NETWORK):
        assert run(banks(model, tables, test_dataset=None))["rows"] == 150


def test_features_that_follow_from_one_another_are_named_as_the_reason() -> None:
    tables = {bank: {"clients": (table := made(50, 1)) | {"age": table["income"] * 2}} for bank in BANKS}
    with pytest.raises(StepError, match="can't be told apart"):
        run(banks(LOGISTIC, tables, test_dataset=None))


def test_a_bank_without_rows_takes_part_with_nothing() -> None:
    empty = {name: column[:0] for name, column in made(1, 1).items()}
    tables = {bank: {"clients": made(80, i)} for i, bank in enumerate(BANKS)} | {BANKS[0]: {"clients": empty}}
    for model in (LOGISTIC, TREES, NETWORK):
        assert run(banks(model, tables, test_dataset=None))["rows"] == 160


@pytest.mark.parametrize("model", [LOGISTIC, TREES, NETWORK])
def test_a_round_taken_again_from_the_state_before_it_gives_the_same(model: Mapping[str, Any]) -> None:
    together = banks(model)
    turns = together.spec.parameters.turns(BANKS[0])
    first = next(place for place, turn in enumerate(turns) if turn.step == "train")
    for turn in turns[: first + 1]:
        together.add(turn.step, turn.round)
    kept = {name: dict(work.values) for name, work in together.works.items()}
    once = together.add("train", 2)
    for name, work in together.works.items():
        work.values = kept[name]
    assert (once == together.add("train", 2)).all()


@pytest.mark.parametrize(
    ("change", "parameters", "why"),
    [
        ({"default": np.full(50, 2.0)}, {}, "label column of clients holds something other than 0 and 1"),
        ({"default": [None, *[1.0] * 49]}, {}, "label of clients is missing in 1 rows"),
        ({"default": np.ones(50)}, {}, "all 150 rows of all parties have one label"),
        ({"income": np.full(50, 1e9)}, {}, "most that fits with 3 decimals"),
        ({"income": [None] * 50}, {}, "income is missing in all rows"),
        ({name: [] for name in made(1, 1)}, {}, "there is no row of any party"),
        ({"income": np.full(50, np.inf)}, {}, "infinite values"),
        ({"income": ["many"] * 50}, {}, "no numbers"),
        ({"calls": np.zeros(50)}, {"weight": "calls"}, "not above 0"),
        (
            {"loss": np.full(50, -1.0)},
            {"label": "loss", "model": {"type": "poisson_regression"}},
            "other than counts",
        ),
        ({}, {"max_rows": 49}, "max_rows of 49"),
    ],
)
def test_rows_that_do_not_fit_the_spec_are_refused(change: Any, parameters: Any, why: str) -> None:
    model = parameters.pop("model", LOGISTIC)
    together = banks(
        model, {bank: {"clients": made(50, 1) | change} for bank in BANKS}, test_dataset=None, **parameters
    )
    with pytest.raises(StepError, match=why):
        run(together)


@pytest.mark.parametrize("model", [LOGISTIC, TREES, NETWORK])
def test_a_spec_s_turns_are_steps_that_there_are(model: Mapping[str, Any]) -> None:
    parameters = banks(model).spec.parameters
    assert isinstance(parameters, Parameters)
    assert {turn.step for turn in parameters.turns(BANKS[0])} <= set(STEPS)


@pytest.mark.parametrize(
    ("parameters", "mistake"),
    [
        ({"features": ["income", "income"]}, "named twice"),
        ({"features": ["income", "default"]}, "also a feature"),
        ({"test_dataset": "clients"}, "fitted to"),
        ({"categories": {"branch": ["north"]}}, "none of the features"),
        ({"prepare": {"income": {"low": "2", "high": "1"}}}, "low must be below high"),
        ({"model": TREES | {"monotone": {"branch": "rising"}}}, "not one of the features"),
        ({"model": TREES | {"trees": 2000, "depth": 10, "growth": "leaf"}}, "more than 20000 rounds"),
        ({"model": {"type": "linear_regression", "class_weight": "balanced"}, "label": "loss"}, "has classes"),
        ({"model": {"type": "oracle"}}, "the type must be one of"),
    ],
)
def test_a_spec_s_mistakes_are_named(parameters: Any, mistake: str) -> None:
    with pytest.raises(DocumentError, match=mistake):
        spec("train", **parameters)
