"""Three kinds of model from the three banks, beside the pooled fits that nobody may make in life.

    python -m examples.credit_risk.models [--folder .demo-models]

The network, customers and promises are the demo's; each training is approved by the banks' officers. The pooled
fits are scikit-learn's, with the settings of the specs, on all rows with consent.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier

from consortia_common import terminal
from examples.credit_risk import chapters, jobs, network, training
from examples.credit_risk.errors import DemoError
from examples.credit_risk.processes import Processes, end_on_sigterm, free_port
from examples.credit_risk.reference import Market, Rows, fit, pool
from examples.credit_risk.scene import Scene
from examples.credit_risk.story import Story

Floats = NDArray[np.float64]
NEAR = {"train-default-model": 0.001, "train-trees": 0.002, "train-network": 0.005}
"""How near the area under the curve of each is to that of its pooled fit."""
_NAMES = {"train-default-model": "regression", "train-trees": "boosted trees", "train-network": "network"}


@click.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".demo-models"),
    show_default=True,
    help="Where the network is built; what an earlier run left there is deleted.",
)
def main(folder: Path) -> None:
    """A regression, trees and a network, trained by three banks on this machine, and their pooled twins."""
    end_on_sigterm()
    story = Story(Console(highlight=False, soft_wrap=False))
    places = network.clear(folder.resolve())
    with Processes(places.root / "logs") as processes:
        scene = chapters.prepare(story, places, processes, free_port())
        with story.step("models", "Three models from all three banks"):
            _tell(scene, {spec: _train(scene, spec) for spec in NEAR})


def pooled_auc(spec: str, market: Market) -> float:
    """Of the pooled fit that ``spec``'s model is held against, on all banks' test parts."""
    rows, test = pool(market.train.values()), pool(market.test.values())
    return float(roc_auc_score(test.labels, _POOLED[spec](rows)(test.features)))


def _train(scene: Scene, spec: str) -> dict[str, Any]:
    job = jobs.submit(spec, scene.places.analyst)
    training.approve(scene, job)
    with scene.story.working(spec) as tell:
        return jobs.finish(job, scene.places.analyst, tell).result


def _tell(scene: Scene, results: Mapping[str, dict[str, Any]]) -> None:
    pairs = {
        spec: (float(result["evaluation"]["auc"]), pooled_auc(spec, scene.market))
        for spec, result in results.items()
    }
    rows = [
        (_NAMES[spec], f"{joint:.4f}", f"{pooled:.4f}", f"{abs(joint - pooled):.4f}", f"{NEAR[spec]}")
        for spec, (joint, pooled) in pairs.items()
    ]
    scene.story.table(("AUC of", "three banks", "pooled *", "apart", "at most"), rows)
    scene.story.say("* scikit-learn's fit on all records in one place, computed outside the network")
    far = [spec for spec, (joint, pooled) in pairs.items() if abs(joint - pooled) > NEAR[spec]]
    if far:
        raise DemoError(
            f"not as near to the pooled fit as expected: {', '.join(far)}",
            blame="the training, or the spec",
            remedy="look at the curve of the job's result, in the analyst's folder",
        )


Score = Callable[[Floats], Floats]


def _logistic(rows: Rows) -> Score:
    return fit(rows).scores


def _trees(rows: Rows) -> Score:
    """Scikit-learn's boosting, with bins of its own."""
    made = HistGradientBoostingClassifier(
        max_iter=64, max_depth=4, max_leaf_nodes=8, min_samples_leaf=100, l2_regularization=5.0, max_bins=64,
        early_stopping=False,
    ).fit(rows.features, rows.labels)  # fmt: skip
    return lambda features: np.asarray(made.predict_proba(features)[:, 1])


def _network(rows: Rows) -> Score:
    """Scikit-learn's perceptron, with as many passes over the rows."""
    mean, scale = rows.features.mean(axis=0), rows.features.std(axis=0)
    made = MLPClassifier(
        (16,), solver="sgd", alpha=0.001, batch_size=64, learning_rate_init=0.02, momentum=0.9, max_iter=20,
        n_iter_no_change=20, nesterovs_momentum=False, random_state=0,
    )  # fmt: skip
    return _scaled(_fitted(made, (rows.features - mean) / scale, rows.labels), mean, scale)


def _fitted(made: Any, features: Floats, labels: Floats) -> Any:
    """Fitted for as many passes as it was told, which scikit-learn would warn of."""
    for _ in range(made.max_iter):
        made.partial_fit(features, labels, classes=[0.0, 1.0])
    return made


def _scaled(made: Any, mean: Floats, scale: Floats) -> Score:
    return lambda features: np.asarray(made.predict_proba((features - mean) / scale)[:, 1])


_POOLED: Mapping[str, Callable[[Rows], Score]] = {
    "train-default-model": _logistic,
    "train-trees": _trees,
    "train-network": _network,
}


if __name__ == "__main__":
    terminal.run(main)
