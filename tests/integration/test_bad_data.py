"""A bank whose table is not as it was declared: its jobs end with one clear reason, and no other job suffers."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from consortia_node import workers
from consortia_node.step import StepRequest
from tests.support.consortium import Consortium
from tests.support.specs import averaging, spec
from tests.support.spoilt import (
    MODEL,
    SPOILT_BANK,
    check_silent,
    in_this_process,
    only_failure,
    reasons,
)


@pytest.fixture(autouse=True)
def _without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    in_this_process(monkeypatch)


def score(dataset: str, **changes: Any) -> Any:
    """A job in which the spoilt bank's customers are to be scored; every column is read."""
    parameters = {
        "data_owner": SPOILT_BANK,
        "model_owner": "bank-a",
        "dataset": dataset,
        "features": ["income", "age", "region", "default"],
        "model": MODEL,
        "max_rows": 500,
    }
    return spec("score", **(parameters | changes))


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ("with_nan", "column income has 1 rows without a value"),
        ("with_infinity", "column income has 1 rows whose value is infinite"),
        ("with_gap", "column income has 1 rows without a value"),
        ("with_odd_label", "column default has 1 rows whose value is neither 0 nor 1"),
        ("with_odd_income", "column income has 1 rows whose value lies outside the range in datasets.toml"),
        ("with_half_region", "its column region does not hold text or whole numbers"),
        ("with_words", "its column income does not hold numbers"),
        ("without_income", "it has no column income"),
        ("no_file", "its file does not exist"),
        ("torn_file", "it can't be read"),
    ],
)
def test_a_bad_table_ends_its_job_with_the_reason(
    dataset: str, words: str, spoilt: Consortium, capsys: pytest.CaptureFixture[str]
) -> None:
    status = spoilt.run(score(dataset))
    failure = only_failure(status, SPOILT_BANK, words)
    assert f"dataset {dataset} can't be used" in failure.what
    assert "institution" in failure.blame
    assert reasons(spoilt, SPOILT_BANK, "job.failed", status.job_id) == [failure.what]
    assert reasons(spoilt, "coordinator", "job.failed", status.job_id) == [failure.what]
    assert not (spoilt.root / SPOILT_BANK / "work" / status.job_id).exists()
    check_silent(spoilt, str(status), *capsys.readouterr())


def test_a_bad_table_of_one_bank_ends_a_sum_over_all(spoilt: Consortium) -> None:
    status = spoilt.run(spec("statistics", dataset="with_infinity"))
    failure = only_failure(status, SPOILT_BANK, "infinite")
    for bank in ("bank-a", "bank-c"):
        assert reasons(spoilt, bank, "job.failed", status.job_id) in ([failure.what], [])


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ("with_odd_income", "column income has 1 rows whose value lies outside the range in datasets.toml"),
        ("torn_file", "it can't be read"),
    ],
)
def test_a_job_that_scans_in_place_finds_the_same_faults(dataset: str, words: str, spoilt: Consortium) -> None:
    status = spoilt.run(spec("statistics", dataset=dataset))
    failure = only_failure(status, SPOILT_BANK, words)
    check_silent(spoilt, str(status), failure.what)


@pytest.mark.parametrize(
    ("dataset", "meddle", "words"),
    [
        ("vanishing", Path.unlink, "its file does not exist"),
        ("changing", Path.touch, "its file was changed while a job read it"),
    ],
)
def test_a_table_that_vanishes_or_changes_in_mid_job_ends_it(
    dataset: str, meddle: Callable[[Path], None], words: str, spoilt: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = spoilt.root / SPOILT_BANK / "data" / f"{dataset}.parquet"
    honest = workers.Workers.run

    def run(self: workers.Workers, request: Any) -> Any:
        if isinstance(request, StepRequest) and (request.institution, request.step) == (
            SPOILT_BANK,
            "query.refine",
        ):
            meddle(table)
        return honest(self, request)

    monkeypatch.setattr(workers.Workers, "run", run)
    asked = spec("statistics", dataset=dataset, ranges={"income": [0, 50000]}, quantiles={"columns": ["income"]})
    status = spoilt.run(asked)
    only_failure(status, SPOILT_BANK, words)
    assert not (spoilt.root / SPOILT_BANK / "work" / status.job_id).exists()


def held(consortium: Consortium, job_id: str) -> tuple[int, int]:
    """How many tasks of the job are unanswered at the coordinator, and how many bytes of the others it holds."""
    with closing(sqlite3.connect(consortium.root / "coordinator" / "coordinator.db")) as database:
        query = """
            SELECT count(DISTINCT task_id) FILTER (WHERE state IN ('queued', 'delivered')), coalesce(sum(total), 0)
            FROM tasks LEFT JOIN contents ON message_id = task_id WHERE job_id = ?"""
        unanswered, held_bytes = database.execute(query, (job_id,)).fetchone()
    return int(unanswered), int(held_bytes)


def test_uploads_that_come_after_a_job_has_failed_are_not_kept(spoilt: Consortium) -> None:
    status = spoilt.run(spec("statistics", dataset="with_infinity"))
    pause = threading.Event()
    for _ in range(200):
        unanswered, held_bytes = held(spoilt, status.job_id)
        if not unanswered:
            break
        pause.wait(0.05)
    assert (unanswered, held_bytes) == (0, 0)


def test_too_few_rows_are_refused_by_the_agreements_clause(spoilt: Consortium) -> None:
    status = spoilt.run(score("with_few_rows"))
    failure = only_failure(status, SPOILT_BANK, "Fewer rows have consent than the 20")
    assert (status.state, failure.code, failure.clause) == ("refused", "refused", "min_rows")
    assert "customers" in failure.blame
    assert "min_rows" in failure.remedy
    assert reasons(spoilt, SPOILT_BANK, "job.failed", status.job_id) == [failure.what]
    check_silent(spoilt, str(status))


def test_a_dataset_that_a_node_does_not_offer_is_the_nodes_fault(spoilt: Consortium) -> None:
    status = spoilt.run(score("clients", features=["income", "salary_note"]))
    failure = only_failure(status, SPOILT_BANK, "salary_note")
    assert failure.clause == "datasets.columns"
    assert "the job" in failure.blame


def test_a_model_that_is_not_there(spoilt: Consortium) -> None:
    status = spoilt.run(score("clients", model="no-such-model", features=["income", "age"]))
    failure = only_failure(status, "bank-a", "bank-a has no model no-such-model")
    assert "the job spec" in failure.blame
    assert "consortia model" in failure.remedy
    assert reasons(spoilt, "bank-a", "job.failed", status.job_id) == [failure.what]
    check_silent(spoilt, str(status))


@pytest.mark.parametrize("features", [["age", "income"], ["income"]])
def test_features_in_another_order_than_the_models(features: list[str], spoilt: Consortium) -> None:
    status = spoilt.run(score("clients", features=features))
    failure = only_failure(status, "bank-a", f"model {MODEL} takes other features than the job names")
    assert failure.blame == "the job spec"
    assert reasons(spoilt, "bank-a", "job.failed", status.job_id) == [failure.what]
    assert spoilt.run(score("clients", features=["income", "age"])).state == "finished"


def test_a_feature_whose_range_is_not_configured(spoilt: Consortium) -> None:
    status = spoilt.run(score("clients"))
    failure = only_failure(status, SPOILT_BANK, "no low and high for region, default of clients")
    assert "configuration" in failure.blame


def test_training_that_diverges_is_refused_before_anything_is_sealed(spoilt: Consortium) -> None:
    wild = averaging(learning_rate="1000000", l2="1000", epochs=200)
    status = spoilt.run(spec("train", model=wild))
    assert status.state == "failed"
    failure = status.refusals[0].failure
    assert "a value is not a finite number" in failure.what
    assert "learning rate" in failure.remedy
    assert reasons(spoilt, status.refusals[0].institution, "job.failed", status.job_id) == [failure.what]


def test_a_test_part_with_one_label_gives_no_area_under_the_curve(spoilt: Consortium) -> None:
    status = spoilt.run(spec("train", test_dataset="one_label"))
    assert status.state == "finished", status
    evaluation = spoilt.result(status.job_id)["evaluation"]
    assert evaluation["auc"] is None
    assert evaluation["rows"] > 0


def test_a_value_too_large_for_the_decimals_names_no_value(spoilt: Consortium) -> None:
    status = spoilt.run(spec("statistics", decimals=6))
    assert "the most that fits with 6 decimals" in status.refusals[0].failure.what
    assert "job spec" in status.refusals[0].failure.blame
    check_silent(spoilt, str(status))


def test_after_all_that_a_good_job_over_the_same_banks_finishes(spoilt: Consortium) -> None:
    assert spoilt.run(spec("statistics")).state == "finished"
