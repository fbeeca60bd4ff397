"""Models as real jobs: trained over the exchange, kept by every bank, exported, and evaluated."""

import json
from pathlib import Path
from typing import Any

import pytest

from consortia_client.curves import points
from consortia_client.errors import ResultError
from consortia_client.progress import watch
from consortia_common.documents.jobspec import JobSpec
from consortia_common.models.scorecard import read
from tests.support import evidence
from tests.support.cli import as_json, consortia
from tests.support.consortium import Consortium, build, prepare, running, wait_until
from tests.support.specs import BANKS, spec

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
    assert (model.origin.job, model.origin.recipients) == (trained.job_id, ("analyst", "parties"))
    withdrawn_for_all(consortium, trained.job_id, asked)


def withdrawn_for_all(consortium: Consortium, name: str, asked: JobSpec) -> None:
    """One party withdraws the model; no party lets it be used, and the analyst can't fetch it."""
    done = consortia(
        "model", "withdraw", name, "--reason", "the label was late", "--config", consortium.node_config("bank-b")
    )
    assert done.exit_code == 0, done.output
    other = ("--config", consortium.node_config("bank-c"))
    wait_until(lambda: "label was late" in consortia("model", "show", name, *other).stdout, "bank-c was not told")
    kept = as_json(consortia("model", "list", *other, "--json"))
    assert ["withdrawn by bank-b on" in str(one["withdrawn"]) for one in kept if one["name"] == name] == [True]
    own = ("--config", consortium.node_config("bank-b"))
    heard = "withdrawn by bank-b; acknowledged by bank-a, bank-c"
    wait_until(lambda: heard in " ".join(consortia("model", "list", *own).stdout.split()), "nobody acknowledged it")
    assert "was withdrawn by bank-b" in consortia("model", "export", name, "out.json", *other).stderr
    refused = consortium.run(asked)
    assert {one.failure.clause for one in refused.refusals} == {"model.withdrawn"}
    with pytest.raises(ResultError, match="withdrawn by bank-b: the label was late"):
        consortium.result(name)


@pytest.mark.slow
def test_a_regression_says_how_sure_it_is(consortium: Consortium) -> None:
    trained = consortium.run(spec("train", model={"type": "logistic_regression", "rounds": 8, "l2": "0"}))
    assert trained.state == "finished", trained
    result = consortium.result(trained.job_id)
    assert result["training"]["converged"]
    assert [one["name"] for one in result["model"]["fit"]["coefficients"]] == ["income", "age", "intercept"]
    assert result["parties"] == list(BANKS)


def test_a_fit_ends_early_is_watched_and_says_so(consortium: Consortium) -> None:
    """Every node leaves the same rounds out; the losses on their way to the analyst are sealed and on the logs."""
    stopping = {"share": "0.3", "patience": 1, "tolerance": "1"}
    model = TREES | {"trees": 20, "early_stopping": stopping}
    with consortium.analyst() as session:
        job_id = consortium.submit(spec("train", model=model))
        seen = list(watch(session, job_id))
    assert seen[-1].status.state == "finished", seen[-1].status
    shown = max((one.curve for one in seen), key=len)
    result = consortium.result(job_id)
    curve = points(result["training"])
    assert shown
    assert shown == curve[: len(shown)]
    assert [point.round for point in curve] == [0, 1, 2]
    watched = as_json(consortia("job", "watch", job_id, "--profile", consortium.root / "analyst", "--json"))
    assert watched["state"] == "finished"
    assert result["training"]["trees"] == len(result["model"]["fit"]["trees"]) == 1
    assert all(0 < point.validation_loss < 2 for point in curve)
    sealed = [entry["digest"] for entry in told(consortium, "bank-a", "envelope.sealed", job_id)]
    assert sealed == [entry["digest"] for entry in told(consortium, "coordinator", "envelope.relayed", job_id)]
    assert sealed
    assert not told(consortium, "bank-b", "envelope.sealed", job_id)


def told(consortium: Consortium, whose: str, event: str, job_id: str) -> list[Any]:
    """What a log has of the progress of a job."""
    return [
        detail
        for entry in evidence.entries(consortium, whose, job_id)
        if entry.type == event and (detail := entry.body["detail"])["step"] == "progress"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("recipients", [["analyst"], ["parties"]])
def test_a_model_reaches_whom_the_agreement_names_and_nobody_else(recipients: list[str], tmp_path: Path) -> None:
    built = build(tmp_path)
    with running(built):
        prepare(built, job_kinds=[{"kind": "train", "recipients": recipients}])
        trained = built.run(spec("train", model={"type": "logistic_regression", "rounds": 2}))
        assert trained.state == "finished", trained
        kept = [
            as_json(consortia("model", "list", "--config", built.node_config(bank), "--json")) for bank in BANKS
        ]
        assert [len(models) for models in kept] == [int("parties" in recipients)] * 3
        result = built.result(trained.job_id)
        assert bool(result) == ("analyst" in recipients)
        if result:
            assert result["model"]["origin"]["recipients"] == recipients
            withdrawn_unkept(built, trained.job_id)


def withdrawn_unkept(consortium: Consortium, job_id: str) -> None:
    """A party withdraws the model that only the analyst has, by its job; the analyst can't fetch it any more."""
    at = ("--config", consortium.node_config("bank-b"))
    done = consortia("model", "withdraw", job_id, "--reason", "the label was late", *at)
    assert done.exit_code == 0, done.output
    assert "told bank-a, bank-c" in " ".join(done.output.split())

    def heard() -> bool:
        (one,) = as_json(consortia("model", "list", *at, "--json"))
        return sorted(one["acknowledged"]) == ["bank-a", "bank-c"]

    wait_until(heard, "nobody acknowledged it")
    with pytest.raises(ResultError, match="withdrawn by bank-b: the label was late"):
        consortium.result(job_id)
