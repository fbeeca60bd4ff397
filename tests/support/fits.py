"""Fits of three banks in one process, with their sums in plain sight."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.support.specs import BANKS, spec
from tests.support.work import Banks

FEATURES = ("income", "age")
SIZES = dict(zip(BANKS, (60, 200, 120), strict=True))
LOGISTIC = {"type": "logistic_regression", "l2": "0"}
TREES = {"type": "boosted_trees", "trees": 3, "depth": 3, "min_rows": 5}
NETWORK = {"type": "neural_network", "hidden": [], "rounds": 4, "epochs": 3, "batch": None, "learning_rate": "0.5"}


def made(rows: int, seed: int) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    income, age = np.round(generator.gamma(4, 800, rows), 2), generator.integers(20, 80, rows).astype(float)
    margin = -(income - 3000) / 900 - (age - 45) / 20
    return {
        "income": income,
        "age": age,
        "branch": generator.choice(["north", "south", "elsewhere"], rows),
        "default": (generator.random(rows) < 1 / (1 + np.exp(-margin))).astype(float),
        "loss": np.round(100 * margin + generator.normal(0, 30, rows), 2),
        "calls": generator.poisson(np.exp(margin / 3)).astype(float),
    }


def banks(model: Mapping[str, Any] | None = None, tables: Any = None, **parameters: Any) -> Banks:
    tables = tables or {
        bank: {"clients": made(rows, rows), "clients_test": made(rows, rows + 1)} for bank, rows in SIZES.items()
    }
    return Banks(spec("train", model=dict(model or NETWORK), **parameters), tables)


def run(of: Banks) -> Mapping[str, Any]:
    """The steps as the coordinator asks them."""
    for turn in of.spec.parameters.turns(BANKS[0])[:-1]:
        of.add(turn.step, turn.round)
    return of.results()[0]


def pooled(of: Banks, column: str, dataset: str = "clients") -> Any:
    return np.concatenate([np.asarray(work.tables[dataset][column]) for work in of.works.values()])


def standard(of: Banks) -> np.ndarray:
    """All banks' features, standardised."""
    everybody = np.column_stack([pooled(of, name) for name in FEATURES])
    return (everybody - everybody.mean(axis=0)) / everybody.std(axis=0, ddof=1)


def weights(result: Mapping[str, Any]) -> list[float]:
    fit = result["model"]["fit"]
    return [*map(float, fit["weights"]), float(fit["intercept"])]
