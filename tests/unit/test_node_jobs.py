"""The life of a job at a node, as a table."""

import pytest

from consortia_node.errors import StateError
from consortia_node.jobs import DECISIONS, LIFE, STATES, UNDER_WAY


def test_every_state_is_in_the_table_and_a_job_that_ended_never_starts_again() -> None:
    assert set(LIFE.transitions) == set(STATES)
    assert LIFE.final == {"refused", "finished", "failed", "cancelled"}
    assert LIFE.final.isdisjoint(UNDER_WAY)
    assert {state for following in LIFE.transitions.values() for state in following} | DECISIONS == set(STATES)


@pytest.mark.parametrize(
    ("state", "to"), [("finished", "running"), ("refused", "running"), ("running", "accepted")]
)
def test_a_step_that_is_not_in_the_table_is_refused(state: str, to: str) -> None:
    with pytest.raises(StateError, match=f"a job that is {state} can't become {to}"):
        LIFE.advance(state, to)


def test_an_unknown_state_leads_nowhere() -> None:
    with pytest.raises(StateError, match="what may follow is nothing"):
        LIFE.advance("lost", "running")
