"""What is kept of earlier cohorts, and what is left of them after an erasure."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import Connection, Engine, delete, insert

from consortia_node.store.cohorts import CohortStore, digest
from consortia_node.store.database import open_database
from consortia_node.store.jobs import JobStore, StoredJob
from consortia_node.store.tables import subjects


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(tmp_path / "node.db")
    with engine.begin() as connection:
        for number in range(1, 6):
            row = {"id": number * 10, "tag": bytes([number]) * 16, "wrapped_by": "k", "wrapped": b"", "sealed": b""}
            connection.execute(insert(subjects), row)
    yield engine
    engine.dispose()


def use(connection: Connection, job_id: str, dataset: str, *ids: int) -> None:
    jobs = JobStore(connection)
    if jobs.get(job_id) is None:
        jobs.create(StoredJob(job_id, b"", "a@1#" + "0" * 64, "accepted", "", 1))
    jobs.add_members(job_id, dataset, pa.chunked_array([pa.array(ids, pa.int64())]))
    CohortStore(connection).note(job_id, dataset, 2 * len(ids))


def test_equal_cohorts_have_one_digest_and_others_have_others(engine: Engine) -> None:
    with engine.begin() as connection:
        use(connection, "job-1", "clients", 10, 20, 30)
        use(connection, "job-2", "clients", 30, 10, 20)
        use(connection, "job-2", "loans", 40)
        one, two, loans = CohortStore(connection).of(["job-1", "job-2", "job-unknown"])
        assert one.digest == two.digest == digest(np.array([10, 20, 30]))
        assert loans.digest != one.digest
        assert (one.row_count, one.customers, loans.customers) == (6, 3, 1)
        assert [cohort.job_id for cohort in CohortStore(connection).of(["job-2", "job-1"])] == [
            "job-2",
            "job-2",
            "job-1",
        ]


def test_a_cohort_formed_again_counts_as_all_who_were_ever_in_it(engine: Engine) -> None:
    with engine.begin() as connection:
        use(connection, "job-1", "clients", 10, 20, 30)
        use(connection, "job-1", "clients", 20, 30, 40)
        (kept,) = CohortStore(connection).of(["job-1"])
        assert (kept.customers, kept.digest) == (4, digest(np.array([10, 20, 30, 40])))


def test_an_erased_customer_is_gone_but_still_counted(engine: Engine) -> None:
    with engine.begin() as connection:
        use(connection, "job-1", "clients", 10, 20, 30)
        connection.execute(delete(subjects).where(subjects.c.id == 20))
        (kept,) = CohortStore(connection).of(["job-1"])
        assert CohortStore(connection).members("job-1", "clients").tolist() == [10, 30]
        assert kept.customers == 3


def test_a_job_is_remembered_if_it_used_rows_or_may_still(engine: Engine) -> None:
    with engine.begin() as connection:
        use(connection, "job-read", "clients", 10)
        jobs = JobStore(connection)
        for job_id, state in (("job-none", "accepted"), ("job-open", "accepted"), ("job-no", "refused")):
            jobs.create(StoredJob(job_id, b"", "a@1#" + "0" * 64, state, "", 2))
        jobs.advance("job-read", "failed", 3)
        jobs.advance("job-none", "failed", 3)
        assert [job.job_id for job in jobs.remembered()] == ["job-read", "job-open"]
