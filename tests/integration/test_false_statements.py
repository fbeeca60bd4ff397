"""Approvals and wishes that nobody entitled made: a coordinator hands them over, no node takes them for true."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from consortia_common.content import Content
from consortia_common.documents.base import Document
from consortia_common.documents.statements import APPROVAL, CHANGED, SIGNED, AgreementChange, JobApproval
from consortia_crypto import canonical
from consortia_crypto.keys import PrivateIdentity
from consortia_node.agent import Agent
from consortia_node.withdrawals import Withdrawals
from tests.support.consortium import build, make_agreement
from tests.support.hostile import Bank, Deal, Hostile, content_of, failure_of, fresh, hostile
from tests.support.specs import BANKS, spec

OFFICERS = {(bank, name): fresh(bank, "officer", name) for bank in BANKS for name in ("ana", "olga", "otto")}
OLGA, OTTO, ANA = (OFFICERS["bank-c", name] for name in ("olga", "otto", "ana"))
ASKED = spec("statistics")


@pytest.fixture(scope="module")
def seat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    consortium = build(tmp_path_factory.mktemp("statements"))
    plain = make_agreement(consortium).model_dump(mode="json")
    for party in plain["parties"]:
        named = [key for (bank, _), key in OFFICERS.items() if bank == party["institution"]]
        party["officers"] = [{"name": one.name, "key": one.public.fingerprint} for one in named]
        party["officers_needed"] = 2
    analysts = [one | {"institution": "bank-c"} for one in plain["analysts"]]
    changes = {"parties": plain["parties"], "analysts": analysts}
    approvals = {"kinds": ["statistics"], "officers": 2, "hours": 5, "dual_control": True}
    with hostile(consortium, **changes, approvals=approvals) as made:
        for bank in made.banks.values():
            for (_, name), officer in OFFICERS.items():
                if name != "ana":
                    document = made.agreement.canonical()
                    content_of(
                        bank.ask("notice.statement", carried(document, officer.sign(SIGNED, document), officer))
                    )
            assert [stored.state for stored in bank.notices.all()] == ["active"]
        yield made


@pytest.fixture
def victim(seat: Hostile) -> Bank:
    return seat.banks["bank-c"]


def carried(document: bytes, signature: bytes, signer: PrivateIdentity) -> Content:
    identity = canonical.encode(signer.public.document())
    return Content(config={"document": document, "signature": signature, "identity": identity})


def stated(model: type[Document], domain: str, author: PrivateIdentity, /, **said: Any) -> Content:
    document = model.from_value({"network": "lab", "institution": author.institution} | said, "a lie").canonical()
    return carried(document, author.sign(domain, document), author)


def approval(deal: Deal, signer: PrivateIdentity, **changes: Any) -> Content:
    said = {"job": deal.job_id, "officer": signer.public.fingerprint, "decision": "approve", "at_ms": 1}
    return stated(JobApproval, APPROVAL, signer, **(said | changes))


def waits(bank: Bank, deal: Deal) -> bool:
    answer = bank.ask("approval", job=deal.job_id)
    return answer.HasField("content") and Content.from_proto(answer.content, "a node").config["waiting_ms"] > 0


@pytest.mark.parametrize(
    ("changes", "signer"),
    [
        ({}, fresh("bank-c", "officer", "olga")),
        ({}, fresh("bank-c", "officer", "mallory")),
        ({}, OFFICERS["bank-a", "olga"]),
        ({"institution": "bank-c"}, OFFICERS["bank-a", "olga"]),
        ({"network": "other"}, OLGA),
        ({"job": "job-" + "0" * 16}, OLGA),
        ({"officer": OTTO.public.fingerprint}, OLGA),
        ({}, ANA),
    ],
)
def test_an_approval_by_nobody_entitled_does_not_count(
    seat: Hostile, victim: Bank, changes: dict[str, Any], signer: PrivateIdentity
) -> None:
    deal = seat.accepted(ASKED)
    content_of(victim.ask("notice.approval", approval(deal, OTTO), job=deal.job_id))
    failure_of(victim.ask("notice.approval", approval(deal, signer, **changes), job=deal.job_id))
    assert waits(victim, deal)
    assert not any(entry["job"] == deal.job_id for entry in victim.entries("job.approved"))


def test_a_signature_for_another_job_or_in_another_role_does_not_count(seat: Hostile, victim: Bank) -> None:
    deal, other = seat.accepted(ASKED), seat.accepted(ASKED)
    good = approval(other, OLGA).config
    content = approval(deal, OLGA).config
    for lie in (
        Content(config=good),
        Content(config=content | {"signature": good["signature"]}),
        Content(config=content | {"signature": OLGA.sign(CHANGED, content["document"])}),  # type: ignore[arg-type]
        Content(config=content | {"document": b"{}"}),
        Content(config={"document": content["document"]}),
    ):
        failure_of(victim.ask("notice.approval", lie, job=deal.job_id))
    assert waits(victim, deal)


def test_nothing_is_done_before_enough_have_approved(seat: Hostile, victim: Bank) -> None:
    deal = seat.accepted(ASKED)
    for _ in range(3):
        content_of(victim.ask("notice.approval", approval(deal, OLGA), job=deal.job_id))
    for step, content in (
        ("epoch.join", None),
        ("query.sum", None),
        ("close", Content(config={"outcome": "finished"})),
    ):
        failure_of(victim.ask(step, content, job=deal.job_id))
    assert waits(victim, deal)
    assert not any(entry["job"] == deal.job_id for entry in victim.entries("access.granted"))
    content_of(victim.ask("notice.approval", approval(deal, OTTO), job=deal.job_id))
    assert not waits(victim, deal)
    (approved,) = [entry for entry in victim.entries("job.approved") if entry["job"] == deal.job_id]
    assert len(approved["detail"]["officers"]) == 2
    failure_of(victim.ask("notice.approval", approval(deal, OLGA, decision="refuse"), job=deal.job_id))


def test_silence_refuses_in_the_end(seat: Hostile, victim: Bank) -> None:
    deal = seat.accepted(ASKED)
    content_of(victim.ask("notice.approval", approval(deal, OLGA), job=deal.job_id))
    clock = victim.tools.clock
    tools = replace(victim.tools, clock=lambda: clock() + timedelta(hours=5, seconds=1))
    later = replace(victim, tools=tools, agent=Agent(tools, victim.notices, Withdrawals(tools), victim.models))
    failure_of(later.ask("notice.approval", approval(deal, OTTO), job=deal.job_id))
    for _ in range(2):
        failure = failure_of(later.ask("approval.end", job=deal.job_id))
        assert (failure.code, failure.clause) == ("refused", "approvals")
    assert "in the 5 hours" in victim.reasons("job.disapproved")


def change(seat: Hostile, author: PrivateIdentity, action: str = "suspend", /, **changes: Any) -> Content:
    said = {"agreement": seat.agreement.reference, "signer": author.public.fingerprint, "action": action}
    return stated(AgreementChange, CHANGED, author, **(said | {"at_ms": 5} | changes))


@pytest.mark.parametrize(
    ("changes", "signer"),
    [
        ({}, fresh("bank-a")),
        ({}, fresh("bank-x")),
        ({}, fresh("bank-a", "officer", "olga")),
        ({}, fresh("bank-a", "analyst", "olga")),
        ({"network": "other"}, OLGA),
        ({"institution": "bank-a"}, OLGA),
        ({"signer": OTTO.public.fingerprint}, OLGA),
        ({"at_ms": 2**45}, OLGA),
    ],
)
def test_a_wish_by_nobody_entitled_changes_nothing(
    seat: Hostile, victim: Bank, changes: dict[str, Any], signer: PrivateIdentity
) -> None:
    before = len(victim.entries("agreement.refused"))
    failure_of(victim.ask("notice.change", change(seat, signer, **changes)))
    assert [stored.state for stored in victim.notices.all()] == ["active"]
    assert len(victim.entries("agreement.refused")) == before + 1


def test_a_wish_about_an_agreement_that_is_not_here_is_passed_over(seat: Hostile, victim: Bank) -> None:
    content_of(victim.ask("notice.change", change(seat, OLGA, agreement="other@1#" + "0" * 64)))
    assert [stored.state for stored in victim.notices.all()] == ["active"]


def test_a_suspension_stops_a_running_job_and_an_old_wish_does_not_undo_it(seat: Hostile, victim: Bank) -> None:
    deal = seat.accepted(ASKED)
    for officer in (OLGA, OTTO):
        content_of(victim.ask("notice.approval", approval(deal, officer), job=deal.job_id))
    old = [change(seat, officer, "resume", at_ms=50) for officer in (OLGA, OTTO)]
    content_of(victim.ask("notice.change", change(seat, OLGA, at_ms=60)))
    for wish in old:
        content_of(victim.ask("notice.change", wish))
    assert [stored.state for stored in victim.notices.all()] == ["suspended"]
    failure = failure_of(victim.ask("epoch.join", job=deal.job_id))
    assert failure.clause == "state"
    for officer in (OLGA, OTTO):
        content_of(victim.ask("notice.change", change(seat, officer, "resume", at_ms=61)))
    content_of(victim.ask("notice.change", change(seat, OLGA, at_ms=60)))
    assert [stored.state for stored in victim.notices.all()] == ["active"]
