"""A plan's time: reckoned where a node has no past jobs of the kind, and by what those took where it has."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine

from consortia_common.documents.base import Number
from consortia_common.documents.jobspec import JobSpec, Submission
from consortia_node import estimates
from consortia_node.estimates import MOST_PAST, Past, learnt
from consortia_node.experience import Experience
from consortia_node.store.approvals import ApprovalStore
from consortia_node.store.cohorts import CohortStore
from consortia_node.store.database import open_database
from consortia_node.store.jobs import JobStore, StoredJob
from tests.support.specs import spec

READS = [(("income", "age"), 300)]
seconds = st.floats(0, 10**6)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    engine: Engine = open_database(tmp_path / "node.db")
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def ended(connection: Connection, number: int, asked: JobSpec, took_ms: int, document: bytes = b"") -> str:
    """A job that came to its end after so long."""
    made = Submission(network="lab", spec=asked, nonce=f"{number:032}", submitted_ms=1, analyst="a" * 64)
    jobs, began = JobStore(connection), number * 10**6
    jobs.create(
        StoredJob(made.job_id, document or made.canonical(), "a@1#" + "0" * 64, "accepted", "", accepted_ms=began)
    )
    jobs.advance(made.job_id, "running", began)
    jobs.advance(made.job_id, "finished", began + took_ms)
    return made.job_id


def test_without_past_jobs_it_is_reckoned(connection: Connection) -> None:
    need = Experience(connection, "bank-a").need(spec("statistics"), READS)
    assert need == estimates.of(spec("statistics"), "bank-a", READS)
    assert need.told["past_jobs"] == 0
    assert 1 < need.seconds < 10


def test_a_job_like_the_last_ones_takes_what_those_took(connection: Connection) -> None:
    for number in range(5):
        ended(connection, number, spec("statistics"), took_ms=20_000)
    ended(connection, 5, spec("train"), took_ms=900_000)
    ended(connection, 6, spec("statistics"), took_ms=5, document=b"of a kind that is gone")
    need = Experience(connection, "bank-a").need(spec("statistics"), [])
    assert need.seconds == pytest.approx(20, rel=0.01)
    assert need.told == {
        "memory_mib": need.memory_mib, "seconds": Number("20.0"), "past_jobs": 5, "factor": Number("1.0")
    }  # fmt: skip


def test_the_newest_count(connection: Connection) -> None:
    for number in range(2 * MOST_PAST):
        ended(connection, number, spec("statistics"), took_ms=1000 if number < MOST_PAST else 50_000)
    need = Experience(connection, "bank-a").need(spec("statistics"), [])
    assert (need.past.jobs, need.past.factor) == (MOST_PAST, 1)
    assert need.seconds == pytest.approx(50, rel=0.01)


def test_waiting_for_officers_is_none_of_the_time(connection: Connection) -> None:
    job_id = ended(connection, 1, spec("statistics"), took_ms=3_600_000)
    ApprovalStore(connection).add(job_id, "f" * 64, "approve", 10**6 + 3_590_000)
    assert Experience(connection, "bank-a").need(spec("statistics"), []).seconds == pytest.approx(10, rel=0.01)


def test_how_many_rows_a_customer_has_is_known_from_the_last_cohort(connection: Connection) -> None:
    assert Experience(connection, "bank-a").rows_each("clients") == 1
    job_id = ended(connection, 1, spec("statistics"), took_ms=1)
    CohortStore(connection).note(job_id, "clients", 40, np.array([7]))
    assert Experience(connection, "bank-a").rows_each("clients") == 40


@given(st.lists(st.tuples(seconds, st.floats(0.1, 10**4)), max_size=30))
def test_three_in_four_lie_within_the_factor_that_is_told(took: list[tuple[float, float]]) -> None:
    past = learnt(took)
    assert past.jobs == len(took)
    if not took:
        assert past == Past()
        return
    expected = [past.times * reckoned for _, reckoned in took]
    facts = [max(fact, 0.001) for fact, _ in took]
    within = [
        max(fact / said, said / fact) <= past.factor * (1 + 1e-9)
        for fact, said in zip(facts, expected, strict=True)
    ]
    assert past.factor >= 1
    assert sum(within) * 4 >= 3 * len(took)
