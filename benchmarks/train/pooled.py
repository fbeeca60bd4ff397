"""All rows in one place: the train kind's own code without sealing or network, and LightGBM on the same task."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.train.data import LABEL
from consortia_common.content import Content
from consortia_common.documents.fitted import Model
from consortia_common.documents.jobspec import JobSpec
from consortia_common.models.predict import predict
from consortia_node.kinds import OVER, steps_of
from tests.support.work import PlainWork

Columns = Mapping[str, Any]


@dataclass(frozen=True)
class Spent:
    """What a fit took: seconds by the clock and of the processors."""

    seconds: float
    processor: float


def fit(spec: JobSpec, columns: Columns, test: Columns) -> tuple[Spent, Model]:
    """The model: every step that a party takes, on all rows, what it adds being the total."""
    parameters: Any = spec.parameters
    work = PlainWork(spec, spec.parties[0], {parameters.dataset: columns, parameters.test_dataset: test})
    steps = steps_of(spec.kind)
    watch = _watch()
    for turn in parameters.turns(spec.parties[0]):
        if turn.optional and OVER in work.values:
            continue
        work.turn = turn.round
        outcome = steps[turn.step].run(work, Content())
        if outcome.summand is not None:
            work.totals[turn.gives, turn.round] = work.summand(turn.gives, outcome.summand, turn.round)
    return watch(), Model.from_value(dict(outcome.result or {})["model"], "the benchmark's model")


def lightgbm_fit(model: Mapping[str, Any], columns: Columns, test: Columns) -> tuple[Spent, float]:
    """LightGBM's, with its own binning, on all cores; and the AUC on ``test``."""
    features = [name for name in columns if name != LABEL]
    settings = {
        "objective": "binary",
        "num_leaves": 1 << model["depth"],
        "max_depth": model["depth"],
        "max_bin": model["bins"],
        "learning_rate": 0.1,
        "lambda_l2": 1.0,
        "min_data_in_leaf": 20,
        "min_sum_hessian_in_leaf": 0.001,
        "num_threads": os.cpu_count(),
        "verbose": -1,
    }
    rows = np.column_stack([columns[name] for name in features])
    watch = _watch()
    found = lightgbm.train(settings, lightgbm.Dataset(rows, columns[LABEL]), model["trees"])
    spent = watch()
    scores = found.predict(np.column_stack([test[name] for name in features]))
    return spent, float(roc_auc_score(test[LABEL], scores))


def auc(model: Model, test: Columns) -> float:
    """On ``test``."""
    return float(roc_auc_score(test[LABEL], predict(model, {name: test[name] for name in model.columns})))


def _watch() -> Callable[[], Spent]:
    """What is spent from now on."""
    seconds, processor = time.perf_counter(), time.process_time()
    return lambda: Spent(time.perf_counter() - seconds, time.process_time() - processor)
