"""The coordinator's clock as a node has it: told once, counted on, and never by the machine's time of day."""

from hypothesis import given
from hypothesis import strategies as st

from consortia_node.coordinator_clock import CoordinatorClock

MAX = 2**64 - 1


def test_every_moment_is_past_until_the_time_was_told() -> None:
    assert CoordinatorClock().is_past(MAX)


def test_it_counts_on_from_what_was_told_last() -> None:
    counted = [50.0]
    clock = CoordinatorClock(lambda: counted[0])
    clock.hear(1_000_000)
    assert (clock.is_past(999_999), clock.is_past(1_000_000), clock.is_past(1_005_000)) == (True, False, False)
    counted[0] += 5.5
    assert (clock.is_past(1_005_000), clock.is_past(1_006_000)) == (True, False)
    clock.hear(0)
    assert not clock.is_past(1)


@given(st.integers(0, MAX), st.integers(1, MAX))
def test_it_takes_any_time_and_any_deadline(told: int, deadline: int) -> None:
    clock = CoordinatorClock(lambda: 0.0)
    clock.hear(told)
    assert clock.is_past(deadline) == (told / 1000 > deadline / 1000)
