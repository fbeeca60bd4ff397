"""What an officer signs of a member's fingerprint: only they can have said it, and the log alone shows that."""

import runpy
import shutil
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest

from consortia_common import audit_fetch, audit_standalone
from consortia_common.audit_export import export_zip
from consortia_common.audit_log import AuditLog
from consortia_common.audit_segments import LogFolder
from consortia_common.audit_verify import verify_folder
from consortia_common.documents.confirmation import CONFIRMED, Confirmation, SignedConfirmation
from consortia_common.errors import DocumentError
from consortia_coordinator.members import Members
from consortia_coordinator.relay import StatementService
from consortia_coordinator.store.members import MembersStore
from consortia_coordinator.store.statements import StatementStore
from consortia_crypto.errors import ConsortiaError
from consortia_crypto.keys import PrivateIdentity
from consortia_proto.v1 import network_pb2
from tests.fuzz.documents import confirmation
from tests.support.callers import Caller, RefusedCallError, admit, know_callers
from tests.support.parties import NOW_MS, Lab, lab

OLGA = PrivateIdentity.generate("lab", "bank-a", "officer", "olga")
PIA = PrivateIdentity.generate("lab", "bank-b", "officer", "pia")
NODES = [PrivateIdentity.generate("lab", bank, "node", "node") for bank in ("bank-a", "bank-b", "bank-c")]
A, B, _ = NODES
OWNER = PrivateIdentity.generate("lab", "bank-a", "node", "node")


def said(officer: PrivateIdentity = OLGA, of: PrivateIdentity = B, **changes: Any) -> bytes:
    value = {
        "network": "lab", "institution": officer.institution, "officer": officer.public.fingerprint,
        "member": of.institution, "role": of.role, "name": of.name,
        "fingerprint": of.public.fingerprint, "at_ms": 1,
    }  # fmt: skip
    return Confirmation.from_value(value | changes, "the test").canonical()


def test_a_confirmation_names_its_officer() -> None:
    document = said()
    signed = SignedConfirmation.of(document, OLGA.sign(CONFIRMED, document), OLGA.public)
    again = SignedConfirmation.from_canonical(signed.canonical(), "the test")
    assert again.verify() == OLGA.public
    assert again.confirmation.event(OLGA.public)["actor"] == "bank-a/officer/olga"


@pytest.mark.parametrize(
    ("document", "signature", "identity"),
    [
        (said(), OLGA.sign("job", said()), OLGA),
        (said(), PIA.sign(CONFIRMED, said()), OLGA),
        (said(), PIA.sign(CONFIRMED, said()), PIA),
        (said(), OLGA.sign(CONFIRMED, said(at_ms=2)), OLGA),
        (said(network="other"), OLGA.sign(CONFIRMED, said(network="other")), OLGA),
        (said(A), A.sign(CONFIRMED, said(A)), A),
        (b"{}", OLGA.sign(CONFIRMED, b"{}"), OLGA),
        (said(), b"", OLGA),
    ],
    ids=["domain", "signature", "identity", "statement", "network", "node", "nothing", "unsigned"],
)
def test_nothing_else_is_one(document: bytes, signature: bytes, identity: PrivateIdentity) -> None:
    with pytest.raises(ConsortiaError):
        SignedConfirmation.of(document, signature, identity.public)


def test_a_member_is_named_by_a_role_that_there_is() -> None:
    with pytest.raises(DocumentError):
        said(role="invitee")


def write(folder: Path, attached: bytes, **changes: str) -> Any:
    """A log in which a confirmation by OLGA is recorded, with this attached; the report on it."""
    event = confirmation(OLGA).confirmation.event(OLGA.public) | changes
    with AuditLog.open(folder, OWNER, "bank-a", lambda: datetime(2026, 6, 1, tzinfo=UTC)) as log:
        log.append(CONFIRMED, payload_commit=log.attach(attached), **event)
    return verify_folder(folder, OWNER.public.fingerprint)


def test_whoever_verifies_the_log_verifies_the_officer_s_signature(tmp_path: Path) -> None:
    report = write(tmp_path / "log", confirmation(OLGA).canonical())
    assert (report.verdict, report.confirmations) == ("verified", 1)
    assert "1 signed confirmations" in judged_alone(tmp_path / "log")["why"]


def judged_alone(folder: Path) -> dict[str, str]:
    """What the verifier that goes with an export says of the log."""
    export_zip([folder], folder.with_suffix(".zip"))
    root = zipfile.Path(folder.with_suffix(".zip"))
    alone = runpy.run_path(str(Path(audit_standalone.__file__).parent / "verify.py"), run_name="verify")
    judged: dict[str, str] = alone["verdict_on"](
        root / "logs" / "bank-a", root, None, (root / "policy.txt").read_text()
    )
    return judged


@pytest.mark.parametrize(
    "attached",
    [
        confirmation(PIA).canonical(),
        confirmation(OLGA).canonical().replace(b'"at_ms":1', b'"at_ms":2'),
        confirmation(OLGA).canonical().replace(b'"role":"officer"', b'"role":"analyst"'),
        confirmation(OLGA).canonical().replace(b'"signature":"', b'"signature":"00'),
        confirmation(OLGA).confirmation.canonical(),
        b"olga said so",
    ],
    ids=["another officer", "altered", "another role", "shifted", "unsigned", "no document"],
)
def test_a_log_s_owner_can_make_up_no_officer_s_word(attached: bytes, tmp_path: Path) -> None:
    report = write(tmp_path / "log", attached)
    assert (report.verdict, report.confirmations, report.entry) == ("uncovered", 0, 1)
    assert judged_alone(tmp_path / "log")["verdict"] == "tampered"


@pytest.mark.parametrize("change", [{"fingerprint": "d" * 64}, {"actor": "bank-a/officer/otto"}, {"name": "n"}])
def test_the_entry_says_what_was_signed(change: dict[str, str], tmp_path: Path) -> None:
    report = write(tmp_path / "log", confirmation(OLGA).canonical(), **change)
    assert "than the entry says" in report.cause
    assert judged_alone(tmp_path / "log") == {
        "verdict": "tampered",
        "why": "entry 1: the officer whom it names did not sign what it says",
    }


def test_what_an_officer_signed_can_not_be_left_out(tmp_path: Path) -> None:
    write(tmp_path / "log", confirmation(OLGA).canonical())
    shutil.rmtree(tmp_path / "log" / "documents")
    report = verify_folder(tmp_path / "log", OWNER.public.fingerprint)
    assert (report.verdict, report.cause) == ("unverifiable", "what the officer signed is not attached")
    assert judged_alone(tmp_path / "log")["verdict"] == "unverifiable"


def test_a_log_s_owner_may_say_it_in_its_own_name(tmp_path: Path) -> None:
    said = confirmation(OLGA).confirmation.event(OLGA.public)
    said.pop("officer")
    with AuditLog.open(tmp_path / "log", OWNER, "bank-a", lambda: datetime(2026, 6, 1, tzinfo=UTC)) as log:
        log.append(CONFIRMED, **said)
    assert verify_folder(tmp_path / "log", OWNER.public.fingerprint).verdict == "verified"
    assert "0 signed confirmations" in judged_alone(tmp_path / "log")["why"]


def test_a_copy_that_was_fetched_shows_it_too(tmp_path: Path) -> None:
    write(tmp_path / "log", confirmation(OLGA).canonical())
    audit_fetch.receive(audit_fetch.chunks(LogFolder(tmp_path / "log")), OWNER.public, tmp_path / "copy")
    report = verify_folder(tmp_path / "copy", OWNER.public.fingerprint)
    assert (report.verdict, report.confirmations) == ("verified", 1)


@pytest.fixture
def coordinator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    know_callers(monkeypatch)
    with lab(tmp_path) as made:
        admit(MembersStore(made.engine), OLGA, *NODES)
        yield made


@pytest.fixture
def relay(coordinator: Lab) -> StatementService:
    known = Members(
        "lab", MembersStore(coordinator.engine), lambda: datetime(2026, 6, 1, tzinfo=UTC), coordinator.log
    )
    store = StatementStore(coordinator.engine)
    return StatementService(known, store, coordinator.mailbox, coordinator.log, lambda: NOW_MS, coordinator.store)


def statement(document: bytes, signer: PrivateIdentity = OLGA) -> network_pb2.Statement:
    signature = signer.sign(CONFIRMED, document)
    return network_pb2.Statement(
        type=CONFIRMED, document=document, signature=signature, institution=signer.institution
    )


async def test_the_coordinator_logs_it_and_tells_both_institutions(
    coordinator: Lab, relay: StatementService
) -> None:
    await relay.Publish(statement(said()), Caller.of(OLGA))
    (entry,) = coordinator.events(CONFIRMED)
    assert (entry["actor"], entry["detail"]["fingerprint"]) == ("bank-a/officer/olga", B.public.fingerprint)
    assert sorted(task.rsplit("/", 1)[1] for task in coordinator.journalled()) == ["bank-a", "bank-b"]
    confirmed = [one.identity.institution for one in MembersStore(coordinator.engine).all() if one.confirmed_ms]
    assert confirmed == ["bank-b"]


@pytest.mark.parametrize(
    ("document", "signer", "code"),
    [
        (said(fingerprint="d" * 64), OLGA, grpc.StatusCode.FAILED_PRECONDITION),
        (said(of=PIA), OLGA, grpc.StatusCode.FAILED_PRECONDITION),
        (said(role="coordinator", member="coordinator"), OLGA, grpc.StatusCode.FAILED_PRECONDITION),
        (said(name="other"), OLGA, grpc.StatusCode.FAILED_PRECONDITION),
        (said(A), A, grpc.StatusCode.FAILED_PRECONDITION),
        (said(institution="bank-b"), OLGA, grpc.StatusCode.INVALID_ARGUMENT),
    ],
    ids=["other keys", "not enrolled", "false coordinator", "another name", "not an officer", "for another bank"],
)
async def test_what_is_not_so_is_refused_logged_and_not_passed_on(
    document: bytes, signer: PrivateIdentity, code: grpc.StatusCode, coordinator: Lab, relay: StatementService
) -> None:
    with pytest.raises(RefusedCallError) as refused:
        await relay.Publish(statement(document, signer), Caller.of(signer))
    assert refused.value.code is code
    assert len(coordinator.events("message.refused")) == 1
    assert coordinator.journalled() == []
    assert coordinator.events(CONFIRMED) == []
