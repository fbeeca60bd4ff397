"""An agreement binds once every party it names has signed it with the key it names."""

from collections.abc import Sequence
from functools import cache

import pytest

from consortia_common.documents.agreement import Agreement
from consortia_crypto.keys import PrivateIdentity
from consortia_node.agreement import (
    LIFE,
    SIGNATURE_DOMAIN,
    STATES,
    Version,
    superseded_by,
    verify_signature,
    verify_signatures,
)
from consortia_node.errors import AgreementError, StateError

BANKS = ("bank-a", "bank-b", "bank-c")


@cache
def officer(bank: str, which: int = 0) -> PrivateIdentity:
    del which
    return PrivateIdentity.generate("demo", bank, "node", "node")


def agreement(banks: Sequence[str] = BANKS, version: int = 1, parent: str | None = None) -> Agreement:
    value = {
        "schema_version": 1,
        "id": "risk",
        "version": version,
        "parent": parent,
        "title": "A shared view of credit risk",
        "purposes": ["credit-risk"],
        "parties": [{"institution": bank, "key": officer(bank).public.fingerprint} for bank in banks],
        "analysts": [{"institution": "bank-a", "name": "ann", "key": "a" * 64}],
        "datasets": [{"name": "clients", "owners": list(banks), "columns": ["limit"]}],
        "job_kinds": [{"kind": "statistics", "recipients": ["analyst"]}],
        "min_rows": 50,
        "max_jobs": 10,
        "valid_from": "2025-01-01T00:00:00Z",
        "valid_until": "2026-01-01T00:00:00Z",
    }
    return Agreement.from_value(value, "the test's agreement")


def signed(document: Agreement, *banks: str) -> dict[str, bytes]:
    return {bank: officer(bank).sign(SIGNATURE_DOMAIN, document.canonical()) for bank in banks}


def test_the_parties_that_have_not_signed_are_named() -> None:
    known = {bank: officer(bank).public for bank in BANKS}
    assert verify_signatures(agreement(), signed(agreement(), "bank-b"), known) == ("bank-a", "bank-c")
    assert verify_signatures(agreement(), signed(agreement(), *BANKS), known) == ()


def test_a_signature_over_another_text_is_refused() -> None:
    other = agreement(BANKS[:2])
    with pytest.raises(AgreementError, match="signature of bank-a is not valid"):
        verify_signature(agreement(), signed(other, "bank-a")["bank-a"], officer("bank-a").public)


def test_a_key_put_in_place_of_a_partys_own_is_refused() -> None:
    impostor = officer("bank-a", 1)
    signature = impostor.sign(SIGNATURE_DOMAIN, agreement().canonical())
    with pytest.raises(AgreementError, match="names another key for bank-a"):
        verify_signatures(agreement(), {"bank-a": signature}, {"bank-a": impostor.public})


def test_a_stranger_and_an_unknown_identity_are_refused() -> None:
    signatures = signed(agreement(), "bank-x")
    with pytest.raises(AgreementError, match="bank-x is not a party"):
        verify_signatures(agreement(), signatures, {"bank-x": officer("bank-x").public})
    with pytest.raises(AgreementError, match="identity of bank-x is not known"):
        verify_signatures(agreement(), signatures, {})
    with pytest.raises(AgreementError, match="identity of bank-x is not known"):
        verify_signatures(agreement(), signatures, {"bank-x": officer("bank-a").public})


def test_a_newer_version_replaces_the_one_it_names_as_its_parent() -> None:
    first = agreement()
    second = agreement(version=2, parent=first.hash())
    in_force = Version(1, first.hash(), "active")
    assert superseded_by(first, []) is None
    assert superseded_by(second, [in_force, Version(2, second.hash(), "proposed")]) == first.hash()
    assert superseded_by(second, [Version(1, first.hash(), "terminated")]) is None
    with pytest.raises(AgreementError, match="does not name version 1, which is active"):
        superseded_by(agreement(version=2, parent="f" * 64), [in_force])


@pytest.mark.parametrize("state", ["active", "suspended", "superseded", "expired", "terminated"])
def test_no_version_steps_back_behind_one_that_was_in_force(state: str) -> None:
    with pytest.raises(AgreementError, match="version 2 has been in force already"):
        superseded_by(agreement(BANKS[:2]), [Version(2, "f" * 64, state)])


def test_the_life_of_an_agreement() -> None:
    assert set(LIFE.transitions) == set(STATES)
    assert LIFE.final == {"superseded", "expired", "terminated"}
    assert LIFE.advance("suspended", "active") == "active"
    with pytest.raises(StateError, match="an agreement that is proposed can't become suspended"):
        LIFE.advance("proposed", "suspended")
