"""A coordinator that asks for other steps than a job has, or hands out other keys and totals than it was given.

Each step of each kind has one place in its job; whatever comes elsewhere, twice or from somebody else ends the job
there, is on the log, and leaves nothing behind that could still be used.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from consortia_common import sealed
from consortia_common.content import Content
from consortia_common.documents.jobspec import EPOCH
from consortia_common.documents.kinds import Turn
from consortia_crypto.sum.epoch_messages import KeyDocument
from consortia_proto.v1 import exchange_pb2
from tests.support.consortium import build
from tests.support.hostile import (
    Bank,
    Deal,
    Hostile,
    blamed,
    content_of,
    counted,
    failure_of,
    fresh,
    hostile,
    letters,
    step_refused,
)
from tests.support.specs import BANKS, spec

FINISHED = Content(config={"outcome": "finished"})


@pytest.fixture(scope="module")
def seat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    with hostile(build(tmp_path_factory.mktemp("hostile")), max_jobs=1000) as made:
        yield made


@pytest.fixture
def victim(seat: Hostile) -> Bank:
    return seat.banks["bank-c"]


class TestSteps:
    def test_before_the_job_was_offered(self, seat: Hostile, victim: Bank) -> None:
        deal = seat.deal(spec("train"))
        steps = ("epoch.key", "epoch.join", "query.prepare", "train", "query.conclude", *sealed.STEPS)
        for step in steps:
            failure = failure_of(victim.ask(step, job=deal.job_id, turn=int(step == "train")))
            assert "not under way" in failure.what
        assert victim.reasons("message.refused").count(deal.job_id) == len(steps)
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
            ("epoch.seed", 0),
            ("epoch.confirm", 0),
            ("query.prepare", 0),
            ("query.prepare", 1),
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
        assert counted(victim, "access.granted", deal) == 1

    def test_the_same_task_again_gets_the_first_answer(self, seat: Hostile, victim: Bank) -> None:
        deal = seat.begun(spec("statistics"))
        task = f"{deal.job_id}/query.tabulate/0/bank-c"
        content_of(victim.ask("query.tabulate", job=deal.job_id, task=task))
        assert victim.ask("query.tabulate", FINISHED, job=deal.job_id, task=task) == exchange_pb2.Reply()
        assert counted(victim, "access.granted", deal) == 1

    def trained(self, seat: Hostile, rounds: int) -> Deal:
        """A job that has come through so many rounds."""
        deal = seat.begun(spec("train"))
        seat.summed(deal, "prepared", "query.prepare")
        for turn in range(1, rounds + 1):
            seat.summed(deal, "update", "train", turn)
        return deal

    @pytest.mark.parametrize("turn", [1, 2, 4, 2**31])
    def test_rounds_repeated_or_skipped(self, seat: Hostile, victim: Bank, turn: int) -> None:
        """The third round is due: any other would give a second sum, or a second update, of one round."""
        deal = self.trained(seat, 2)
        step_refused(victim, deal, "train", turn=turn)
        assert counted(victim, "update.sealed", deal) == 3

    def test_an_early_end(self, seat: Hostile, victim: Bank) -> None:
        deal = self.trained(seat, 1)
        step_refused(victim, deal, "query.conclude")
        assert counted(victim, "sum.opened", deal) == 2

    def fitted(self, seat: Hostile, rounds: int) -> Deal:
        """A regression that has come through so many rounds, of more than it needs."""
        model = {"type": "logistic_regression", "rounds": 30, "l2": "0.01"}
        deal = seat.begun(spec("train", model=model, test_dataset=None))
        seat.summed(deal, "prepared", "query.prepare")
        for turn in range(1, rounds + 1):
            seat.summed(deal, "update", "train", turn)
        return deal

    @pytest.mark.parametrize("step", ["query.conclude", "evaluate"])
    def test_a_fit_whose_end_the_node_has_not_found(self, seat: Hostile, victim: Bank, step: str) -> None:
        """Rounds may be left out, but when, no coordinator says."""
        deal = self.fitted(seat, 2)
        step_refused(victim, deal, step)
        assert counted(victim, "sum.opened", deal) == 3

    def test_after_its_end_a_fit_gives_zeros_and_then_its_result(self, seat: Hostile, victim: Bank) -> None:
        """The rounds behind the end may still be asked for, in their order; or none of them."""
        deal = self.fitted(seat, 12)
        assert seat.opened(deal, seat.concluded(deal))["training"]["converged"]
        step_refused(victim, deal, "train", turn=13)

    def test_a_conclusion_without_the_sum(self, seat: Hostile, victim: Bank) -> None:
        deal = seat.begun(spec("statistics"))
        seat.round(deal, "table", "query.tabulate").until("reveal")
        step_refused(victim, deal, "query.conclude")

    def test_a_second_conclusion(self, seat: Hostile, victim: Bank) -> None:
        deal = seat.begun(spec("statistics"))
        seat.summed(deal, "table", "query.tabulate")
        seat.concluded(deal)
        step_refused(victim, deal, "query.conclude")
        assert counted(victim, "sum.opened", deal) == 1

    def test_a_receipt_for_work_that_was_not_done(self, seat: Hostile, victim: Bank) -> None:
        deal = seat.begun(spec("statistics"))
        step_refused(victim, deal, "close", FINISHED)
        assert counted(victim, "job.receipt", deal) == 0

    def test_a_receipt_twice(self, seat: Hostile, victim: Bank) -> None:
        deal = seat.begun(spec("statistics"))
        seat.summed(deal, "table", "query.tabulate")
        seat.concluded(deal)
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
        rest = (Turn("query.prepare"), *rounds, Turn("evaluate"), Turn("query.conclude"))
        assert train.course("bank-a") == train.course("bank-b") == (*EPOCH, *rest)
        assert score.course("bank-a") == (Turn("query.encrypt"), Turn("query.conclude"))
        assert score.course("bank-b") == (Turn("query.evaluate"),)


class TestKeys:
    """In the epoch: other keys, parts or confirmations than the parties sent."""

    def keyed(self, seat: Hostile) -> tuple[Deal, dict[str, bytes]]:
        deal = seat.accepted(spec("statistics"))
        return deal, {party: made.config["key"] for party, made in seat.everyone(deal, "epoch.key").items()}

    def test_a_key_that_the_coordinator_made(self, seat: Hostile, victim: Bank) -> None:
        deal, keys = self.keyed(seat)
        other, _ = self.keyed(seat)
        theirs = content_of(seat.banks["bank-a"].ask("epoch.key", job=seat.accepted(spec("statistics")).job_id))
        for place, document in enumerate((theirs.config["key"], self.forged(seat, keys["bank-a"]))):
            asked = (deal, other)[place]
            shown = Content(config={"keys": [document, keys["bank-b"], keys["bank-c"]]})
            step_refused(victim, asked, "epoch.seed", shown)
            assert blamed(victim, asked, "epoch.seed")

    def forged(self, seat: Hostile, document: bytes) -> bytes:
        """The document with the coordinator's own round key, signed by a bank-a that it made up."""
        made = KeyDocument.from_bytes(document)
        mine = replace(made, ed25519=fresh("bank-a").public.ed25519, signature=b"")
        return replace(mine, signature=fresh("bank-a").sign("sum-epoch-key", mine.to_bytes())).to_bytes()

    @pytest.mark.parametrize(
        "change",
        [
            lambda keys: keys[:2],
            lambda keys: [keys[0], keys[0], keys[2]],
            lambda keys: [keys[0][:-1], *keys[1:]],
            lambda keys: "none",
        ],
    )
    def test_keys_left_out_or_doubled_or_cut(
        self, seat: Hostile, victim: Bank, change: Callable[[list[bytes]], Any]
    ) -> None:
        deal, keys = self.keyed(seat)
        step_refused(victim, deal, "epoch.seed", Content(config={"keys": change(list(keys.values()))}))

    def test_other_keys_for_one_party_than_for_the_others(self, seat: Hostile, victim: Bank) -> None:
        """It makes bank-a begin twice, by two submissions of one spec; what is sealed to one does not open."""
        deal, keys = self.keyed(seat)
        shown = Content(config={"keys": list(keys.values())})
        sent = {party: seat.ask(deal, party, "epoch.seed", shown) for party in ("bank-a", "bank-b")}
        sent["bank-c"] = seat.ask(deal, "bank-c", "epoch.seed", shown)
        joined = letters(sent, "bank-c")
        swapped = {**joined.config, "envelope.bank-a": sent["bank-a"].config["envelope.bank-b"]}
        step_refused(victim, deal, "epoch.join", Content(config=swapped))
        assert blamed(victim, deal, "epoch.join")

    @pytest.mark.parametrize("sender", ["bank-a", "bank-b"])
    @pytest.mark.parametrize("letter", [b"", b"x" * 100, None])
    def test_letters_that_are_none(self, seat: Hostile, victim: Bank, sender: str, letter: bytes | None) -> None:
        deal, keys = self.keyed(seat)
        sent = seat.everyone(deal, "epoch.seed", Content(config={"keys": list(keys.values())}))
        joined = dict(letters(sent, "bank-c").config)
        joined.pop(f"envelope.{sender}")
        step_refused(
            victim,
            deal,
            "epoch.join",
            Content(config=joined if letter is None else {**joined, f"envelope.{sender}": letter}),
        )

    def test_a_letter_of_another_job(self, seat: Hostile, victim: Bank) -> None:
        sent = []
        for deal, keys in (self.keyed(seat), self.keyed(seat)):
            shown = Content(config={"keys": list(keys.values())})
            sent.append((deal, seat.everyone(deal, "epoch.seed", shown)))
        (first, old), (second, new) = sent
        mixed = dict(letters(new, "bank-c").config) | {"envelope.bank-a": old["bank-a"].config["envelope.bank-c"]}
        step_refused(victim, second, "epoch.join", Content(config=mixed))
        assert first.job_id != second.job_id

    @pytest.mark.parametrize(
        "change", [lambda said: said[:2], lambda said: [said[0]] * 3, lambda said: [*said[:2], b"x"]]
    )
    def test_confirmations_that_are_not_everybodys(
        self, seat: Hostile, victim: Bank, change: Callable[[list[bytes]], list[bytes]]
    ) -> None:
        deal, keys = self.keyed(seat)
        sent = seat.everyone(deal, "epoch.seed", Content(config={"keys": list(keys.values())}))
        said = [seat.ask(deal, party, "epoch.join", letters(sent, party)).config["confirm"] for party in BANKS]
        step_refused(victim, deal, "epoch.confirm", Content(config={"confirms": change(said)}))
        assert counted(victim, "epoch.opened", deal) == 0

    def test_a_second_epoch_in_mid_job(self, seat: Hostile, victim: Bank) -> None:
        deal = seat.begun(spec("statistics"))
        step_refused(victim, deal, "epoch.key")
        assert counted(victim, "epoch.opened", deal) == 1

    def test_a_sum_before_there_are_keys(self, seat: Hostile, victim: Bank) -> None:
        deal, _ = self.keyed(seat)
        policy = sealed.policy_of(deal.job_id, deal.spec, "table", 0)
        terms = {"sum": "table", "attempt": 1, "rids": [policy.rid(1)], "policies": [policy.digest()]}
        assert "before its parties agreed" in step_refused(victim, deal, "sum.share", Content(config=terms))
