"""An agreement binds once every party's node and enough officers have signed; any party suspends it alone."""

from collections.abc import Sequence
from datetime import timedelta
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortia_common.documents.agreement import Agreement
from consortia_common.documents.statements import RESUME, SIGNED, SUSPEND, TERMINATE
from consortia_crypto.keys import PrivateIdentity
from consortia_node.agreement import (
    ACTIVE,
    LIFE,
    REPLACEABLE,
    STATES,
    SUSPENDED,
    TERMINATED,
    Version,
    Wish,
    after,
    state_at,
    superseded_by,
    unsigned,
    verify_signature,
    verify_signatures,
)
from consortia_node.errors import AgreementError, StateError

BANKS = ("bank-a", "bank-b", "bank-c")
OFFICERS = ("olga", "otto", "oda")


@cache
def node(bank: str, which: int = 0) -> PrivateIdentity:
    del which
    return PrivateIdentity.generate("demo", bank, "node", "node")


@cache
def officer(name: str, bank: str = "bank-a") -> PrivateIdentity:
    return PrivateIdentity.generate("demo", bank, "officer", name)


def key(identity: PrivateIdentity) -> str:
    return identity.public.fingerprint


@cache
def agreement(
    banks: Sequence[str] = BANKS, version: int = 1, parent: str | None = None, needed: int = 0
) -> Agreement:
    parties = [{"institution": bank, "key": key(node(bank))} for bank in banks]
    if needed:
        named = [{"name": name, "key": key(officer(name))} for name in OFFICERS]
        parties[0] |= {"officers": named, "officers_needed": needed}  # type: ignore[dict-item]
    value = {
        "schema_version": 1,
        "id": "risk",
        "version": version,
        "parent": parent,
        "title": "A shared view of credit risk",
        "purposes": ["credit-risk"],
        "parties": parties,
        "analysts": [{"institution": "bank-a", "name": "ann", "key": "a" * 64}],
        "datasets": [{"name": "clients", "owners": list(banks), "columns": ["limit"], "max_grade": 3}],
        "job_kinds": [{"kind": "statistics", "recipients": ["analyst"]}],
        "min_rows": 50,
        "max_jobs": 10,
        "valid_from": "2025-01-01T00:00:00Z",
        "valid_until": "2026-01-01T00:00:00Z",
    }
    return Agreement.from_value(value, "the test's agreement")


def signed(document: Agreement, *signers: PrivateIdentity) -> dict[str, bytes]:
    return {key(signer): signer.sign(SIGNED, document.canonical()) for signer in signers}


def test_the_parties_that_have_not_signed_are_named() -> None:
    known = {key(node(bank)): node(bank).public for bank in BANKS}
    some = signed(agreement(), node("bank-b"))
    assert verify_signatures(agreement(), some, known) == ("bank-a", "bank-c")
    assert verify_signatures(agreement(), signed(agreement(), *map(node, BANKS)), known) == ()


@pytest.mark.parametrize("needed", [1, 2, 3])
def test_it_takes_the_node_and_as_many_officers_as_are_asked_for(needed: int) -> None:
    asked = agreement(needed=needed)
    nodes = {key(node(bank)) for bank in BANKS}
    officers = [key(officer(name)) for name in OFFICERS]
    assert unsigned(asked, nodes | set(officers[: needed - 1])) == ("bank-a",)
    assert unsigned(asked, nodes | set(officers[-needed:])) == ()
    assert unsigned(asked, (nodes | set(officers)) - {key(node("bank-a"))}) == ("bank-a",)


def test_a_signature_over_another_text_is_refused() -> None:
    other = agreement(BANKS[:2])
    (signature,) = signed(other, node("bank-a")).values()
    with pytest.raises(AgreementError, match="signature of bank-a is not valid"):
        verify_signature(agreement(), signature, node("bank-a").public)


@pytest.mark.parametrize(
    ("impostor", "why"),
    [
        (node("bank-a", 1), "names another key for bank-a"),
        (node("bank-x"), "bank-x is not a party"),
        (PrivateIdentity.generate("demo", "bank-a", "officer", "olga"), "does not name bank-a/olga with this key"),
        (PrivateIdentity("demo", "bank-a", "officer", "otto", officer("olga").seeds), "does not name bank-a/otto"),
        (PrivateIdentity("demo", "bank-b", "officer", "olga", officer("olga").seeds), "does not name bank-b/olga"),
    ],
)
def test_a_key_put_in_place_of_anothers_is_refused(impostor: PrivateIdentity, why: str) -> None:
    asked = agreement(needed=1)
    signature = impostor.sign(SIGNED, asked.canonical())
    with pytest.raises(AgreementError, match=why):
        verify_signatures(asked, {key(impostor): signature}, {key(impostor): impostor.public})


def test_an_unknown_identity_is_refused() -> None:
    signatures = signed(agreement(), node("bank-a"))
    for known in ({}, {key(node("bank-a")): node("bank-b").public}):
        with pytest.raises(AgreementError, match=r"the identity of .* is not known"):
            verify_signatures(agreement(), signatures, known)


def test_a_newer_version_replaces_the_one_it_names_as_its_parent() -> None:
    first = agreement()
    second = agreement(version=2, parent=first.hash())
    in_force = Version(1, first.hash(), "active")
    assert superseded_by(first, []) is None
    assert superseded_by(second, [in_force, Version(2, second.hash(), "proposed")]) == first.hash()
    assert superseded_by(second, [Version(1, first.hash(), "terminated")]) is None
    with pytest.raises(AgreementError, match="does not name version 1, which is active"):
        superseded_by(agreement(version=2, parent="f" * 64), [in_force])


@pytest.mark.parametrize("state", ["active", "suspended", "superseded", "terminated"])
def test_no_version_steps_back_behind_one_that_was_in_force(state: str) -> None:
    with pytest.raises(AgreementError, match="version 2 has been in force already"):
        superseded_by(agreement(BANKS[:2]), [Version(2, "f" * 64, state)])


def test_the_life_of_an_agreement() -> None:
    assert set(LIFE.transitions) == set(STATES)
    assert LIFE.final == {"superseded", "terminated"}
    assert LIFE.advance("suspended", "active") == "active"
    with pytest.raises(StateError, match="an agreement that is proposed can't become suspended"):
        LIFE.advance("proposed", "suspended")


def test_one_whose_time_is_over_is_shown_as_expired() -> None:
    made = agreement()
    for state in STATES:
        assert state_at(made, state, made.valid_until - timedelta(seconds=1)) == state
        shown = state_at(made, state, made.valid_until)
        assert shown == ("expired" if state in REPLACEABLE else state)


def wish(signer: PrivateIdentity, action: str, at_ms: int) -> Wish:
    return Wish(signer.institution, key(signer), action, at_ms)


OLGA, OTTO, ODA, B = officer("olga"), officer("otto"), officer("oda"), node("bank-b")


@pytest.mark.parametrize(
    ("wishes", "state"),
    [
        ([], ACTIVE),
        ([wish(OLGA, SUSPEND, 5)], SUSPENDED),
        ([wish(node("bank-a"), SUSPEND, 5)], SUSPENDED),
        ([wish(OLGA, SUSPEND, 5), wish(OLGA, RESUME, 6)], SUSPENDED),
        ([wish(OLGA, SUSPEND, 5), wish(OLGA, RESUME, 6), wish(OTTO, RESUME, 7)], ACTIVE),
        ([wish(OLGA, SUSPEND, 5), wish(OTTO, RESUME, 4), wish(ODA, RESUME, 6)], SUSPENDED),
        ([wish(OLGA, SUSPEND, 5), wish(B, RESUME, 6), wish(node("bank-c"), RESUME, 6)], SUSPENDED),
        ([wish(B, SUSPEND, 5), wish(B, RESUME, 5)], SUSPENDED),
        ([wish(B, SUSPEND, 5), wish(B, RESUME, 6)], ACTIVE),
        ([wish(officer("mallory"), SUSPEND, 5)], ACTIVE),
        ([wish(OLGA, TERMINATE, 5)], ACTIVE),
        ([wish(OLGA, TERMINATE, 5), wish(B, SUSPEND, 1)], SUSPENDED),
        ([wish(OLGA, TERMINATE, 5), wish(OTTO, TERMINATE, 500)], TERMINATED),
        ([wish(OLGA, TERMINATE, 5), wish(OLGA, RESUME, 6), wish(OTTO, TERMINATE, 7)], ACTIVE),
        ([wish(node("bank-a"), TERMINATE, 5)], ACTIVE),
        ([wish(B, TERMINATE, 5)], TERMINATED),
    ],
)
def test_any_signer_suspends_and_a_quorum_resumes_or_ends(wishes: list[Wish], state: str) -> None:
    asked = agreement(needed=2)
    for before in (ACTIVE, SUSPENDED):
        assert after(asked, before, wishes) == after(asked, before, reversed(wishes)) == state
    for final in ("proposed", "superseded", "expired", "terminated"):
        assert after(asked, final, wishes) == final


signers = st.sampled_from([OLGA, OTTO, ODA, B, node("bank-a"), node("bank-c")])
lists = st.lists(st.builds(wish, signers, st.sampled_from([SUSPEND, RESUME, TERMINATE]), st.integers(0, 9)))


@given(lists, signers, st.integers(0, 9))
def test_to_suspend_never_frees_anything(wishes: list[Wish], signer: PrivateIdentity, at_ms: int) -> None:
    asked = agreement(needed=2)
    assert after(asked, ACTIVE, [*wishes, wish(signer, SUSPEND, 10)]) != ACTIVE
    before = after(asked, ACTIVE, wishes)
    more = after(asked, ACTIVE, [*wishes, wish(signer, SUSPEND, at_ms)])
    assert more == before or (before, more) == (ACTIVE, SUSPENDED)
