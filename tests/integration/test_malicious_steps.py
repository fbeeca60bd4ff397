"""A coordinator that asks for other steps than a job has, or hands out other keys and totals than it was given.

Each step of each kind has one place in its job; whatever comes elsewhere, twice or from somebody else ends the job
there, is on the log, and leaves nothing behind that could still be used.
"""

from collections.abc import Iterator, Sequence

import pytest

from consortia_common import sealed
from consortia_common.content import Content
from consortia_common.documents.kinds import Turn
from consortia_crypto.envelope import seal
from consortia_crypto.he.evaluate import Evaluator
from consortia_crypto.he.params import SUM
from consortia_crypto.sum.institution import new_secret
from consortia_node.store.jobs import JobStore
from consortia_proto.v1 import exchange_pb2
from tests.support.consortium import BANKS, PURPOSE, build, spec
from tests.support.hostile import Bank, Deal, Hostile, content_of, failure_of, fresh, hostile

FINISHED = Content(config={"outcome": "finished"})


@pytest.fixture(scope="module")
def seat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    with hostile(build(tmp_path_factory.mktemp("hostile"))) as made:
        yield made


@pytest.fixture
def victim(seat: Hostile) -> Bank:
    return seat.banks["bank-c"]


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
        assert failure_of(victim.ask("offer", deal.offer(), job=deal.job_id)).clause == "datasets.columns"
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
