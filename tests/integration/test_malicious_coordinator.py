"""What a coordinator that lies can make real nodes do: nothing that their people did not sign; each try is logged.

The coordinator here has its own keys, every message that an honest one would see, and the nodes' full attention.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from consortia_common import sealed
from consortia_common.content import Content
from consortia_common.documents.agreement import Agreement
from consortia_common.documents.jobspec import Submission
from consortia_common.documents.kinds import Turn
from consortia_crypto import canonical
from consortia_crypto.envelope import seal
from consortia_crypto.he.evaluate import Evaluator
from consortia_crypto.he.params import SUM
from consortia_crypto.keys import PrivateIdentity
from consortia_crypto.sum.institution import new_secret
from consortia_node.store.agreements import AgreementStore
from consortia_node.store.jobs import JobStore
from consortia_proto.v1 import exchange_pb2, network_pb2
from tests.support.consortium import BANKS, PURPOSE, build, spec
from tests.support.hostile import SUBMISSION_DOMAIN, Bank, Deal, Hostile, content_of, failure_of, hostile, notice

FINISHED = Content(config={"outcome": "finished"})


@pytest.fixture(scope="module")
def seat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    with hostile(build(tmp_path_factory.mktemp("hostile"))) as made:
        yield made


@pytest.fixture
def victim(seat: Hostile) -> Bank:
    return seat.banks["bank-c"]


def fresh(institution: str, role: str = "node", name: str = "node") -> PrivateIdentity:
    """Keys that the coordinator made up under somebody's name."""
    return PrivateIdentity.generate("lab", institution, role, name)


def offer_refused(bank: Bank, deal: Deal, offer: Content | None = None) -> exchange_pb2.Failure:
    """The node's refusal, after making sure that it has no such job and that its log has the reason."""
    failure = failure_of(bank.ask("offer", offer or deal.offer(), job=deal.job_id))
    with bank.tools.engine.connect() as connection:
        stored = JobStore(connection).get(deal.job_id)
    assert stored is None or stored.state == "refused"
    told = bank.reasons("message.refused") + bank.reasons("job.decided")
    assert failure.what in told
    return failure


def step_refused(bank: Bank, deal: Deal, step: str, content: Content | None = None, turn: int = 0) -> None:
    """The node takes no such step, ends the job, says why on its log, and keeps neither key nor rows."""
    failure = failure_of(bank.ask(step, content, job=deal.job_id, turn=turn))
    assert failure.what
    assert any(entry["job"] == deal.job_id for entry in bank.entries("job.failed"))
    with bank.tools.engine.connect() as connection:
        jobs = JobStore(connection)
        assert jobs.values(deal.job_id) == {}
        assert getattr(jobs.get(deal.job_id), "state", "") == "failed"
    assert not (bank.tools.settings.folder / "work" / deal.job_id).exists()


def letter(envelope: bytes) -> Content:
    return Content(config={"envelope": envelope})


def counted(bank: Bank, event: str, deal: Deal) -> int:
    return sum(entry.get("job") == deal.job_id for entry in bank.entries(event))


def test_the_seat_can_also_be_honest(seat: Hostile) -> None:
    deal = seat.begun(spec("train"))
    total = seat.add(deal, "moments", seat.everyone(deal, "query.moments"))
    for turn in range(1, 5):
        total = seat.add(deal, "update", seat.everyone(deal, "train", total, turn), turn)
    total = seat.add(deal, "evaluation", seat.everyone(deal, "evaluate", total))
    seat.everyone(deal, "query.conclude", total)
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
        altered = submission.model_copy(update={"spec": spec("statistics", groups=[1])})
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
        publics = {bank: key.public for bank, key in keys.items()}
        assert store.activate(agreement.hash(), publics, lambda: None)
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


class TestSteps:
    def test_before_the_job_was_offered(self, seat: Hostile, victim: Bank) -> None:
        deal = seat.deal(spec("train"))
        for step in ("epoch.make", "epoch.join", "query.moments", "train", "query.conclude"):
            failure = failure_of(victim.ask(step, job=deal.job_id, turn=int(step == "train")))
            assert "not under way" in failure.what
        assert victim.reasons("message.refused").count(deal.job_id) == 5
        assert counted(victim, "access.granted", deal) == 0

    def test_after_the_job_was_refused_here(self, seat: Hostile, victim: Bank) -> None:
        deal = seat.deal(spec("statistics", columns=["salary_note"]))
        assert offer_refused(victim, deal).clause == "datasets.columns"
        assert "not under way" in failure_of(victim.ask("query.tabulate", job=deal.job_id)).what

    @pytest.mark.parametrize("job", ["../data", ".", "/", "..", "job-\x00", "x" * 500, "job-0123456789abcdeg"])
    def test_under_a_job_id_that_is_none(self, victim: Bank, job: str) -> None:
        for step in ("query.tabulate", "offer", "close", "\x1b[2J", "../../x"):
            victim.ask(step, job=job)
        assert (victim.tools.settings.folder / "data" / "clients.parquet").exists()
        assert (victim.tools.settings.folder / "log" / "head").exists()

    @pytest.mark.parametrize(
        ("step", "turn"),
        [
            ("train", 1),
            ("train", 2),
            ("evaluate", 0),
            ("query.conclude", 0),
            ("epoch.make", 0),
            ("query.moments", 1),
        ],
    )
    def test_out_of_order(self, seat: Hostile, victim: Bank, step: str, turn: int) -> None:
        deal = seat.accepted(spec("train"))
        step_refused(victim, deal, step, turn=turn)
        assert counted(victim, "access.granted", deal) == 0

    @pytest.mark.parametrize("step", ["query.encrypt", "query.evaluate", "query.tabulate", "no.such", ""])
    def test_of_another_kind(self, seat: Hostile, victim: Bank, step: str) -> None:
        deal = seat.begun(spec("train"))
        step_refused(victim, deal, step)
        assert counted(victim, "access.granted", deal) == 0

    def test_the_same_step_again_gets_no_second_answer(self, seat: Hostile, victim: Bank) -> None:
        """Two tables of one bank with a withdrawal in between would differ by that one customer."""
        deal = seat.begun(spec("statistics"))
        seat.everyone(deal, "query.tabulate")
        step_refused(victim, deal, "query.tabulate")
        assert counted(victim, "update.sealed", deal) == 1

    def test_the_same_task_again_gets_the_first_answer(self, seat: Hostile, victim: Bank) -> None:
        deal = seat.begun(spec("statistics"))
        task = f"{deal.job_id}/query.tabulate/0/bank-c"
        content_of(victim.ask("query.tabulate", job=deal.job_id, task=task))
        assert victim.ask("query.tabulate", FINISHED, job=deal.job_id, task=task) == exchange_pb2.Reply()
        assert counted(victim, "update.sealed", deal) == 1

    def trained(self, seat: Hostile, rounds: int) -> tuple[Deal, Content]:
        """A job that has come through so many rounds, and what the next one carries."""
        deal = seat.begun(spec("train"))
        total = seat.add(deal, "moments", seat.everyone(deal, "query.moments"))
        for turn in range(1, rounds + 1):
            total = seat.add(deal, "update", seat.everyone(deal, "train", total, turn), turn)
        return deal, total

    @pytest.mark.parametrize("turn", [1, 2, 4, 2**31])
    def test_rounds_repeated_or_skipped(self, seat: Hostile, victim: Bank, turn: int) -> None:
        """The third round is due: any other would give a second sum, or a second update, of one round."""
        deal, total = self.trained(seat, 2)
        step_refused(victim, deal, "train", total, turn)
        assert counted(victim, "update.sealed", deal) == 3

    def test_an_early_end(self, seat: Hostile, victim: Bank) -> None:
        deal, total = self.trained(seat, 1)
        step_refused(victim, deal, "query.conclude", total)
        assert counted(victim, "sum.opened", deal) == 1

    def test_a_second_conclusion(self, seat: Hostile, victim: Bank) -> None:
        deal = seat.begun(spec("statistics"))
        total = seat.add(deal, "table", seat.everyone(deal, "query.tabulate"))
        seat.everyone(deal, "query.conclude", total)
        step_refused(victim, deal, "query.conclude", total)
        assert counted(victim, "sum.opened", deal) == 1

    def test_a_receipt_for_work_that_was_not_done(self, seat: Hostile, victim: Bank) -> None:
        deal = seat.begun(spec("statistics"))
        step_refused(victim, deal, "close", FINISHED)
        assert counted(victim, "job.receipt", deal) == 0

    def test_a_receipt_twice(self, seat: Hostile, victim: Bank) -> None:
        deal = seat.begun(spec("statistics"))
        total = seat.add(deal, "table", seat.everyone(deal, "query.tabulate"))
        seat.everyone(deal, "query.conclude", total)
        seat.everyone(deal, "close", FINISHED)
        assert content_of(victim.ask("close", FINISHED, job=deal.job_id)).config == {}
        assert counted(victim, "job.receipt", deal) == 1

    @pytest.mark.parametrize("reason", ["\x00", "line\nline", "x" * 5000, "\u202e"])
    def test_an_end_with_an_unprintable_reason_still_ends(self, seat: Hostile, victim: Bank, reason: str) -> None:
        deal = seat.begun(spec("statistics"))
        content_of(victim.ask("close", Content(config={"outcome": "failed", "reason": reason}), job=deal.job_id))
        assert "not under way" in failure_of(victim.ask("query.tabulate", job=deal.job_id)).what
        assert counted(victim, "job.failed", deal) == 1

    def test_every_kinds_course_is_what_its_coordinator_asks(self) -> None:
        train, score = spec("train"), spec("score", max_rows=10)
        rounds = tuple(Turn("train", number) for number in (1, 2, 3, 4))
        rest = (Turn("query.moments"), *rounds, Turn("evaluate"), Turn("query.conclude"))
        assert train.course("bank-a") == (Turn("epoch.make"), *rest)
        assert train.course("bank-b") == (Turn("epoch.join"), *rest)
        assert score.course("bank-a") == (Turn("query.encrypt"), Turn("query.conclude"))
        assert score.course("bank-b") == (Turn("query.evaluate"),)


class TestKeys:
    def test_a_key_that_the_coordinator_sealed_itself(self, seat: Hostile, victim: Bank) -> None:
        deal = seat.accepted(spec("statistics"))
        mine = seal(
            new_secret(),
            sender=fresh("bank-a"),
            recipient=seat.identity("bank-c").public,
            purpose=PURPOSE,
            job=deal.job_id,
            step="epoch.make",
            sequence=0,
        )
        step_refused(victim, deal, "epoch.join", letter(mine))

    def test_a_key_from_another_bank_than_the_first(self, seat: Hostile, victim: Bank) -> None:
        deal = seat.accepted(spec("statistics"))
        theirs = seal(
            new_secret(),
            sender=seat.identity("bank-b"),
            recipient=seat.identity("bank-c").public,
            purpose=PURPOSE,
            job=deal.job_id,
            step="epoch.make",
            sequence=0,
        )
        step_refused(victim, deal, "epoch.join", letter(theirs))

    def test_letters_that_were_somebody_elses_or_another_jobs(self, seat: Hostile, victim: Bank) -> None:
        first, second, third = (seat.accepted(spec("statistics")) for _ in range(3))
        made = [content_of(seat.banks["bank-a"].ask("epoch.make", job=deal.job_id)) for deal in (first, second)]
        step_refused(victim, first, "epoch.join", letter(made[0].config["envelope.bank-b"]))
        step_refused(victim, second, "epoch.join", letter(made[0].config["envelope.bank-c"]))
        step_refused(victim, third, "epoch.join", letter(made[1].config["envelope.bank-c"][:-1]))

    def test_a_second_key_in_mid_job(self, seat: Hostile) -> None:
        leader = seat.banks["bank-a"]
        deal = seat.begun(spec("statistics"))
        step_refused(leader, deal, "epoch.make")
        assert counted(leader, "epoch.opened", deal) == 1


class TestTotals:
    """After the honest uploads of one round, something else than their sum."""

    def tabled(self, seat: Hostile) -> tuple[Deal, dict[str, Content]]:
        deal = seat.begun(spec("statistics"))
        return deal, seat.everyone(deal, "query.tabulate")

    def refused(self, seat: Hostile, deal: Deal, total: Content) -> None:
        victim = seat.banks["bank-c"]
        failure = failure_of(victim.ask("query.conclude", total, job=deal.job_id))
        assert failure.what == "the sealed total was refused"  # and not why: see TotalRefusedError
        assert counted(victim, "sum.opened", deal) == 1
        assert counted(victim, "job.failed", deal) == 1
        assert "not under way" in failure_of(victim.ask("query.conclude", total, job=deal.job_id)).what

    @pytest.mark.parametrize("bank", BANKS)
    def test_one_banks_upload(self, seat: Hostile, bank: str) -> None:
        deal, uploads = self.tabled(seat)
        self.refused(seat, deal, uploads[bank])

    @pytest.mark.parametrize("who", [("bank-a", "bank-b"), ("bank-a", "bank-a", "bank-b"), ("bank-c",) * 3])
    def test_a_sum_over_some_or_over_one_twice(self, seat: Hostile, who: Sequence[str]) -> None:
        deal, uploads = self.tabled(seat)
        chosen = {place: uploads[name] for place, name in zip(BANKS, who, strict=False)}
        self.refused(seat, deal, added(seat, deal, list(chosen.values())))

    def test_the_sum_of_another_job(self, seat: Hostile) -> None:
        first, _ = self.tabled(seat)
        second, uploads = self.tabled(seat)
        self.refused(seat, first, seat.add(second, "table", uploads))

    def test_an_upload_of_another_round(self, seat: Hostile) -> None:
        deal = seat.begun(spec("train"))
        moments = seat.everyone(deal, "query.moments")
        total = seat.add(deal, "moments", moments)
        first = seat.everyone(deal, "train", total, 1)
        total = seat.add(deal, "update", first, 1)
        second = seat.everyone(deal, "train", total, 2)
        mixed = seat.add(deal, "update", {**second, "bank-a": first["bank-a"]}, 2)
        victim = seat.banks["bank-c"]
        failure = failure_of(victim.ask("train", mixed, job=deal.job_id, turn=3))
        assert failure.what == "the sealed total was refused"
        assert "bank-a" in victim.reasons("job.failed").splitlines()[-1]

    def test_nothing_at_all(self, seat: Hostile) -> None:
        deal, _ = self.tabled(seat)
        victim = seat.banks["bank-c"]
        assert failure_of(victim.ask("query.conclude", job=deal.job_id)).what == "the sealed total was refused"

    def test_uploads_made_under_two_specs_of_one_job_id(self, seat: Hostile) -> None:
        """Two submissions with one 64-bit id can be found in hours; their tables must still not add up."""
        one, other = spec("statistics", groups=[1, 2]), spec("statistics", groups=[98, 99])
        policies = [sealed.policy_of("job-0123456789abcdef", wanted, "table", 0) for wanted in (one, other)]
        assert policies[0].length == policies[1].length
        assert policies[0].digest() != policies[1].digest()


def added(seat: Hostile, deal: Deal, uploads: list[Content]) -> Content:
    """Any uploads added up, which the honest adder would refuse to do."""
    evaluator = Evaluator(SUM, seat.public[deal.job_id], "the test")
    blocks = [sealed.from_content(upload, "a bank").blocks for upload in uploads]
    sums = [
        evaluator.add({str(i): block for i, block in enumerate(column)}) for column in zip(*blocks, strict=True)
    ]
    return sealed.to_content(sealed.Sealed(tuple(sums)))
