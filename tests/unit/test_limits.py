"""What one member may ask for: it is told when it is too much, and nobody else is."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortia_common.errors import LimitError, NotPermittedError
from consortia_coordinator.limits import REFUSAL_COST, JobLimits, Rates, check_jobs, check_queues


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def taken(rates: Rates, whose: str, tries: int) -> int:
    """How many of so many calls at once are let through."""
    let = 0
    for _ in range(tries):
        with contextlib.suppress(LimitError):
            rates.take(whose)
            let += 1
    return let


def test_who_is_refused_is_told_what_to_do(clock: Clock) -> None:
    rates = Rates(5, clock)
    rates.take("bank-a/node/node", 51)  # more than can be saved up costs just that, or it could never be had
    with pytest.raises(LimitError, match="5 calls a second") as refused:
        rates.take("bank-a/node/node", 1)
    assert refused.value.blame == "bank-a/node/node"
    assert "calls_per_second" in refused.value.remedy


def test_ten_seconds_worth_may_come_at_once_and_others_are_not_touched(clock: Clock) -> None:
    rates = Rates(5, clock)
    assert taken(rates, "bank-a/node/node", 1000) == 50
    assert taken(rates, "bank-b/node/node", 50) == 50
    clock.now = 2.0
    assert taken(rates, "bank-a/node/node", 1000) == 10
    clock.now = 1000.0
    assert taken(rates, "bank-a/node/node", 1000) == 50


@given(st.lists(st.floats(0, 3), max_size=200))
def test_no_pattern_of_calls_gets_more_than_the_rate(pauses: list[float]) -> None:
    clock = Clock()
    rates, let = Rates(2, clock, seconds=3), 0
    for pause in pauses:
        clock.now += pause
        let += taken(rates, "x", 3)
    assert let <= 6 + 2 * clock.now


def test_a_flood_of_refusals_does_not_fill_the_log(clock: Clock) -> None:
    rates = Rates(10, clock)
    refused = NotPermittedError("no", blame="x", remedy="y")
    assert sum(rates.may_record("x", refused) for _ in range(1000)) == 100 // REFUSAL_COST
    assert taken(rates, "x", 5) == 0
    limited = LimitError("too often", blame="x", remedy="y")
    assert sum(rates.may_record("x", limited) for _ in range(1000)) == 1
    clock.now = 10.0
    assert rates.may_record("x", limited)


def test_names_that_come_and_go_take_no_memory(clock: Clock) -> None:
    rates = Rates(10, clock)
    for number in range(5000):
        clock.now += 1.0
        rates.take(f"name {number}")
    assert len(rates._buckets) <= 1001


@pytest.mark.parametrize(
    ("under_way", "own", "why"), [(5, 3, "3 jobs of this analyst"), (9, 0, "9 jobs are under way")]
)
def test_there_are_so_many_jobs_at_a_time_and_no_more(under_way: int, own: int, why: str) -> None:
    limits = JobLimits(9, 3)
    check_jobs(8, 2, limits)
    with pytest.raises(LimitError, match=why):
        check_jobs(under_way, own, limits)


def test_a_party_that_must_catch_up_is_in_no_new_job() -> None:
    limits = JobLimits(most_queued=10)
    check_queues({"bank-a": 0, "bank-b": 9}, limits)
    with pytest.raises(LimitError, match="10 tasks wait for bank-b") as refused:
        check_queues({"bank-a": 0, "bank-b": 10}, limits)
    assert refused.value.blame.startswith("bank-b")
    assert "max_queue" in refused.value.remedy
