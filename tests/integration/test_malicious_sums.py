"""A coordinator that runs a sealed sum as it likes, or hands out another total than the sum.

Whatever it says out of its place or in other words ends the job at the node, is on the log with the step and with
whom it blames, and nothing of one bank alone can be read from what was said before.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from consortia_common import sealed
from consortia_crypto.sum.messages import Head, SetProposal, Total
from tests.support.consortium import build
from tests.support.hostile import Bank, Hostile, blamed, counted, ended, failure_of, hostile
from tests.support.hostile_sums import Round
from tests.support.specs import BANKS, spec

ASKED: dict[str, dict[str, Any]] = {
    "sum.share": {"rids": [""], "policies": [""]},
    "sum.upload": {"message": b""},
    "sum.frame": {"first": 0},
    "sum.sign": {"message": b""},
    "sum.reveal": {"message": b""},
    "sum.total": {"first": 0, "frames": [b""], "message": b""},
}
"""Each step of the protocol."""
FOUR = (*BANKS, "bank-d")


@pytest.fixture(scope="module")
def seat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    with hostile(build(tmp_path_factory.mktemp("hostile")), max_jobs=1000) as made:
        yield made


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    """Of four banks one may drop out."""
    with hostile(build(tmp_path_factory.mktemp("four"), banks=FOUR), max_jobs=1000) as made:
        yield made


@pytest.fixture
def victim(seat: Hostile) -> Bank:
    return seat.banks["bank-c"]


def tabled(seat: Hostile, last: str, engine: str = "masked") -> Round:
    """A round of a statistics job that honestly came as far as ``last``."""
    deal = seat.begun(spec("statistics", engine=engine))
    made = seat.round(deal, "table", "query.tabulate")
    return made.until(last) if last else made


def without_bank_d(four: Hostile) -> Round:
    """A round of four that came as far as the signatures on the set of three."""
    made = four.round(four.begun(spec("statistics", parties=FOUR)), "table", "query.tabulate")
    made.share()
    made.work()
    made.upload(BANKS)
    made.sign()
    assert made.revealed == {}
    return made


def refused(made: Round, step: str, words: str, **said: Any) -> None:
    """bank-c refuses, ends the job and gives nothing more, whatever it is asked."""
    reason = ended(made.seat.banks["bank-c"], made.deal, step, failure_of(made.ask("bank-c", step, **said)))
    assert words in reason
    for other, asked in ASKED.items():
        assert "not under way" in failure_of(made.ask("bank-c", other, **asked)).what


class TestTerms:
    """R0 is compared with what the signed spec says, never negotiated."""

    @pytest.mark.parametrize(
        "said",
        [
            {"policies": ["0" * 64]},
            {"rids": ["0" * 64]},
            {"rids": None},
            {"rids": "0" * 64},
            {"rids": [], "policies": []},
            {"rids": [], "policies": ["0" * 64]},
            {"rids": ["0" * 64] * 9, "policies": ["0" * 64] * 9},
            {"attempt": 2},
            {"attempt": 0},
            {"attempt": True},
            {"sum": "tables"},
        ],
    )
    def test_other_terms_than_the_specs(self, seat: Hostile, said: dict[str, Any]) -> None:
        made = tabled(seat, "")
        asked = {name: value for name, value in ({**made.terms, **said}).items() if value is not None}
        refused(made, "sum.share", "", **asked)

    def test_more_sums_at_once_than_the_job_has(self, seat: Hostile) -> None:
        made = tabled(seat, "")
        refused(made, "sum.share", "more sealed sums than there are", **{k: v * 2 for k, v in made.terms.items()})

    def test_a_round_that_the_job_does_not_have(self, seat: Hostile) -> None:
        made = replace(tabled(seat, ""), turn=1)
        refused(made, "sum.share", "no sum 'table' of round 1", **made.terms)

    def test_uploads_made_under_two_specs_of_one_job_id(self) -> None:
        """Two submissions with one 64-bit id can be found in hours; their tables must still not add up."""
        one, other = (spec("statistics", categories={"region": codes}) for codes in ([1, 2], [98, 99]))
        policies = [sealed.policy_of("job-0123456789abcdef", wanted, "table", 0) for wanted in (one, other)]
        assert policies[0].length == policies[1].length
        assert policies[0].digest() != policies[1].digest()
        assert policies[0].rid(1) != policies[1].rid(1)


class TestRounds:
    """Something else than what comes next, or the same in other words."""

    @pytest.mark.parametrize("step", ["sum.upload", "sum.frame", "sum.sign", "sum.reveal"])
    def test_a_message_of_a_round_that_was_not_begun(self, seat: Hostile, step: str) -> None:
        honest, made = tabled(seat, "sign"), tabled(seat, "")
        made.work()
        said: dict[str, Any] = {
            "sum.upload": {"message": honest.lists["bank-c"].to_bytes()},
            "sum.frame": {"first": 0},
            "sum.sign": {"message": honest.proposal.to_bytes()},
            "sum.reveal": {"message": honest.certificate.to_bytes()},
        }
        refused(made, step, "no part in this attempt", **said[step])

    def test_an_upload_before_the_summand_is_there(self, seat: Hostile) -> None:
        made = tabled(seat, "share")
        refused(made, "sum.upload", "its summand is not there", message=made.lists["bank-c"].to_bytes())

    def test_an_upload_twice(self, seat: Hostile, victim: Bank) -> None:
        made = tabled(seat, "upload")
        refused(made, "sum.upload", "does not follow UPLOADED", message=made.lists["bank-c"].to_bytes())
        assert counted(victim, "update.sealed", made.deal) == 1
        assert blamed(victim, made.deal, "sum.upload") == ["the coordinator"]

    def test_a_list_of_fewer_than_it_takes(self, seat: Hostile, victim: Bank) -> None:
        made = tabled(seat, "work")
        whole = made.lists["bank-c"]
        few = replace(whole, listed={name: whole.listed[name] for name in ("bank-b", "bank-c")})
        refused(made, "sum.upload", "at least 3 are needed", message=few.to_bytes())
        assert counted(victim, "update.sealed", made.deal) == 0

    def test_a_list_with_another_first_message_of_somebody(self, seat: Hostile) -> None:
        made = tabled(seat, "work")
        whole = made.lists["bank-c"]
        other = replace(whole.listed["bank-a"], digest=bytes(32))
        lied = replace(whole, listed={**whole.listed, "bank-a": other})
        refused(made, "sum.upload", "signature of bank-a", message=lied.to_bytes())

    def test_a_second_set_in_one_round(self, seat: Hostile, victim: Bank) -> None:
        made = tabled(seat, "sign")
        other = SetProposal(made.proposal.ctx, {**made.proposal.uploads, "bank-a": bytes(32)})
        refused(made, "sum.sign", "two sets of summands", message=other.to_bytes())
        assert counted(victim, "sum.agreed", made.deal) == 1
        assert blamed(victim, made.deal, "sum.sign") == ["the coordinator"]

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda uploads: {"bank-c": uploads["bank-c"]}, "the agreement asks for 3"),
            (lambda uploads: {**uploads, "bank-c": bytes(32)}, "has not what this institution uploaded"),
        ],
    )
    def test_a_set_that_is_none(
        self, seat: Hostile, victim: Bank, change: Callable[[Any], Any], words: str
    ) -> None:
        made = tabled(seat, "upload")
        lied = SetProposal(made.proposal.ctx, change(dict(made.proposal.uploads)))
        refused(made, "sum.sign", words, message=lied.to_bytes())
        assert counted(victim, "sum.agreed", made.deal) == 0

    @pytest.mark.parametrize(
        "change",
        [
            lambda signatures: {name: signatures[name] for name in ("bank-a", "bank-c")},
            lambda signatures: {**signatures, "bank-a": signatures["bank-b"]},
        ],
    )
    def test_a_certificate_that_too_few_signed(self, four: Hostile, change: Callable[[Any], Any]) -> None:
        made = without_bank_d(four)
        lied = replace(made.certificate, signatures=change(dict(made.certificate.signatures)))
        refused(made, "sum.reveal", "", message=lied.to_bytes())
        assert counted(four.banks["bank-c"], "sum.revealed", made.deal) == 0

    def test_a_set_that_somebody_is_missing_from_is_not_revealed_before_its_certificate(
        self, four: Hostile
    ) -> None:
        made = without_bank_d(four)
        assert [counted(four.banks[bank], "sum.agreed", made.deal) for bank in FOUR] == [1, 1, 1, 0]
        assert [counted(four.banks[bank], "sum.revealed", made.deal) for bank in FOUR] == [0, 0, 0, 0]
        made.reveal()
        assert [counted(four.banks[bank], "sum.revealed", made.deal) for bank in FOUR] == [1, 1, 1, 0]
        made.opened()

    def test_a_set_with_nobody_missing_is_signed_revealed_and_spent_in_one(
        self, seat: Hostile, victim: Bank
    ) -> None:
        made = tabled(seat, "sign")
        assert set(made.revealed) == set(BANKS)
        assert counted(victim, "sum.revealed", made.deal) == 1
        folder = victim.tools.settings.folder / "work" / made.deal.job_id / "sums"
        assert not [path for path in folder.iterdir() if path.suffix in (".summand", ".upload")]

    @pytest.mark.parametrize("first", [1, -1, None, True])
    def test_frames_that_there_are_not(self, seat: Hostile, first: Any) -> None:
        refused(tabled(seat, "upload"), "sum.frame", "", **({} if first is None else {"first": first}))

    @pytest.mark.parametrize(("last", "step"), [("work", "upload"), ("upload", "sign"), ("sign", "reveal")])
    @pytest.mark.parametrize("message", [b"rubbish", None])
    def test_messages_that_are_none(self, seat: Hostile, victim: Bank, last: str, step: str, message: Any) -> None:
        made = tabled(seat, last)
        refused(made, f"sum.{step}", "", **({} if message is None else {"message": message}))
        assert blamed(victim, made.deal, f"sum.{step}") == (["the coordinator"] if message else [])


class TestAttempts:
    """The same update may go into another attempt, until what opens the sum is revealed."""

    def test_another_attempt_has_other_masks(self, seat: Hostile, victim: Bank) -> None:
        made = tabled(seat, "upload")
        again = replace(made, attempt=2, lists={}, uploads={})
        for step in (again.share, again.upload, again.sign, again.reveal, again.opened):
            step()
        assert again.uploads["bank-c"] != made.uploads["bank-c"]
        assert counted(victim, "update.sealed", made.deal) == 2
        assert counted(victim, "sum.opened", made.deal) == 1

    def test_an_attempt_again_after_a_later_one(self, seat: Hostile) -> None:
        made = tabled(seat, "upload")
        later = replace(made, attempt=2)
        later.told("bank-c", "sum.share", **later.terms)
        refused(made, "sum.share", "attempt 1 was asked for after attempt 2", **made.terms)

    @pytest.mark.parametrize("step", ["sum.upload", "sum.sign", "sum.frame"])
    def test_what_belongs_to_an_attempt_that_was_given_up(self, seat: Hostile, step: str) -> None:
        made = tabled(seat, "upload")
        later = replace(made, attempt=2)
        later.told("bank-c", "sum.share", **later.terms)
        said: dict[str, Any] = {
            "sum.upload": {"message": made.lists["bank-c"].to_bytes()},
            "sum.sign": {"message": made.proposal.to_bytes()},
            "sum.frame": {"first": 0},
        }
        refused(made, step, "no part in this attempt", **said[step])

    def test_what_was_revealed_is_spent(self, seat: Hostile, victim: Bank) -> None:
        """Another attempt after the first was opened would show the difference of two sums: one bank's table."""
        made = tabled(seat, "reveal")
        folder = victim.tools.settings.folder / "work" / made.deal.job_id / "sums"
        assert not [path for path in folder.iterdir() if path.suffix in (".summand", ".upload")]
        later = replace(made, attempt=2)
        refused(later, "sum.share", "after attempt 1 was REVEALED", **later.terms)

    def test_a_frame_of_what_was_revealed(self, seat: Hostile) -> None:
        refused(tabled(seat, "reveal"), "sum.frame", "spent", first=0)

    def test_a_sum_again_that_is_open(self, seat: Hostile, victim: Bank) -> None:
        made = tabled(seat, "opened")
        later = replace(made, attempt=2)
        refused(later, "sum.share", "can't be added again", **later.terms)
        assert counted(victim, "sum.opened", made.deal) == 1


class TestTotals:
    """After the honest uploads of one round, something else than their sum."""

    def refused(self, made: Round, vector: bytes | None = None, total: Total | None = None) -> None:
        victim = made.seat.banks["bank-c"]
        failure = failure_of(made.give("bank-c", vector, total))
        ended(victim, made.deal, "sum.total", failure)
        if total is None:
            assert failure.what == "the sealed total was refused"  # and not why: see TotalRefusedError
            assert counted(victim, "sum.opened", made.deal) >= 1  # it is logged before it is tried
        assert "the coordinator" in blamed(victim, made.deal, "sum.total")[0]
        assert "not under way" in failure_of(made.give("bank-c")).what

    @pytest.mark.parametrize(
        ("bank", "engine"), [("bank-a", "masked"), ("bank-c", "masked"), ("bank-a", "lattice")]
    )
    def test_one_banks_upload(self, seat: Hostile, bank: str, engine: str) -> None:
        made = tabled(seat, "reveal", engine)
        self.refused(made, made.uploads[bank])

    @pytest.mark.parametrize(
        ("who", "engine"),
        [
            (("bank-a", "bank-b"), "masked"),
            (("bank-a", "bank-a", "bank-b"), "lattice"),
            (("bank-c",) * 3, "masked"),
            ((*BANKS, "bank-b"), "masked"),
        ],
    )
    def test_a_sum_over_some_or_over_one_twice(self, seat: Hostile, who: Sequence[str], engine: str) -> None:
        made = tabled(seat, "reveal", engine)
        self.refused(made, made.added(who))

    def test_the_sum_of_another_job(self, seat: Hostile) -> None:
        first, second, third = (tabled(seat, "reveal") for _ in range(3))
        self.refused(first, third.sealed)
        self.refused(second, third.sealed, third.total)

    def test_an_upload_of_another_round(self, seat: Hostile) -> None:
        deal = seat.begun(spec("train"))
        seat.summed(deal, "prepared", "query.prepare")
        first = seat.summed(deal, "update", "train", 1)
        second = seat.round(deal, "update", "train", 2).until("reveal")
        self.refused(second, second.added(BANKS, {**second.uploads, "bank-a": first.uploads["bank-a"]}))

    @pytest.mark.parametrize(
        "change",
        [
            lambda total: replace(total, tag=total.tag ^ 1),
            lambda total: replace(total, attempt=2),
            lambda total: replace(total, heads={name: total.heads[name] for name in ("bank-a", "bank-c")}),
            lambda total: replace(
                total, heads={**total.heads, "bank-a": Head(bytes(32), total.heads["bank-a"].signature)}
            ),
            lambda total: replace(total, certificate=replace(total.certificate, signatures={})),
        ],
        ids=["tag", "attempt", "fewer", "another first message", "unsigned"],
    )
    def test_a_total_whose_papers_were_changed(self, seat: Hostile, change: Callable[[Total], Total]) -> None:
        made = tabled(seat, "reveal")
        self.refused(made, total=change(made.total))

    @pytest.mark.parametrize("frames", [[], None, [b"x"], "text", [5]])
    def test_frames_that_are_none(self, seat: Hostile, victim: Bank, frames: Any) -> None:
        made = tabled(seat, "reveal")
        said = {"first": 0, "message": made.total.to_bytes()} | ({} if frames is None else {"frames": frames})
        refused(made, "sum.total", "", **said)
        assert counted(victim, "sum.opened", made.deal) == 0
