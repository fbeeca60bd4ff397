"""Models as real jobs: trained over the exchange, kept by every bank, exported, and evaluated."""

import json
from pathlib import Path

from consortia_common.models.scorecard import read
from tests.support.cli import as_json, consortia
from tests.support.consortium import BANKS, Consortium, spec

TREES = {"type": "boosted_trees", "trees": 2, "depth": 2, "min_rows": 5}


def test_trees_are_trained_kept_and_evaluated(consortium: Consortium, tmp_path: Path) -> None:
    trained = consortium.run(spec("train", model=TREES))
    assert trained.state == "finished", trained
    result = consortium.result(trained.job_id)
    model = read(json.dumps(result), "the result")
    kept = as_json(consortia("model", "list", "--config", consortium.node_config("bank-b"), "--json"))
    assert {one["digest"] for one in kept if one["name"] == trained.job_id} == {model.hash()}
    out = tmp_path / "model.json"
    done = consortia("model", "export", trained.job_id, out, "--config", consortium.node_config("bank-c"))
    assert done.exit_code == 0, done.output
    assert out.read_bytes() == model.canonical()
    asked = spec("evaluate", dataset="clients_test", model=trained.job_id, model_digest=model.hash())
    evaluated = consortium.run(asked)
    assert evaluated.state == "finished", evaluated
    found = consortium.result(evaluated.job_id)["overall"]
    assert found["auc"] == result["evaluation"]["auc"]
    assert found["rows"] == result["evaluation"]["rows"]


def test_a_regression_says_how_sure_it_is(consortium: Consortium) -> None:
    trained = consortium.run(spec("train", model={"type": "logistic_regression", "rounds": 8, "l2": "0"}))
    assert trained.state == "finished", trained
    result = consortium.result(trained.job_id)
    assert result["training"]["converged"]
    assert [one["name"] for one in result["model"]["fit"]["coefficients"]] == ["income", "age", "intercept"]
    assert result["parties"] == list(BANKS)
