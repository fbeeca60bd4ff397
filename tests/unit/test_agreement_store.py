"""The store of agreements: signatures enter verified, and one version is in force at a time."""

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest
from sqlalchemy import Engine

from consortia_common.documents.agreement import Agreement
from consortia_common.documents.statements import SIGNED
from consortia_crypto.keys import PrivateIdentity
from consortia_node.agreement import Wish
from consortia_node.errors import AgreementError, StoreError
from consortia_node.store.agreements import AgreementStore
from consortia_node.store.database import open_database

BANKS = ("bank-a", "bank-b")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(tmp_path / "node.db")
    yield engine
    engine.dispose()


def no_log(*_: object) -> None:
    """The audit log of a test that does not look at it."""


def full_disk(*_: object) -> NoReturn:
    raise OSError("the log can't be written")


@cache
def officer(bank: str) -> PrivateIdentity:
    return PrivateIdentity.generate("demo", bank, "node", "node")


def agreement(version: int = 1, parent: str | None = None, title: str = "Risk") -> Agreement:
    value = {
        "schema_version": 1,
        "id": "risk",
        "version": version,
        "parent": parent,
        "title": title,
        "purposes": ["risk"],
        "parties": [{"institution": bank, "key": officer(bank).public.fingerprint} for bank in BANKS],
        "analysts": [{"institution": "bank-a", "name": "ann", "key": "a" * 64}],
        "datasets": [{"name": "clients", "owners": list(BANKS), "columns": ["limit"]}],
        "job_kinds": [{"kind": "statistics", "recipients": ["analyst"]}],
        "min_rows": 50,
        "max_jobs": 10,
        "valid_from": "2025-01-01T00:00:00Z",
        "valid_until": "2026-01-01T00:00:00Z",
    }
    return Agreement.from_value(value, "the test's agreement")


IDENTITIES = {officer(bank).public.fingerprint: officer(bank).public for bank in BANKS}


def sign(store: AgreementStore, document: Agreement, banks: Iterable[str] = BANKS) -> None:
    for bank in banks:
        signature = officer(bank).sign(SIGNED, document.canonical())
        store.sign(document.hash(), signature, officer(bank).public, no_log)


def put_in_force(store: AgreementStore, document: Agreement) -> None:
    store.propose(document, no_log)
    sign(store, document)
    assert store.activate(document.hash(), IDENTITIES, no_log, no_log)


def test_an_agreement_is_active_once_all_have_signed(engine: Engine) -> None:
    store, first = AgreementStore(engine), agreement()
    store.propose(first, no_log)
    store.propose(first, full_disk)
    sign(store, first, ["bank-b"])
    assert not store.activate(first.hash(), IDENTITIES, full_disk, full_disk)
    assert store.find("risk@1").missing == ("bank-a",)
    sign(store, first)
    assert store.activate(first.hash(), IDENTITIES, no_log, no_log)
    assert not store.activate(first.hash(), IDENTITIES, full_disk, full_disk)
    found = AgreementStore(engine).citing("risk@1")
    assert found
    assert (found.agreement, found.state, set(found.signatures)) == (first, "active", set(IDENTITIES))


def test_a_false_signature_is_not_kept(engine: Engine) -> None:
    store, first = AgreementStore(engine), agreement()
    store.propose(first, no_log)
    with pytest.raises(AgreementError):
        store.sign(first.hash(), b"\0" * 3373, officer("bank-a").public, no_log)
    assert store.find(first.hash()).signatures == {}


def test_a_newer_version_supersedes_its_parent(engine: Engine) -> None:
    store, first = AgreementStore(engine), agreement()
    second = agreement(2, first.hash())
    put_in_force(store, first)
    put_in_force(store, second)
    assert [stored.state for stored in store.all()] == ["superseded", "active"]
    with pytest.raises(AgreementError, match="version 2 has been in force"):
        put_in_force(store, agreement(title="The same version with another text"))


def test_a_reference_means_the_version_in_force_before_any_proposal(engine: Engine) -> None:
    store, first = AgreementStore(engine), agreement()
    for title in ("One", "Two", "Three"):
        store.propose(agreement(title=title), no_log)
    put_in_force(store, first)
    found = store.citing("risk@1")
    assert found
    assert found.agreement == first
    assert store.citing("risk@2") is None
    assert store.citing("fraud@1") is None


def test_no_version_is_taken_for_another_that_begins_alike(engine: Engine) -> None:
    store = AgreementStore(engine)
    tenth = agreement(version=10, parent="a" * 64)
    store.propose(tenth, no_log)
    for reference in ("risk@1", "ris", "risk@10#x", tenth.hash()[:7], tenth.reference + "0", ""):
        with pytest.raises(StoreError, match="0 agreements"):
            store.find(reference)
    for reference in ("risk", "risk@10", tenth.reference[:15], tenth.hash()[:8], tenth.hash(), tenth.reference):
        assert store.find(reference).agreement == tenth


def test_references_that_are_unknown_or_ambiguous_are_refused(engine: Engine) -> None:
    store = AgreementStore(engine)
    store.propose(agreement(), no_log)
    store.propose(agreement(title="Other"), no_log)
    for reference in ("risk@1", "fraud", ""):
        with pytest.raises(StoreError, match="agreements here have the reference"):
            store.find(reference)
    with pytest.raises(StoreError, match="no agreement with hash"):
        store.wish("f" * 64, wish("suspend"), no_log, no_log)


def wish(action: str, at_ms: int = 5, bank: str = "bank-a") -> Wish:
    return Wish(bank, officer(bank).public.fingerprint, action, at_ms)


def test_suspending_needs_the_log(engine: Engine) -> None:
    store, first = AgreementStore(engine), agreement()
    put_in_force(store, first)
    for log, effect in ((full_disk, no_log), (no_log, full_disk)):
        with pytest.raises(OSError, match="log"):
            store.wish(first.hash(), wish("suspend"), log, effect)
        assert store.find("risk").state == "active"
    effects: list[str] = []
    store.wish(first.hash(), wish("suspend"), no_log, effects.append)
    store.wish(first.hash(), wish("suspend", bank="bank-b"), no_log, effects.append)
    assert (store.find("risk").state, effects) == ("suspended", ["suspended"])


def test_what_was_said_before_changes_nothing_when_it_comes_again(engine: Engine) -> None:
    store, first = AgreementStore(engine), agreement()
    put_in_force(store, first)
    for action, at_ms, state in [
        ("suspend", 5, "suspended"),
        ("resume", 6, "active"),
        ("suspend", 7, "suspended"),
        ("resume", 6, "suspended"),
        ("resume", 8, "active"),
        ("suspend", 5, "active"),
        ("terminate", 9, "terminated"),
        ("resume", 10, "terminated"),
    ]:
        store.wish(first.hash(), wish(action, at_ms), no_log, no_log)
        assert store.find("risk").state == state


def test_a_suspension_that_comes_before_the_last_signature_counts(engine: Engine) -> None:
    store, first = AgreementStore(engine), agreement()
    store.propose(first, no_log)
    store.wish(first.hash(), wish("suspend"), no_log, full_disk)
    assert store.find("risk").state == "proposed"
    sign(store, first)
    effects: list[str] = []
    assert store.activate(first.hash(), IDENTITIES, no_log, effects.append)
    assert (store.find("risk").state, effects) == ("suspended", ["suspended"])
