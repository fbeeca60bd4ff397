"""Officers sign, suspend and approve from machines of their own; every node checks for itself."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consortia_client import control, receipts
from consortia_client.errors import ClientError, ResultError
from consortia_client.officer import Officer
from consortia_client.profile import Profile
from consortia_common.audit_verify import verify_folder
from consortia_common.documents.agreement import Agreement
from consortia_common.fingerprint_words import words
from consortia_common.witness_owners import read_members
from consortia_crypto import canonical
from consortia_proto.v1 import control_pb2
from tests.support.cli import as_json, consortia
from tests.support.consortium import (
    Consortium,
    build,
    consent_notice,
    consent_table,
    enrol_person,
    make_agreement,
    running,
    wait_for,
)
from tests.support.specs import BANKS, spec

OFFICERS = {"bank-a": ("olga", "otto"), "bank-b": ("pia",), "bank-c": ("quin",)}


class Signed:
    """A running consortium whose agreement officers have signed, and their profiles."""

    def __init__(self, consortium: Consortium) -> None:
        self.consortium = consortium
        self.folders = {
            name: enrol_person(consortium, bank, "officer", name)
            for bank, names in OFFICERS.items()
            for name in names
        }
        for bank in BANKS:
            with control.node(consortium.node_config(bank)) as node:
                node.AddConsentNotice(consent_notice(), timeout=20)
                node.ImportConsent(consent_table(consortium.root / bank), timeout=60)
        self.agreement = self._agreement()

    def officer(self, name: str) -> Officer:
        return Officer(Profile.load(self.folders[name]))

    def sign(self, *names: str) -> None:
        for name in names:
            with self.officer(name) as officer:
                officer.sign(self.agreement.reference)

    def node(self, bank: str, call: str, request: Any) -> Any:
        with control.node(self.consortium.node_config(bank)) as node:
            return getattr(node, call)(request, timeout=20)

    def everywhere(self, state: str) -> None:
        for bank in BANKS:
            wait_for(self.consortium, bank, lambda view: view is not None and view.state == state)

    def waits(self, bank: str) -> list[str]:
        found = self.node(bank, "ListWaitingJobs", control_pb2.ListWaitingJobsRequest())
        return [job.job_id for job in found.jobs]

    def _agreement(self) -> Agreement:
        plain = make_agreement(self.consortium).model_dump(mode="json")
        for party in plain["parties"]:
            names = OFFICERS[party["institution"]]
            party["officers"] = [
                {"name": name, "key": Profile.load(self.folders[name]).identity.public.fingerprint}
                for name in names
            ]
            party["officers_needed"] = len(names)
        plain["approvals"] = {"kinds": ["statistics"], "officers": 1, "hours": 1}
        return Agreement.from_value(plain, "the agreement")


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signed]:
    with running(build(tmp_path_factory.mktemp("officers"))) as consortium:
        made = Signed(consortium)
        propose = control_pb2.ProposeAgreementRequest(document=made.agreement.canonical())
        made.node("bank-a", "ProposeAgreement", propose)
        for bank in BANKS[1:]:
            wait_for(consortium, bank, lambda view: view is not None)
            made.node(bank, "SignAgreement", control_pb2.SignAgreementRequest(reference="credit-risk@1"))
        made.sign("olga", "pia", "quin")
        wait_for(consortium, "bank-b", lambda view: len(view.signers) == 6)
        (view,) = made.node("bank-b", "ListAgreements", control_pb2.ListAgreementsRequest()).agreements
        assert (view.state, list(view.missing)) == ("proposed", ["bank-a"])  # one of its two officers is missing
        made.sign("otto")
        made.everywhere("active")
        yield made


def test_only_who_is_named_signs(signed: Signed) -> None:
    stranger = enrol_person(signed.consortium, "bank-b", "officer", "paul")
    with Officer(Profile.load(stranger)) as officer, pytest.raises(ClientError, match="does not name this officer"):
        officer.sign(signed.agreement.reference)
    with pytest.raises(ClientError, match="only officers sign"):
        Officer(Profile.load(signed.consortium.root / "analyst"))
    with signed.officer("pia") as officer, pytest.raises(ClientError, match="does not say which text"):
        officer.sign("credit-risk@1")


def test_an_officer_confirms_under_their_own_signature(signed: Signed) -> None:
    """All three logs have it; a node keeps what an officer says whom its people have confirmed, and no other's."""
    consortium = signed.consortium
    of_olga, of_b, of_c = (
        words(fingerprint).split()
        for fingerprint in (
            Profile.load(signed.folders["olga"]).identity.public.fingerprint,
            *(signed.node(bank, "Status", control_pb2.StatusRequest()).fingerprint for bank in BANKS[1:]),
        )
    )
    members = consortium.root / "bank-a" / "members.txt"
    before = members.read_text()
    members.unlink()
    own = ("--config", consortium.node_config("bank-a"), "--institution", "bank-a", "--role", "officer")
    known = consortia("node", "confirm", *own, "--name", "olga", "--by", "ivan", *of_olga)
    assert known.exit_code == 0, known.output
    for profile, whose, said in (("olga", "bank-b", of_b), ("otto", "bank-c", of_c)):
        done = consortia("user", "confirm", "--profile", signed.folders[profile], "--institution", whose, *said)
        assert done.exit_code == 0, done.output
    wrong = consortia("user", "confirm", "--profile", signed.folders["olga"], "--institution", "bank-b", *of_c)
    assert wrong.exit_code == 1
    assert "word by word" in wrong.output
    expected = {"coordinator": 2, "bank-a": 2, "bank-b": 1, "bank-c": 1}
    for name, count in expected.items():
        until(lambda name=name, count=count: verify_folder(consortium.log(name)).confirmations == count)
    assert set(read_members(members)) == {"bank-a/officer/olga", "bank-b"}
    members.write_text(members.read_text().replace(read_members(members)["bank-b"], "d" * 64))
    again = consortia("user", "confirm", "--profile", signed.folders["olga"], "--institution", "bank-b", *of_b)
    assert again.exit_code == 0, again.output
    until(lambda: verify_folder(consortium.log("bank-a")).confirmations == 3)
    assert read_members(members)["bank-b"] == "d" * 64  # what stands there is not replaced by a statement
    members.write_text(before)


def test_one_officer_suspends_alone_and_as_many_as_sign_resume(signed: Signed) -> None:
    shown = consortia(
        "agreement", "suspend", signed.agreement.reference, "--profile", signed.folders["olga"], "--reason", "why"
    )
    assert shown.exit_code == 0, shown.output
    signed.everywhere("suspended")
    status = signed.consortium.run(spec("statistics"))
    assert status.state == "refused"
    assert {refusal.failure.clause for refusal in status.refusals} == {"state"}
    for name in ("olga", "otto"):
        wait_for(signed.consortium, "bank-c", lambda view: view is not None and view.state == "suspended")
        resumed = consortia("agreement", "resume", signed.agreement.reference, "--profile", signed.folders[name])
        assert resumed.exit_code == 0, resumed.output
    signed.everywhere("active")
    config = signed.consortium.node_config("bank-c")
    told = as_json(consortia("agreement", "suspend", "credit-risk@1", "--config", config, "--json"))
    assert told["state"] == "suspended"
    signed.everywhere("suspended")
    with signed.officer("quin") as officer:
        officer.change(signed.agreement.reference, "resume", "", 2**42)
    signed.everywhere("suspended")  # a statement from the future does not count
    consortia("agreement", "resume", signed.agreement.reference, "--profile", signed.folders["quin"])
    signed.everywhere("active")


def test_a_job_waits_for_an_officer_of_every_party(signed: Signed, tmp_path: Path) -> None:
    job_id = signed.consortium.submit(spec("statistics"))
    signed_off = [("bank-a", "otto"), ("bank-b", "pia"), ("bank-c", "quin")]
    for bank, name in signed_off:
        until(lambda bank=bank: job_id in signed.waits(bank))
        with signed.consortium.analyst() as session:
            assert session.job(job_id).state == "offered"
        shown = as_json(consortia("job", "waiting", "--config", signed.consortium.node_config(bank), "--json"))
        assert [job["submission"]["spec"]["kind"] for job in shown] == ["statistics"]
        done = consortia("job", "approve", job_id, "--profile", signed.folders[name])
        assert done.exit_code == 0, done.output
    assert signed.consortium.finish(job_id).state == "finished"
    file = tmp_path / "proof.json"
    shown = consortia("job", "receipt", job_id, "--profile", signed.consortium.root / "analyst", "--out", file)
    assert shown.exit_code == 0, shown.output
    checked = consortia("job", "verify", file, "--agreement", signed.agreement.reference)
    assert "every party" in checked.stdout
    other = consortia("job", "verify", file, "--agreement", "credit-risk@1#" + "0" * 64)
    assert other.exit_code == 1
    spoil(file.read_bytes())


def spoil(proof: bytes) -> None:
    """Whatever is changed in a proof, it is believed no more."""
    value = json.loads(proof)
    changes: list[tuple[Any, ...]] = [
        ("parties", 0, "receipt", "cohorts", 0, "rows_used"),
        ("parties", 0, "receipt", "closed_ms"),
        ("parties", 0, "receipt", "took", "bytes_up"),
        ("agreement", "min_rows"),
        ("submission", "submitted_ms"),
    ]
    for *path, last in changes:
        copy = json.loads(proof)
        inner = copy
        for key in path:
            inner = inner[key]
        inner[last] += 1
        with pytest.raises(ResultError):
            receipts.check(canonical.encode(copy))
    value["parties"].pop()
    with pytest.raises(ResultError, match="exactly one receipt of each party"):
        receipts.check(canonical.encode(value))


def test_one_refusal_is_enough(signed: Signed) -> None:
    job_id = signed.consortium.submit(spec("statistics", columns=["age"]))
    until(lambda: job_id in signed.waits("bank-b"))
    with signed.officer("olga") as officer:
        officer.decide(job_id, "approve", "", 1)
    consortia("job", "refuse", job_id, "--profile", signed.folders["pia"], "--reason", "Not for this.")
    status = signed.consortium.finish(job_id)
    assert status.state == "refused"
    (refusal,) = status.refusals
    assert (refusal.institution, refusal.failure.clause) == ("bank-b", "approvals")
    assert "Not for this." in refusal.failure.what
    for bank in BANKS:
        until(lambda bank=bank: signed.waits(bank) == [])


def test_reports_for_authorities_come_from_the_log_alone(signed: Signed, tmp_path: Path) -> None:
    log = signed.consortium.log("bank-b")
    (told,) = as_json(consortia("report", "processing", log, "--json"))
    (used,) = [one for one in told["activities"] if one["purpose"]]
    assert used["agreement"] == signed.agreement.reference
    assert used["recipients"] == ["bank-a", "bank-c"]
    assert used["data"]["clients"] == ["age", "default", "income", "region"]
    assert used["rows_used"] > 0
    for language in ("en", "zh"):
        shown = consortia("report", "processing", log, "--lang", language)
        assert used["agreement"] in shown.stdout.replace("\n", "").replace(" ", "")
        page = tmp_path / f"{language}.html"
        written = consortia("report", "incident", log, "--lang", language, "--html", page)
        assert written.exit_code in (0, 2), written.output
        assert "default-src 'none'" in page.read_text()
    (drafted,) = as_json(consortia("report", "incident", log, "--since", "2020-01-01", "--json"))
    assert "agreement.refused" in {event["type"] for event in drafted["events"]}
    assert consortia("report", "incident", log, "--since", "never").exit_code == 64


def test_the_end_is_for_good(signed: Signed) -> None:
    for name in ("olga", "otto"):
        consortia("agreement", "terminate", signed.agreement.reference, "--profile", signed.folders[name])
    signed.everywhere("terminated")
    consortia("agreement", "resume", signed.agreement.reference, "--profile", signed.folders["pia"])
    signed.everywhere("terminated")


def until(condition: Any, seconds: float = 20) -> None:
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        threading.Event().wait(0.05)
    raise AssertionError("it did not come to be so")


def test_the_logs_agree_on_all_of_it(signed: Signed) -> None:
    logs = [signed.consortium.log(bank) for bank in BANKS]
    for log in logs:
        shown = consortia("audit", "verify", log)
        assert "verified" in shown.stdout, shown.output
        assert consortia("audit", "gaps", log).exit_code == 0, consortia("audit", "gaps", log).output
    shown = consortia("audit", "reconcile", *logs, signed.consortium.log("coordinator"))
    assert shown.exit_code == 0, shown.output
