"""What is kept of earlier cohorts, and what is left of them after an erasure."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, create_engine, func, select

from consortia_node.store.cohorts import CohortStore, digest
from consortia_node.store.database import open_database
from consortia_node.store.jobs import JobStore, StoredJob
from consortia_node.store.tables import cohort_parts, metadata

CROWD = [(number << 53) + 7 for number in range(1024)]
"""Ids of every part, four each."""
SOME = [0, 1, (1 << 55) - 1, 1 << 55, (1 << 62) + 5, (1 << 63) - 1]
some_ids = st.sampled_from(SOME)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(tmp_path / "node.db")
    yield engine
    engine.dispose()


def use(connection: Connection, job_id: str, dataset: str, *ids: int) -> None:
    jobs = JobStore(connection)
    if jobs.get(job_id) is None:
        jobs.create(StoredJob(job_id, b"", "a@1#" + "0" * 64, "accepted", "", 1))
    CohortStore(connection).note(job_id, dataset, 2 * len(ids), np.array(ids, np.int64))


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
        CohortStore(connection).forget(20)
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


def test_jobs_with_the_same_customers_share_one_set_until_none_has_it(engine: Engine) -> None:
    with engine.begin() as connection:
        use(connection, "job-1", "clients", *CROWD)
        once = stored(connection)
        use(connection, "job-2", "clients", *CROWD)
        assert stored(connection) == once
        use(connection, "job-1", "clients", 1)
        assert CohortStore(connection).members("job-2", "clients").tolist() == CROWD
        use(connection, "job-2", "clients", 1)
        assert CohortStore(connection).members("job-2", "clients").tolist() == sorted([1, *CROWD])
        assert stored(connection) == once + 8


def stored(connection: Connection) -> int:
    """How many bytes the sets take."""
    return connection.scalar(select(func.sum(func.length(cohort_parts.c.ids)))) or 0


@given(st.lists(st.tuples(st.sampled_from(["job-1", "job-2", "job-3"]), st.sets(some_ids)), max_size=6), some_ids)
def test_every_job_that_used_a_row_is_found_until_its_customer_is_erased(
    used: list[tuple[str, set[int]]], gone: int
) -> None:
    with memory() as connection:
        store = CohortStore(connection)
        everybody = np.array(sorted(SOME), np.int64)
        for job_id, ids in used:
            use(connection, job_id, "clients", *ids)
        expected = {one: {job_id for job_id, ids in used if one in ids} for one in SOME}
        assert {one: set(store.reached_by(one)) for one in SOME} == expected
        assert store.used(everybody) == {one for one, jobs in expected.items() if jobs}
        store.forget(gone)
        assert {one: set(store.reached_by(one)) for one in SOME} == expected | {gone: set()}
        assert gone not in store.used(everybody)
        store.forget_all()
        assert store.used(everybody) == set()


@contextmanager
def memory() -> Iterator[Connection]:
    """A database of its own, gone with the block."""
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.begin() as connection:
        yield connection
    engine.dispose()
