"""Regressions against statsmodels on the pooled rows: coefficients, errors, statistics, p-values and intervals."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import minimize

from consortia_node.errors import StepError
from tests.support.specs import BANKS, spec
from tests.support.work import Banks

FEATURES = ("income", "age", "debt")
FIELDS = ("value", "error", "statistic", "p_value", "low", "high")


def made(rows: int, seed: int) -> dict[str, Any]:
    chance = np.random.default_rng(seed)
    income, age = chance.gamma(4, 800, rows).round(2), chance.integers(20, 80, rows).astype(float)
    debt = (0.3 * income + chance.normal(0, 300, rows)).round(2)
    margin = -(income - 3000) / 1500 - (age - 45) / 30 + debt / 4000
    return {
        "income": income,
        "age": age,
        "debt": debt,
        "default": (chance.random(rows) < 1 / (1 + np.exp(-margin))).astype(float),
        "loss": (100 * margin + chance.normal(0, 30, rows)).round(2),
        "calls": chance.poisson(np.exp(margin / 3)).astype(float),
        "weight": chance.integers(1, 5, rows).astype(float),
    }


def banks(change: Mapping[str, Any] | None = None, **parameters: Any) -> Banks:
    sizes = zip(BANKS, (80, 260, 140), strict=True)
    tables = {bank: {"clients": made(rows, rows) | dict(change or {})} for bank, rows in sizes}
    chosen: dict[str, Any] = {"features": list(FEATURES), "test_dataset": None} | parameters
    return Banks(spec("train", **chosen), tables)


def run(of: Banks) -> Mapping[str, Any]:
    for turn in of.spec.parameters.turns(BANKS[0])[:-1]:
        of.add(turn.step, turn.round)
    return of.results()[0]


def pooled(of: Banks, column: str) -> Any:
    return np.concatenate([np.asarray(work.tables["clients"][column]) for work in of.works.values()])


def design(of: Banks) -> np.ndarray:
    return np.column_stack([*(pooled(of, name) for name in FEATURES), np.ones(480)])


FAMILIES = {
    "linear_regression": ("loss", sm.families.Gaussian()),
    "logistic_regression": ("default", sm.families.Binomial()),
    "poisson_regression": ("calls", sm.families.Poisson()),
}


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize("weighted", [False, True])
def test_inference_is_that_of_statsmodels(model: str, weighted: bool) -> None:
    """Weights are numbers of rows, as statsmodels' ``freq_weights``, but for the degrees of freedom of a t-test."""
    label, family = FAMILIES[model]
    of = banks(model={"type": model, "l2": "0", "rounds": 25}, label=label, weight="weight" if weighted else None)
    said = run(of)["model"]["fit"]["coefficients"]
    rows, target = design(of), pooled(of, label)
    weights = pooled(of, "weight") if weighted else np.ones(len(rows))
    if model == "linear_regression":
        reference = sm.WLS(target, rows, weights).fit()
    else:
        reference = sm.GLM(target, rows, family=family, freq_weights=weights).fit(tol=1e-14, maxiter=200)
    low, high = np.asarray(reference.conf_int()).T
    expected = (reference.params, reference.bse, reference.tvalues, reference.pvalues, low, high)
    for field, numbers in zip(FIELDS, expected, strict=True):
        assert [float(one[field]) for one in said] == pytest.approx(np.asarray(numbers), rel=1e-6, abs=1e-9), field


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_penalised_fit_is_the_lowest_point_of_the_penalised_loss(model: str, weighted: bool) -> None:
    """Found by a general minimiser on the pooled, standardised rows: ½·mean deviance + l2/2·‖w‖²."""
    label, family = FAMILIES[model]
    of = banks(
        model={"type": model, "l2": "0.05", "rounds": 25}, label=label, weight="weight" if weighted else None
    )
    fit = run(of)["model"]["fit"]
    everybody, target = design(of)[:, :-1], pooled(of, label)
    weights = pooled(of, "weight") if weighted else np.ones(480)
    rows = np.column_stack([(everybody - everybody.mean(axis=0)) / everybody.std(axis=0, ddof=1), np.ones(480)])

    def slope(found: np.ndarray) -> np.ndarray:
        error = family.link.inverse(rows @ found) - target
        return rows.T @ (weights * error) / weights.sum() + 0.05 * np.append(found[:-1], 0)

    def loss(found: np.ndarray) -> float:
        deviance = family.deviance(target, family.link.inverse(rows @ found), freq_weights=weights)
        return float(deviance / weights.sum() / 2 + 0.05 / 2 * found[:-1] @ found[:-1])

    lowest = minimize(loss, np.zeros(4), jac=slope, method="BFGS", options={"gtol": 1e-10}).x
    assert [*map(float, fit["weights"]), float(fit["intercept"])] == pytest.approx(lowest, rel=1e-5, abs=1e-6)
    assert fit["coefficients"] == []


def test_separable_classes_do_not_pretend_to_have_converged() -> None:
    """Coefficients run away: there is no error to tell, and the result says that the fit has not converged."""
    sizes = dict(zip(BANKS, (80, 260, 140), strict=True))
    tables = {
        bank: {"clients": (rows := made(size, size)) | {"default": (rows["income"] > 3000) * 1.0}}
        for bank, size in sizes.items()
    }
    asked = spec("train", model={"type": "logistic_regression", "l2": "0", "rounds": 12}, test_dataset=None)
    of = Banks(asked, tables)
    result = run(of)
    assert not result["training"]["converged"]
    assert result["model"]["fit"]["coefficients"] == []


def test_separable_classes_have_a_penalised_fit() -> None:
    of = banks({}, model={"type": "logistic_regression", "l2": "0.01", "rounds": 25})
    for work in of.works.values():
        clients = dict(work.tables["clients"])
        work.tables = {"clients": clients | {"default": (clients["income"] > 3000) * 1.0}}
    assert run(of)["training"]["converged"]


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize("spoil", ["collinear", "constant"])
def test_columns_that_say_nothing_new(model: str, spoil: str) -> None:
    """Refused by name of the reason without a penalty, fitted with one."""
    label, _ = FAMILIES[model]
    for penalty in ("0", "0.01"):
        of = banks(model={"type": model, "l2": penalty, "rounds": 25}, label=label)
        for work in of.works.values():
            clients = dict(work.tables["clients"])
            debt = 2 * clients["income"] + 3 if spoil == "collinear" else np.full(len(clients["income"]), 7.0)
            work.tables = {"clients": clients | {"debt": debt}}
        if penalty == "0":
            with pytest.raises(StepError, match="can't be told apart"):
                run(of)
        else:
            assert run(of)["training"]["converged"]
