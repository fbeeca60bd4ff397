"""Training with noise as real jobs: refused without a budget, planned, spent on the log once, and remembered."""

from pathlib import Path
from typing import Any

import pytest

from consortia_crypto.audit.entry import Entry
from tests.integration.test_plans import planned
from tests.support.consortium import Consortium, build, prepare, running
from tests.support.evidence import so_far
from tests.support.specs import BANKS, spec
from tests.support.spoilt import in_this_process, logged

NOISY: dict[str, Any] = {
    "model": {"type": "logistic_regression", "rounds": 2},
    "prepare": {"income": {"low": "0", "high": "10000"}, "age": {"low": "20", "high": "80"}},
    "noise": {"epsilon": "2"},
}


def test_training_with_noise_needs_a_budget(consortium: Consortium) -> None:
    status = consortium.run(spec("train", **NOISY))
    assert status.state == "refused"
    assert {refusal.failure.clause for refusal in status.refusals} == {"dp"}


@pytest.mark.slow
def test_noise_is_planned_spent_on_the_log_and_still_spent_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_this_process(monkeypatch)
    built = build(tmp_path, seed=6)
    with running(built):
        prepare(built, dp={"epsilon_micro": 3_000_000})
        for party in planned(built, spec("train", **NOISY)).parties:
            (budget,) = [each for each in party.answer.budgets if each.name == "dp.epsilon_micro"]
            assert (budget.used, budget.cost, budget.limit) == (0, 2_000_000, 3_000_000)
        status = built.run(spec("train", **NOISY))
        assert status.state == "finished", status
        result = built.result(status.job_id)
        assert result["noise"] == result["model"]["privacy"]
        assert result["noise"]["epsilon"] == "2"
        job = status.job_id.encode()
        for bank in BANKS:
            (spent,) = logged(built, bank, "budget.spent", status.job_id)
            order = [Entry.parse(data).body["type"] for data in so_far(built.log(bank)) if job in data]
            assert order.index("budget.spent") < order.index("access.granted") < order.index("sum.agreed")
            assert spent["detail"]["epsilon_micro"] == 2_000_000
    with running(built):
        again = built.run(spec("train", **NOISY))
        assert {refusal.failure.clause for refusal in again.refusals} == {"dp"}
        plan = planned(built, spec("train", **NOISY))
        assert {party.answer.clause for party in plan.parties} == {"dp"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        {"type": "boosted_trees", "trees": 2, "depth": 2, "bins": 4, "learning_rate": "0.5"},
        {"type": "neural_network", "hidden": [], "rounds": 3, "learning_rate": "1"},
    ],
)
def test_every_model_with_noise_is_the_same_at_all_parties(
    model: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_this_process(monkeypatch)
    built = build(tmp_path, seed=7)
    with running(built):
        prepare(built, dp={"epsilon_micro": 3_000_000})
        sampling = {"sampling": "0.5"} if model["type"] == "neural_network" else {}
        status = built.run(spec("train", **NOISY | {"model": model, "noise": {"epsilon": "2"} | sampling}))
        assert status.state == "finished", status
        with built.analyst() as session:
            receipts = session.result(status.job_id).receipts
    assert len({receipt.result for receipt in receipts}) == 1
