"""What a row of the bank's own system means for the record in force: newer or stricter, and by the state table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortia_node.consent import LIFE, PERMITTING, STATES
from consortia_node.consent_import import OLDER, UNCHANGED, ConsentRow, Standing, judge


def row(state: str, at: int = 2000, notice: str = "n@1", until: int | None = None) -> ConsentRow:
    return ConsentRow("7", "risk", state, at, until, notice)


def old(state: str, at: int = 1000, notice: str = "n@1", order: int = 0, begun: int = 500) -> Standing:
    return Standing(state, at, None, notice, order or at, begun)


def test_whoever_is_not_known_begins_as_the_row_says() -> None:
    assert all(judge(None, row(state)).anew for state in STATES)


@pytest.mark.parametrize("state", STATES)
def test_the_same_row_again_changes_nothing(state: str) -> None:
    assert judge(old(state), row(state, 1000)).outcome == UNCHANGED


def test_an_older_row_never_comes_into_force_and_an_equal_one_only_if_it_is_stricter() -> None:
    assert judge(old("withdrawn"), row("given", 999)).outcome == OLDER
    assert judge(old("withdrawn"), row("given", 1000)).outcome == OLDER
    assert judge(old("given"), row("withdrawn", 999)).outcome == OLDER
    assert judge(old("given"), row("withdrawn", 1000)).taken


def test_given_after_withdrawn_is_a_new_record_and_renewed_after_given_is_not() -> None:
    assert judge(old("withdrawn"), row("given")).anew
    verdict = judge(old("given"), row("renewed"))
    assert verdict.taken
    assert not verdict.anew


def test_another_version_of_the_notice_is_a_new_record() -> None:
    assert judge(old("given"), row("given", notice="n@2")).anew
    assert judge(old("given"), row("refused", notice="n@2")).anew


def test_a_request_does_not_end_a_consent_that_stands() -> None:
    assert not judge(old("given"), row("requested", notice="n@2")).taken


def test_an_invalidation_reaches_back_to_the_beginning_of_its_record_and_no_further() -> None:
    assert judge(old("given"), row("invalidated", 600)).taken
    assert judge(old("given"), row("invalidated", 499)).outcome == OLDER
    assert judge(old("invalidated", 600, order=5000), row("given", 4000)).outcome == OLDER


def test_what_can_t_follow_is_a_mistake() -> None:
    assert "given become lapsed" in judge(old("given"), row("lapsed")).mistake
    assert "requested become withdrawn" in judge(old("requested"), row("withdrawn")).mistake


@given(
    st.sampled_from(STATES),
    st.sampled_from(STATES),
    st.integers(0, 9),
    st.integers(0, 9),
    st.sampled_from(["n@1", "n@2"]),
)
def test_no_row_opens_what_is_closed_without_being_newer(
    was: str, state: str, then: int, now: int, notice: str
) -> None:
    verdict = judge(old(was, then, begun=0), row(state, now, notice))
    if verdict.taken and was in LIFE.final:
        assert verdict.anew
        assert now > then or (now == then and state not in PERMITTING)
    if verdict.taken and not verdict.anew:
        assert state in LIFE.transitions[was]
