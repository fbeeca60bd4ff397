"""What ``make bench-train`` measures, and how it is told."""

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import Figure, figure, show, store
from benchmarks.train import network, pooled
from benchmarks.train.kinds import PLAIN
from benchmarks.train.network import Size
from consortia_common.documents.fitted import Model
from tests.support.consortium import Consortium

TREES = {"type": "boosted_trees", "trees": 64, "depth": 6, "bins": 64}
LOGISTIC = {"type": "logistic_regression", "rounds": 30, "l2": "0"}
SMALL = Size(rows=8_000, features=23, customers=8_000, test_rows=3_000)
LARGE = Size(rows=1_000_000, features=30, customers=100_000, test_rows=10_000)
TIMES_LIGHTGBM, TIMES_PLAIN = 10.0, 1.5


def main(arguments: Sequence[str]) -> None:
    """Measure, print, store. ``--quick`` takes a tenth of the trees and a hundredth of the large table."""
    quick = "--quick" in arguments
    trees = TREES | {"trees": 6} if quick else TREES
    large = Size(10_000, 30, 1_000, 10_000) if quick else LARGE
    print(f"load of this machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder:
        with network.consortium(Path(folder) / "small", SMALL) as built:
            network.train(built, network.spec("train", SMALL, LOGISTIC))  # a first job, to warm everybody up
            figures = [*_trees(built, trees), *_sealed(built, SMALL, "24,000 × 23")]
        with network.consortium(Path(folder) / "large", large) as built:
            figures += _sealed(built, large, f"3 × {large.rows:,} × {large.features}")
            figures += _large_trees(built, large)
    print()
    show(figures, "joint", "against")
    print(f"stored in {store(figures, 'train')}")


def _trees(built: Consortium, model: Mapping[str, Any]) -> list[Figure]:
    asked = network.spec("train", SMALL, model)
    columns, test = (_pool(part) for part in zip(*(network.tables(SMALL, i) for i in range(3)), strict=True))
    _tell("LightGBM, and the same code, on pooled rows")
    pooled.fit(network.spec("train", SMALL, {**model, "trees": 1}), columns, test)  # whose imports don't count
    reference, their_auc = pooled.lightgbm_fit(model, columns, test)
    alone, made = pooled.fit(asked, columns, test)
    _tell(f"{model['trees']} trees at three banks")
    joint = network.train(built, asked)
    same = Model.from_value(joint.result["model"], "the result").fit == made.fit
    what = f"{model['trees']} trees of depth {model['depth']}, 24,000 × 23"
    return [
        _against(f"{what}, three banks, LightGBM pooled", joint.seconds, reference.seconds, TIMES_LIGHTGBM),
        _against("  the same code pooled, LightGBM pooled", alone.seconds, reference.seconds, TIMES_LIGHTGBM),
        _against("  the same in processor seconds", alone.processor, reference.processor, TIMES_LIGHTGBM),
        figure("  three banks, the same code pooled", joint.seconds, "s", alone.seconds),
        figure("  the models are one, split for split", float(same), "", None, "1", same),
        figure("  AUC, that of LightGBM", pooled.auc(made, test), "", their_auc),
        figure("  a round", joint.round * 1000, "ms"),
        figure("  rounds", joint.rounds, ""),
    ]


def _sealed(built: Consortium, size: Size, what: str) -> list[Figure]:
    _tell(f"logistic regression, {what}, with plain and with sealed sums")
    plain = network.train(built, network.spec(PLAIN, size, LOGISTIC))
    sealed = network.train(built, network.spec("train", size, LOGISTIC))
    round_ = f"a round of logistic regression, {what}, plain sums"
    return [
        _against(round_, sealed.round * 1000, plain.round * 1000, TIMES_PLAIN, "ms"),
        figure("  rounds a second", 1 / sealed.round, "1/s", 1 / plain.round),
        figure("  the whole job", sealed.seconds, "s", plain.seconds),
    ]


def _large_trees(built: Consortium, size: Size) -> list[Figure]:
    _tell(f"two trees, 3 × {size.rows:,}")
    done = network.train(built, network.spec("train", size, TREES | {"trees": 2}))
    return [figure(f"a level of a tree, 3 × {size.rows:,} × {size.features}", done.round * 1000, "ms")]


def _against(what: str, value: float, limit: float, times: float, unit: str = "s") -> Figure:
    """A figure that is to be at most so many times what it is measured against."""
    return figure(what, value, unit, limit, f"≤ {times:g} ×", value <= times * limit)


def _tell(what: str) -> None:
    print(f"· {time.strftime('%X')}  {what}", flush=True)


def _pool(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
