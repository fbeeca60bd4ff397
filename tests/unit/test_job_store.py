"""The stores of jobs and models: decided once, erased at the end, counted against budgets."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, func, select

from consortia_common.documents.model import LinearModel
from consortia_common.models.scorecard import as_model
from consortia_node.errors import StateError, StoreError
from consortia_node.store.cohorts import CohortStore
from consortia_node.store.database import open_database
from consortia_node.store.jobs import JobStore, Spent, StoredJob
from consortia_node.store.models import ModelStore
from consortia_node.store.tables import job_values

NOW_MS = 1_748_736_000_000


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(tmp_path / "node.db")
    yield engine
    engine.dispose()


REFERENCE = f"risk@1#{'0' * 64}"


def job(job_id: str = "job-1", state: str = "accepted", scored_rows: int = 0) -> StoredJob:
    return StoredJob(job_id, b"{}", REFERENCE, state, "", NOW_MS, scored_rows=scored_rows)


def test_a_job_keeps_values_until_it_ends(engine: Engine) -> None:
    with engine.begin() as connection:
        jobs = JobStore(connection)
        jobs.create(job())
        jobs.put("job-1", "epoch", b"first")
        jobs.put("job-1", "epoch", b"second")
        jobs.advance("job-1", "running", NOW_MS)
    with engine.begin() as connection:
        jobs = JobStore(connection)
        assert jobs.value("job-1", "epoch") == b"second"
        assert jobs.value("job-1", "other") is None
        assert [stored.state for stored in jobs.under_way()] == ["running"]
        jobs.advance("job-1", "failed", NOW_MS + 5, "a party left")
        assert jobs.get("job-1") == StoredJob(
            "job-1", b"{}", REFERENCE, "failed", "a party left", NOW_MS, NOW_MS + 5
        )
        assert connection.execute(select(func.count()).select_from(job_values)).scalar() == 0
        assert jobs.under_way() == []
        with pytest.raises(StateError, match="has ended"):
            jobs.put("job-1", "epoch", b"third")


def test_a_job_is_decided_once(engine: Engine) -> None:
    with engine.begin() as connection:
        jobs = JobStore(connection)
        jobs.create(job(state="refused"))
        for again in (job(), job("job-2", "running")):
            with pytest.raises(StateError):
                jobs.create(again)
        with pytest.raises(StoreError, match="job-9 is not known"):
            jobs.advance("job-9", "running", NOW_MS)


def test_what_is_not_committed_did_not_happen(engine: Engine) -> None:
    with engine.connect() as connection:
        JobStore(connection).create(job())
        connection.rollback()
        assert JobStore(connection).get("job-1") is None


def test_budgets_count_every_accepted_job_of_the_version(engine: Engine) -> None:
    with engine.begin() as connection:
        jobs = JobStore(connection)
        assert jobs.spent(REFERENCE) == Spent(0, 0)
        jobs.create(job("job-1", scored_rows=300))
        jobs.create(job("job-2", scored_rows=200))
        jobs.create(job("job-3", "refused"))
        jobs.advance("job-2", "failed", NOW_MS)
        assert jobs.spent(REFERENCE) == Spent(2, 500)
        jobs.set_scored_rows("job-1", 120)
        assert jobs.spent(REFERENCE) == Spent(2, 320)
        assert jobs.spent("risk@2#") == Spent(0, 0)


def test_a_withdrawal_reaches_the_jobs_and_models_that_used_the_row(engine: Engine) -> None:
    with engine.begin() as connection:
        jobs, cohorts, models = JobStore(connection), CohortStore(connection), ModelStore(connection)
        for name, dataset, members in (
            ("job-1", "train", [1, 2]),
            ("job-1", "test", [2, 3]),
            ("job-2", "train", [2]),
        ):
            if jobs.get(name) is None:
                jobs.create(job(name))
            for _ in range(2):
                cohorts.note(name, dataset, len(members), np.array(members))
        models.put("mine", LinearModel.from_numbers(["x"], [1.0], 0.0), "job-1")
        assert cohorts.reached_by(2) == ["job-1", "job-2"]
        assert cohorts.reached_by(1) == ["job-1"]
        assert cohorts.reached_by(4) == []
        assert models.made_by(["job-1", "job-2"]) == ["mine"]


def test_a_models_name_never_changes_its_meaning(engine: Engine) -> None:
    model = as_model(LinearModel.from_numbers(["x"], [0.1], 0.2))
    with engine.begin() as connection:
        models = ModelStore(connection)
        models.put("scorecard", model, "imported")
        models.put("scorecard", model, "imported")
        with pytest.raises(StoreError, match="already belongs to another model"):
            models.put("scorecard", as_model(LinearModel.from_numbers(["x"], [0.3], 0.2)), "imported")
    with engine.begin() as connection:
        models = ModelStore(connection)
        assert models.get("nothing") is None
        assert [(stored.name, stored.model, stored.origin) for stored in models.all()] == [
            ("scorecard", model, "imported")
        ]
