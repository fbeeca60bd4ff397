"""Consent: what may follow what, what permits, and that nothing brings a closed record back."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from consortia_crypto import canonical
from consortia_node.consent import (
    LIFE,
    PERMITTING,
    STATES,
    Change,
    ConsentRecord,
    Need,
    Terms,
    begin,
    change_of,
    covers,
    milliseconds,
    pseudonym,
    stands,
)
from consortia_node.errors import ConsentError, StateError
from tests.support.consent_notices import make_notice

WHO = "ab" * 32
NOW = 10_000


def record(
    state: str = "given", effective_ms: int = 1000, notice: str = "n@1", begun_ms: int = 500
) -> ConsentRecord:
    return ConsentRecord(WHO, "0" * 16, "risk", state, effective_ms, 9000, notice, begun_ms, 600)


def changed(old: ConsentRecord, change: Change) -> ConsentRecord:
    return change_of(old, change, "1" * 16, NOW)


def test_only_given_and_renewed_permit_and_only_in_their_time() -> None:
    assert {state for state in STATES if stands(record(state), 5000)} == PERMITTING
    assert [stands(record(), at) for at in (999, 1000, 8999, 9000)] == [False, True, True, False]


@pytest.mark.parametrize("state", STATES)
def test_a_step_is_taken_only_if_the_table_has_it(state: str) -> None:
    for to in sorted(set(STATES) - {"requested", "given", "refused"}):
        if to in LIFE.transitions[state]:
            assert changed(record(state), Change(to, 2000)).state == to
        else:
            with pytest.raises(StateError, match=f"consent that is {state} can't become {to}"):
                changed(record(state), Change(to, 2000))


def test_a_closed_record_stays_closed_and_a_new_one_takes_its_place() -> None:
    new = changed(record("withdrawn", 2000), Change("given", 3000, valid_until_ms=8000))
    assert (new.state, new.id, new.effective_ms, new.begun_ms, new.notice) == ("given", "1" * 16, 3000, 3000, "n@1")
    with pytest.raises(StateError):
        changed(record("withdrawn"), Change("renewed", 3000))


def test_other_terms_are_another_consent() -> None:
    new = changed(record(), Change("given", 3000, "n@2"))
    assert (new.id, new.notice) == ("1" * 16, "n@2")
    for state in ("renewed", "withdrawn"):
        with pytest.raises(ConsentError, match="other terms need new consent"):
            changed(record(), Change(state, 3000, "n@2"))
    with pytest.raises(StateError):
        changed(record(), Change("requested", 3000, "n@2"))
    with pytest.raises(StateError):
        changed(record(), Change("given", 3000, "n@1"))


def test_nothing_is_dated_back_but_an_invalidation_and_that_not_before_the_beginning() -> None:
    assert changed(record(), Change("withdrawn", 1)).effective_ms == 1000
    assert changed(record("withdrawn", 2000), Change("given", 1)).effective_ms == 2000
    invalid = changed(record(effective_ms=4000), Change("invalidated", 700))
    assert (invalid.effective_ms, invalid.order_ms) == (700, NOW)
    assert changed(record(effective_ms=4000), Change("invalidated", 1)).effective_ms == 500


def test_a_record_begins_with_a_notice_and_in_few_states() -> None:
    assert begin(WHO, "1" * 16, "risk", Change("requested", 5, "n@1"), NOW).state == "requested"
    with pytest.raises(ConsentError, match="must name the notice"):
        begin(WHO, "1" * 16, "risk", Change("given", 5), NOW)
    with pytest.raises(ConsentError, match="no consent on record"):
        begin(WHO, "1" * 16, "risk", Change("withdrawn", 5, "n@1"), NOW)


def test_the_quick_bytes_are_the_canonical_ones() -> None:
    for one in (record(), changed(record(), Change("renewed", 2000, evidence="e" * 64, valid_until_ms=12_000))):
        assert one.canonical() == canonical.encode(one.document())
    endless = begin(WHO, "1" * 16, "credit-risk_2", Change("given", 5, "a-notice@12"), NOW)
    assert endless.canonical() == canonical.encode(endless.document())


def test_terms_cover_what_is_needed_or_do_not() -> None:
    terms = Terms.of(make_notice("risk", {"clients": ["limit", "group"]}, ["bank-b", "bank-c"]))
    need = Need("risk", "clients", frozenset({"limit"}), frozenset({"bank-b"}), frozenset({"recipient"}))
    assert covers(terms, need)
    for other in (
        Need("marketing", "clients", frozenset({"limit"})),
        Need("risk", "cards", frozenset({"limit"})),
        Need("risk", "clients", frozenset({"limit", "income"})),
        Need("risk", "clients", frozenset({"limit"}), frozenset({"bank-b", "bank-d"})),
        Need("risk", "clients", frozenset({"limit"}), scopes=frozenset({"cross_border"})),
    ):
        assert not covers(terms, other)


def test_a_pseudonym_is_the_key_s_and_moments_are_rounded_down() -> None:
    assert pseudonym(b"k" * 32) != pseudonym(b"j" * 32)
    moment = datetime(1970, 1, 1, 8, tzinfo=timezone(timedelta(hours=8))) + timedelta(microseconds=1999)
    assert milliseconds(moment) == 1
    assert milliseconds(datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)) == -1000
