"""The store of agreements: signatures enter verified, and one version is in force at a time."""

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest
from sqlalchemy import Engine

from consortia_common.documents.agreement import Agreement
from consortia_crypto.keys import PrivateIdentity
from consortia_node.agreement import SIGNATURE_DOMAIN
from consortia_node.errors import AgreementError, StateError, StoreError
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


IDENTITIES = {bank: officer(bank).public for bank in BANKS}


def sign(store: AgreementStore, document: Agreement, banks: Iterable[str] = BANKS) -> None:
    for bank in banks:
        signature = officer(bank).sign(SIGNATURE_DOMAIN, document.canonical())
        store.sign(document.hash(), signature, officer(bank).public, no_log)


def put_in_force(store: AgreementStore, document: Agreement) -> None:
    store.propose(document, no_log)
    sign(store, document)
    assert store.activate(document.hash(), IDENTITIES, no_log)


def test_an_agreement_is_active_once_all_have_signed(engine: Engine) -> None:
    store, first = AgreementStore(engine), agreement()
    store.propose(first, no_log)
    store.propose(first, full_disk)
    sign(store, first, ["bank-b"])
    assert not store.activate(first.hash(), IDENTITIES, full_disk)
    assert store.find("risk@1").missing == ("bank-a",)
    sign(store, first)
    assert store.activate(first.hash(), IDENTITIES, no_log)
    assert not store.activate(first.hash(), IDENTITIES, full_disk)
    found = AgreementStore(engine).citing("risk@1")
    assert found
    assert (found.agreement, found.state, set(found.signatures)) == (first, "active", set(BANKS))


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


def test_references_that_are_unknown_or_ambiguous_are_refused(engine: Engine) -> None:
    store = AgreementStore(engine)
    store.propose(agreement(), no_log)
    store.propose(agreement(title="Other"), no_log)
    for reference in ("risk@1", "fraud", ""):
        with pytest.raises(StoreError, match="agreements here have a reference"):
            store.find(reference)
    with pytest.raises(StoreError, match="no agreement with hash"):
        store.set_state("f" * 64, "suspended", no_log)


def test_suspending_needs_the_log_and_the_state_table(engine: Engine) -> None:
    store, first = AgreementStore(engine), agreement()
    put_in_force(store, first)
    with pytest.raises(OSError, match="log"):
        store.set_state(first.hash(), "suspended", full_disk)
    assert store.find("risk").state == "active"
    store.set_state(first.hash(), "suspended", no_log)
    assert store.find("risk").state == "suspended"
    with pytest.raises(StateError):
        store.set_state(first.hash(), "proposed", no_log)
