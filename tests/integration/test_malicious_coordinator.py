"""What a coordinator that lies can make real nodes do: nothing that their people did not sign; each try is logged.

The coordinator here has its own keys, every message that an honest one would see, and the nodes' full attention.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from consortia_common.content import Content
from consortia_common.contents import in_memory
from consortia_common.documents.agreement import Agreement
from consortia_common.documents.jobspec import Submission
from consortia_crypto import canonical
from consortia_crypto.keys import PrivateIdentity
from consortia_node.store.agreements import AgreementStore
from consortia_node.store.jobs import JobStore
from consortia_proto.v1 import exchange_pb2, network_pb2
from tests.support.consortium import build
from tests.support.hostile import (
    SUBMISSION_DOMAIN,
    Bank,
    Deal,
    Hostile,
    content_of,
    counted,
    failure_of,
    fresh,
    hostile,
    notice,
)
from tests.support.specs import BANKS, spec

FINISHED = Content(config={"outcome": "finished"})


@pytest.fixture(scope="module")
def seat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    with hostile(build(tmp_path_factory.mktemp("hostile"))) as made:
        yield made


@pytest.fixture
def victim(seat: Hostile) -> Bank:
    return seat.banks["bank-c"]


def offer_refused(bank: Bank, deal: Deal, offer: Content | None = None) -> exchange_pb2.Failure:
    """The node's refusal, after making sure that it has no such job and that its log has the reason."""
    failure = failure_of(bank.ask("offer", offer or deal.offer(), job=deal.job_id))
    with bank.tools.engine.connect() as connection:
        stored = JobStore(connection).get(deal.job_id)
    assert stored is None or stored.state == "refused"
    told = bank.reasons("message.refused") + bank.reasons("job.decided")
    assert failure.what in told
    return failure


@pytest.mark.parametrize("engine", ["masked", "lattice"])
def test_the_seat_can_also_be_honest(seat: Hostile, engine: str) -> None:
    deal = seat.begun(spec("train", engine=engine))
    seat.summed(deal, "prepared", "query.prepare")
    for turn in range(1, 5):
        seat.summed(deal, "update", "train", turn)
    seat.summed(deal, "evaluation", "evaluate")
    seat.concluded(deal)
    closed = seat.everyone(deal, "close", FINISHED)
    assert all("receipt" in content.config for content in closed.values())


class TestOffers:
    def test_a_job_that_nobody_signed(self, seat: Hostile, victim: Bank) -> None:
        deal = replace(seat.deal(spec("statistics")), signature=b"")
        assert "signature" in offer_refused(victim, deal).what

    def test_a_job_that_the_coordinator_signed_in_the_analysts_name(self, seat: Hostile, victim: Bank) -> None:
        impostor = fresh("bank-a", "analyst", "ana")
        deal = seat.deal(spec("statistics"))
        forged = replace(deal, signature=impostor.sign(SUBMISSION_DOMAIN, deal.document))
        assert "does not verify" in offer_refused(victim, forged).what

    def test_a_job_of_an_analyst_of_the_coordinators_own(self, seat: Hostile, victim: Bank) -> None:
        deal = seat.deal(spec("statistics"), analyst=fresh("bank-a", "analyst", "ana"))
        assert offer_refused(victim, deal).clause == "analysts"

    def test_a_bank_is_no_analyst(self, seat: Hostile, victim: Bank) -> None:
        deal = seat.deal(spec("statistics"), analyst=seat.identity("bank-b"))
        assert offer_refused(victim, deal).clause == "analysts"

    def test_a_signature_made_for_something_else(self, seat: Hostile, victim: Bank) -> None:
        deal = seat.deal(spec("statistics"))
        moved = replace(deal, signature=seat.analyst.sign("agreement.signed", deal.document))
        assert "does not verify" in offer_refused(victim, moved).what

    def test_a_submission_under_another_job_id(self, seat: Hostile, victim: Bank) -> None:
        deal = seat.accepted(spec("statistics"))
        failure = failure_of(victim.ask("offer", deal.offer(), job="job-0123456789abcdef"))
        assert "job id" in failure.what
        assert failure.what in victim.reasons("message.refused")

    def test_a_submission_a_second_time(self, seat: Hostile, victim: Bank) -> None:
        deal = seat.accepted(spec("statistics"))
        assert failure_of(victim.ask("offer", deal.offer(), job=deal.job_id)).clause == "submission"
        assert counted(victim, "job.decided", deal) == 2

    def test_a_spec_that_was_altered_after_it_was_signed(self, seat: Hostile, victim: Bank) -> None:
        deal = seat.deal(spec("statistics"))
        submission = Submission.from_canonical(deal.document, "the submission")
        altered = submission.model_copy(update={"spec": spec("statistics", categories={"region": [1]})})
        assert "does not verify" in offer_refused(victim, replace(deal, document=altered.canonical())).what

    def test_a_submission_to_another_network(self, seat: Hostile, victim: Bank) -> None:
        submission = Submission.from_canonical(seat.deal(spec("statistics")).document, "the submission")
        document = submission.model_copy(update={"network": "elsewhere"}).canonical()
        deal = seat.deal(spec("statistics"))
        signature = seat.analyst.sign(SUBMISSION_DOMAIN, document)
        assert offer_refused(victim, replace(deal, document=document, signature=signature)).clause == "network"

    @pytest.mark.parametrize("swapped", ["bank-a", "bank-b"])
    def test_a_partys_keys_swapped_for_others(self, seat: Hostile, victim: Bank, swapped: str) -> None:
        deal = seat.deal(spec("statistics"))
        names = ["analyst", *deal.spec.parties]
        identities = list(deal.identities)
        identities[names.index(swapped)] = canonical.encode(fresh(swapped).public.document())
        failure = offer_refused(victim, replace(deal, identities=identities))
        assert failure.clause == "parties.key"
        assert swapped in failure.what

    def test_a_partys_envelope_key_alone_swapped(self, seat: Hostile, victim: Bank) -> None:
        theirs, mine = seat.identity("bank-a").public, fresh("bank-a").public
        mixed = replace(theirs, mlkem768=mine.mlkem768, x25519=mine.x25519)
        deal = seat.deal(spec("statistics"))
        deal.identities[1] = canonical.encode(mixed.document())
        assert offer_refused(victim, deal).clause == "parties.key"

    @pytest.mark.parametrize("left_out", [0, 1, 2])
    def test_an_identity_that_is_left_out(self, seat: Hostile, victim: Bank, left_out: int) -> None:
        deal = seat.deal(spec("statistics"))
        del deal.identities[left_out]
        assert offer_refused(victim, deal).what

    @pytest.mark.parametrize(
        "lie", [{"submission": "text"}, {"identities": [b"\xff"]}, {"identities": ["text"]}, {"signature": 7}]
    )
    def test_an_offer_that_is_none(self, seat: Hostile, victim: Bank, lie: dict[str, Any]) -> None:
        deal = seat.deal(spec("statistics"))
        assert offer_refused(victim, deal, Content(config={**deal.offer().config, **lie})).what


class TestAgreements:
    def agreement(self, seat: Hostile, keys: dict[str, PrivateIdentity], **changes: Any) -> Agreement:
        parties = [{"institution": name, "key": key.public.fingerprint} for name, key in keys.items()]
        value = seat.agreement.model_dump(mode="json") | {"parties": parties, "id": "made-up"} | changes
        return Agreement.from_value(value, "the test's agreement")

    def relay(
        self, seat: Hostile, agreement: Agreement, signer: PrivateIdentity, victim: Bank
    ) -> exchange_pb2.Reply:
        statement = network_pb2.Statement(
            type="agreement.signed",
            document=agreement.canonical(),
            signature=signer.sign("agreement.signed", agreement.canonical()),
            institution=signer.institution,
        )
        return victim.ask("notice.statement", notice(seat.root, statement, signer))

    def states(self, victim: Bank, agreement: Agreement) -> list[str]:
        return [known.state for known in victim.notices.all() if known.agreement.hash() == agreement.hash()]

    def test_one_whose_parties_are_all_the_coordinator(self, seat: Hostile, victim: Bank) -> None:
        keys = {bank: fresh(bank) for bank in BANKS}
        me = fresh("bank-a", "analyst", "ana")
        analysts = [{"institution": "bank-a", "name": "ana", "key": me.public.fingerprint}]
        agreement = self.agreement(seat, keys, analysts=analysts)
        for signer in keys.values():
            assert "this node's fingerprint" in failure_of(self.relay(seat, agreement, signer, victim)).what
        assert self.states(victim, agreement) == []
        assert "this node's fingerprint" in victim.reasons("agreement.refused")
        wanted = spec("statistics").model_copy(update={"agreement": "made-up@1"})
        assert offer_refused(victim, seat.deal(wanted, analyst=me)).clause == "agreement"

    def test_one_in_other_keys_would_not_help_even_if_it_were_in_force(self, seat: Hostile, victim: Bank) -> None:
        keys = {bank: fresh(bank) for bank in BANKS}
        agreement = self.agreement(seat, keys, id="smuggled")
        store = AgreementStore(victim.tools.engine)
        store.propose(agreement, lambda: None)
        for signer in keys.values():
            signature = signer.sign("agreement.signed", agreement.canonical())
            store.sign(agreement.hash(), signature, signer.public, lambda: None)
        publics = {key.public.fingerprint: key.public for key in keys.values()}
        assert store.activate(agreement.hash(), publics, lambda: None, lambda _: None)
        deal = seat.deal(spec("statistics").model_copy(update={"agreement": "smuggled@1"}))
        deal.identities.extend(canonical.encode(key.document()) for key in publics.values())
        failure = offer_refused(victim, deal)
        assert failure.clause == "parties.key"
        assert "bank-c" in failure.what

    def test_one_that_this_bank_has_not_signed(self, seat: Hostile, victim: Bank) -> None:
        keys = {bank: fresh(bank) for bank in BANKS[:2]} | {"bank-c": seat.identity("bank-c")}
        agreement = self.agreement(seat, keys)
        for signer in list(keys.values())[:2]:
            content_of(self.relay(seat, agreement, signer, victim))
        assert self.states(victim, agreement) == ["proposed"]
        wanted = spec("statistics").model_copy(update={"agreement": "made-up@1"})
        assert offer_refused(victim, seat.deal(wanted)).clause == "signatures"

    def test_a_signature_that_is_not_the_partys(self, seat: Hostile, victim: Bank) -> None:
        agreement = self.agreement(seat, {bank: seat.identity(bank) for bank in BANKS}, id="unsigned")
        assert "another key" in failure_of(self.relay(seat, agreement, fresh("bank-a"), victim)).what
        wrong = replace(seat.identity("bank-a"), seeds=fresh("bank-a").seeds)
        statement = network_pb2.Statement(
            document=agreement.canonical(),
            signature=wrong.sign("agreement.signed", agreement.canonical()),
            institution="bank-a",
        )
        relayed = victim.ask("notice.statement", notice(seat.root, statement))
        assert "not valid" in failure_of(relayed).what
        assert self.states(victim, agreement) == []
        assert not any("unsigned" in entry.get("agreement", "") for entry in victim.entries("agreement.proposed"))

    def test_a_signature_made_under_another_version(self, seat: Hostile, victim: Bank) -> None:
        agreement = self.agreement(seat, {bank: seat.identity(bank) for bank in BANKS}, id="wider")
        signature = seat.identity("bank-a").sign("agreement.signed", seat.agreement.canonical())
        statement = network_pb2.Statement(document=agreement.canonical(), signature=signature, institution="bank-a")
        assert "not valid" in failure_of(victim.ask("notice.statement", notice(seat.root, statement))).what

    def test_a_stranger_who_signs(self, seat: Hostile, victim: Bank) -> None:
        agreement = self.agreement(seat, {bank: seat.identity(bank) for bank in BANKS}, id="strange")
        assert "not a party" in failure_of(self.relay(seat, agreement, fresh("bank-x"), victim)).what


def test_an_offer_that_comes_too_late_spends_nothing(seat: Hostile, victim: Bank) -> None:
    deal = seat.deal(spec("statistics"))
    now = victim.tools.now_ms()
    victim.tools.coordinator_clock.hear(now)
    for late, why in ((now - 1, "after the time"), (now + 50_000, "")):
        task = exchange_pb2.Task(
            task_id=f"{deal.job_id}/offer/{late}/bank-c", job_id=deal.job_id, step="offer", deadline_ms=late
        )
        task.content.CopyFrom(deal.offer().to_proto())
        assert victim.tools.tasks.receive(task, in_memory(task.SerializeToString()))
        assert why in victim.agent.handle(task).failure.what
        with victim.tools.engine.connect() as connection:
            assert (JobStore(connection).get(deal.job_id) is None) == bool(why)


def test_a_step_that_comes_too_late_is_not_taken_and_ends_the_job_here(seat: Hostile, victim: Bank) -> None:
    """Whoever was away for so long was given up, or its part in a sum was; it reads, spends and tells nothing."""
    deal = seat.begun(spec("statistics"))
    late = victim.tools.now_ms() + 50_000
    victim.tools.coordinator_clock.hear(late + 1)
    task = exchange_pb2.Task(
        task_id=f"{deal.job_id}/sum.share/{late}/bank-c", job_id=deal.job_id, step="sum.share", deadline_ms=late
    )
    assert victim.tools.tasks.receive(task, in_memory(task.SerializeToString()))
    failure = victim.agent.handle(task).failure
    assert "step 'sum.share'" in failure.what
    assert "after the time" in failure.what
    with victim.tools.engine.connect() as connection:
        stored = JobStore(connection).get(deal.job_id)
    assert stored is not None
    assert (stored.state, stored.reason) == ("failed", failure.what)
