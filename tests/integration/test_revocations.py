"""What a node makes of a revocation: its own coordinator's word counts, and of the revoked keys nothing more."""

from collections.abc import Iterator
from typing import Any

import pytest

from consortia_common import keyfiles
from consortia_common.content import Content
from consortia_common.documents.revocation import REVOKED, Revocation
from consortia_crypto.errors import ConsortiaError
from consortia_crypto.keys import PrivateIdentity, PublicIdentity
from consortia_node.store.jobs import JobStore
from consortia_node.witnessing import pins_of
from tests.support.consortium import build
from tests.support.hostile import Bank, Deal, Hostile, content_of, failure_of, fresh, hostile
from tests.support.specs import spec

STEP = "notice.revocation"


@pytest.fixture(scope="module")
def seat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    with hostile(build(tmp_path_factory.mktemp("hostile")), min_cell=1) as made:
        yield made


@pytest.fixture(scope="module")
def running(seat: Hostile) -> list[Deal]:
    """Two jobs under way, before anybody is revoked."""
    return [seat.begun(spec("statistics")) for _ in range(2)]


def coordinator(seat: Hostile) -> PrivateIdentity:
    return keyfiles.load_identity(seat.root / "coordinator" / "identity.key")


def said(whom: PublicIdentity, **changes: Any) -> Revocation:
    value = {
        "network": "lab",
        "institution": whom.institution,
        "role": whom.role,
        "name": whom.name,
        "fingerprint": whom.fingerprint,
        "reason": "left the network",
        "at_ms": 1,
    }
    return Revocation.from_value(value | changes, "the test's revocation")


def notice(revocation: Revocation, signer: PrivateIdentity, domain: str = REVOKED) -> Content:
    document = revocation.canonical()
    return Content(config={"document": document, "signature": signer.sign(domain, document)})


def test_only_the_coordinator_that_is_pinned_here_revokes(seat: Hostile) -> None:
    bank, victim, real = seat.banks["bank-a"], seat.identity("bank-c").public, coordinator(seat)
    lies = [
        notice(said(victim), fresh("coordinator", "coordinator", "coordinator")),
        notice(said(victim), seat.identity("bank-b")),
        notice(said(victim), real, domain="agreement.change"),
        notice(said(victim, network="other"), real),
        Content(config={"document": said(victim).canonical(), "signature": b""}),
        Content(config={"document": b"{}", "signature": real.sign(REVOKED, b"{}")}),
        Content(config={"document": "text"}),
    ]
    for lie in lies:
        assert failure_of(bank.ask(STEP, lie)).what
    assert bank.entries("member.revoked") == []
    assert len([entry for entry in bank.entries("message.refused") if entry["detail"]["step"] == STEP]) == len(lies)
    assert not bank.tools.peers.is_revoked(victim.fingerprint)


def test_the_jobs_with_a_revoked_institution_end_also_over_a_crash(seat: Hostile, running: list[Deal]) -> None:
    bank, victim = seat.banks["bank-a"], seat.identity("bank-c").public
    confirmed = pins_of(bank.tools.settings, bank.tools.engine)
    assert confirmed("bank-c") == {victim.fingerprint}
    bank.tools.peers.revoke(victim.fingerprint, b"{}")  # as if the node had died after this, before it answered
    content_of(bank.ask(STEP, notice(said(victim), coordinator(seat))))
    assert "bank-c/node/node was revoked" in ended(bank, running[0])
    assert confirmed("bank-c") == set()  # nor does its cosignature count
    again = seat.restart("bank-a")
    assert again.tools.peers.is_revoked(victim.fingerprint)
    with pytest.raises(ConsortiaError, match="were revoked"):
        again.tools.peers.get(victim.fingerprint)


def test_the_jobs_of_a_revoked_analyst_end_and_no_more_are_taken(seat: Hostile, running: list[Deal]) -> None:
    bank = seat.banks["bank-b"]
    other = fresh("bank-a", "analyst", "zoe")
    content_of(bank.ask(STEP, notice(said(other.public), coordinator(seat))))
    assert bank.entries("job.failed") == []  # somebody else's revocation ends nothing
    content_of(bank.ask(STEP, notice(said(seat.analyst.public), coordinator(seat))))
    assert "bank-a/analyst/ana was revoked" in ended(bank, running[1])
    assert failure_of(bank.ask("query.tabulate", job=running[1].job_id)).what
    deal = seat.deal(spec("statistics"))
    assert "were revoked" in failure_of(bank.ask("offer", deal.offer(), job=deal.job_id)).what
    entry = bank.entries("member.revoked")[-1]
    assert entry["reason"] == "left the network"
    assert entry["detail"]["fingerprint"] == seat.analyst.public.fingerprint


def ended(bank: Bank, deal: Deal) -> str:
    """The job is over at the bank, which keeps nothing of it; why."""
    with bank.tools.engine.connect() as connection:
        jobs = JobStore(connection)
        assert jobs.values(deal.job_id) == {}
        assert getattr(jobs.get(deal.job_id), "state", "") == "failed"
    assert not (bank.tools.settings.folder / "work" / deal.job_id).exists()
    (entry,) = (entry for entry in bank.entries("job.failed") if entry["job"] == deal.job_id)
    return str(entry["reason"])
