"""Consent: what may follow what, what permits, and that nothing brings a closed record back."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta, timezone

import pytest

from consortia_crypto.audit import tree
from consortia_node.consent import (
    LIFE,
    PERMITTING,
    STATES,
    Change,
    ConsentRecord,
    begin,
    change_of,
    consent_root,
    milliseconds,
    permits,
    pseudonym,
)
from consortia_node.errors import ConsentError, StateError

WHO = "ab" * 32
GIVEN = ConsentRecord(WHO, "risk", "given", 1000, 9000, "n1")


def record(state: str, effective_ms: int = 1000) -> ConsentRecord:
    return ConsentRecord(WHO, "risk", state, effective_ms, 9000, "n1")


def test_only_given_and_renewed_permit_and_only_in_their_time() -> None:
    assert {state for state in STATES if permits(record(state), "risk", 5000)} == PERMITTING
    assert not permits(GIVEN, "marketing", 5000)
    assert [permits(GIVEN, "risk", at) for at in (999, 1000, 8999, 9000)] == [False, True, True, False]
    assert permits(ConsentRecord(WHO, "risk", "given", 1000, None, "n1"), "risk", 10**15)


@pytest.mark.parametrize("state", sorted(STATES))
def test_a_step_is_taken_only_if_the_table_has_it(state: str) -> None:
    for to in sorted(STATES - {"requested", "given", "refused"}):
        if to in LIFE.transitions[state]:
            assert change_of(record(state), Change(to, 2000)).state == to
        else:
            with pytest.raises(StateError, match=f"consent that is {state} can't become {to}"):
                change_of(record(state), Change(to, 2000))


def test_a_closed_record_stays_closed_and_a_new_one_takes_its_place() -> None:
    again = change_of(record("withdrawn"), Change("given", 2000, valid_until_ms=5000))
    assert again == ConsentRecord(WHO, "risk", "given", 2000, 5000, "n1")
    with pytest.raises(StateError):
        change_of(GIVEN, Change("given", 2000))


def test_renewal_keeps_the_terms() -> None:
    assert change_of(GIVEN, Change("renewed", 2000, valid_until_ms=20_000)).valid_until_ms == 20_000
    assert change_of(GIVEN, Change("withdrawn", 2000)).valid_until_ms == 9000
    with pytest.raises(ConsentError, match="other terms need new consent"):
        change_of(GIVEN, Change("renewed", 2000, notice="n2"))


def test_a_change_is_never_dated_before_what_it_changes() -> None:
    assert change_of(record("given", 5000), Change("withdrawn", 2000)).effective_ms == 5000


def test_a_new_record_begins_with_a_notice_and_not_with_a_withdrawal() -> None:
    assert begin(WHO, "risk", Change("given", 1000, "n1", 9000)) == GIVEN
    with pytest.raises(ConsentError, match="must name the notice"):
        begin(WHO, "risk", Change("given", 1000))
    with pytest.raises(ConsentError, match="no consent on record for risk that could become withdrawn"):
        begin(WHO, "risk", Change("withdrawn", 1000, "n1"))


def test_what_is_committed_to_has_every_field_and_names_no_customer() -> None:
    text = (
        '{"effective_ms":1000,"notice":"n1","purpose":"risk","state":"given","subject":"' + WHO + '",'
        '"v":1,"valid_until_ms":9000}'
    )
    assert GIVEN.canonical() == text.encode()


def test_the_pseudonym_is_a_keyed_hash() -> None:
    assert pseudonym(b"k" * 32) == hmac.new(b"k" * 32, b"v1", hashlib.sha256).hexdigest()


def test_the_root_is_one_for_any_order_and_can_be_opened_for_one_subject() -> None:
    pairs = [(bytes([i]).hex() * 32, bytes([i]) * 32) for i in range(7)]
    root = consent_root(pairs)
    assert consent_root(reversed(pairs)) == root
    assert consent_root(pairs[1:]) != root
    leaves = [tree.leaf_hash(bytes.fromhex(name) + record_hash) for name, record_hash in pairs]
    proof = tree.inclusion_proof(leaves, 3)
    assert tree.includes(bytes.fromhex(root), 7, 3, leaves[3], proof)


def test_milliseconds_are_exact_in_any_time_zone() -> None:
    moment = datetime(2024, 1, 1, 0, 0, 0, 123_999, tzinfo=UTC)
    assert milliseconds(moment) == 1_704_067_200_123
    assert milliseconds(moment.astimezone(timezone(timedelta(hours=8)))) == 1_704_067_200_123
