"""What an analyst can get whom somebody pays: what the agreement gives, as often as it says, and no small groups.

The analyst's keys are in order here, and so are coordinator and banks, unless a test says otherwise.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortia_common.content import Content
from consortia_common.database import reading
from consortia_common.documents.jobspec import JobSpec
from consortia_common.documents.model import LinearModel
from consortia_common.errors import DocumentError
from consortia_common.models.scorecard import as_model
from consortia_crypto.envelope import seal, unseal
from consortia_crypto.score import data_owner
from consortia_node.stats.disclosure import recoded, regrouped
from consortia_node.store.jobs import JobStore, Spent
from consortia_node.store.models import IMPORTED, ModelStore
from consortia_proto.v1 import content_pb2
from tests.support.consortium import build
from tests.support.hostile import Deal, Hostile, content_of, failure_of, hostile
from tests.support.specs import BANKS, PURPOSE, spec

FINISHED = Content(config={"outcome": "finished"})
WEIGHTS = (0.75, -0.5)
BLOCK = 2048
"""Customers for whom one ciphertext has room."""


@pytest.fixture(scope="module")
def seat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    with hostile(build(tmp_path_factory.mktemp("bribed")), max_jobs=1000, max_scored_rows=1_000_000) as made:
        yield made


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    """A consortium whose agreement allows two jobs more than the tests of budgets run, and two blocks of scores."""
    with hostile(build(tmp_path_factory.mktemp("tight")), max_jobs=4, max_scored_rows=2 * BLOCK) as made:
        with made.banks["bank-b"].tools.engine.begin() as connection:
            model = LinearModel.from_numbers(("income", "age"), WEIGHTS, 0.25, (25_000, 60), (25_000, 60))
            ModelStore(connection).put("scorecard", as_model(model), IMPORTED)
        yield made


def altered(kind: str, parameters: dict[str, Any] | None = None, **fields: Any) -> JobSpec:
    value = spec(kind, **(parameters or {})).model_dump(mode="json") | fields
    return JobSpec.from_value(value, "the test's spec")


def refused_everywhere(seat: Hostile, wanted: JobSpec, clause: str) -> None:
    """Each party refuses by itself, by the same clause, on its log, and reads nothing."""
    deal = seat.deal(wanted)
    for party in deal.spec.parties:
        bank = seat.banks[party]
        assert failure_of(bank.ask("offer", deal.offer(), job=deal.job_id)).clause == clause
        (entry,) = (entry for entry in bank.entries("job.decided") if entry["job"] == deal.job_id)
        assert (entry["decision"], entry["detail"]["clause"]) == ("refuse", clause)
        assert deal.job_id not in [entry["job"] for entry in bank.entries("access.granted")]


def statistics(seat: Hostile, **parameters: Any) -> dict[str, Any]:
    """What the analyst gets of a whole job."""
    deal = seat.begun(spec("statistics", **parameters))
    seat.summed(deal, "table", "query.tabulate")
    answers = seat.concluded(deal)
    seat.everyone(deal, "close", FINISHED)
    return seat.opened(deal, answers)


class TestBeyondTheAgreement:
    @pytest.mark.parametrize(
        ("parameters", "clause"),
        [
            ({"columns": ["income", "salary_note"]}, "datasets.columns"),
            ({"by": ["salary_note"], "categories": {"salary_note": [1]}}, "datasets.columns"),
            ({"label": "salary_note"}, "datasets.columns"),
            ({"by": ["client"], "categories": {"client": [1]}}, "datasets.columns"),
            ({"columns": ["Income"]}, "datasets.columns"),
            ({"dataset": "consents"}, "datasets"),
        ],
    )
    def test_columns_and_datasets(self, seat: Hostile, parameters: dict[str, Any], clause: str) -> None:
        refused_everywhere(seat, spec("statistics", **parameters), clause)

    def test_the_same_in_training(self, seat: Hostile) -> None:
        refused_everywhere(seat, spec("train", features=["income", "salary_note"]), "datasets.columns")
        refused_everywhere(seat, spec("train", label="salary_note"), "datasets.columns")
        refused_everywhere(seat, spec("train", test_dataset="consents"), "datasets")

    def test_features_to_be_scored_are_refused_where_they_are_read(self, seat: Hostile) -> None:
        deal = seat.deal(spec("score", features=["income", "salary_note"], max_rows=10))
        failure = failure_of(seat.banks["bank-a"].ask("offer", deal.offer(), job=deal.job_id))
        assert failure.clause == "datasets.columns"

    def test_another_purpose(self, seat: Hostile) -> None:
        refused_everywhere(seat, altered("statistics", purpose="marketing"), "purposes")

    def test_another_agreement(self, seat: Hostile) -> None:
        refused_everywhere(seat, altered("statistics", agreement="credit-risk@2"), "agreement")

    def test_a_bank_that_is_no_party(self, seat: Hostile) -> None:
        deal = seat.deal(altered("statistics", parties=["bank-a", "bank-b", "bank-x"]))
        for bank in BANKS[:2]:
            assert failure_of(seat.banks[bank].ask("offer", deal.offer(), job=deal.job_id)).clause == "parties"

    @pytest.mark.parametrize(
        "wrong", [{"parties": ["bank-a", "bank-b"]}, {"parties": ["bank-a", "bank-b", "bank-b"]}]
    )
    def test_a_sum_over_too_few_is_not_even_a_spec(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(DocumentError):
            altered("statistics", **wrong)


class TestSmallGroups:
    @given(
        counts=st.lists(st.integers(0, 40), min_size=1, max_size=6),
        smallest=st.integers(1, 30),
    )
    def test_neither_a_group_nor_what_a_subtraction_leaves_is_small(self, counts: list[int], smallest: int) -> None:
        """Groups that are all large enough and make up the whole leave large differences only."""
        rows, whole = np.array(counts), sum(counts)
        released = [count for count in regrouped(rows, 0, recoded(rows, smallest)).tolist() if count]
        assert whole < smallest or all(count >= smallest for count in released)
        assert sum(released) == whole

    def test_single_years_of_age(self, seat: Hostile) -> None:
        result = statistics(seat, by=["age"], categories={"age": list(range(20, 80))}, label=None)
        counts = [group["count"] for group in result["groups"]]
        assert min(counts) >= seat.agreement.min_cell
        assert sum(counts) == result["overall"]["count"]
        assert len(counts) < 61

    def test_one_amount_alone(self, seat: Hostile) -> None:
        """A group of whoever has exactly one income, down to the cent, is refused: an amount is no category."""
        asked = spec("statistics", by=["income"], categories={"income": [1500, 2000, 2500]}, label=None)
        refused_everywhere(seat, asked, "node.datasets")

    def test_not_defended_yet_two_groupings_whose_difference_is_small(self) -> None:
        """Nothing relates one job to another; only noise, or a memory of cohorts, would."""
        first = np.array([1000, 500, 4])
        second = np.array([500, 1004])
        assert regrouped(first, 0, recoded(first, 10)).tolist() == [1000, 0, 504]
        assert regrouped(second, 0, recoded(second, 10)).tolist() == [500, 1004]
        assert 1004 - 1000 == 4


class TestBudgets:
    def spent(self, seat: Hostile, bank: str) -> Spent:
        with reading(seat.banks[bank].tools.engine) as connection:
            return JobStore(connection).spent(seat.agreement.reference)

    def offer(self, seat: Hostile, wanted: JobSpec) -> tuple[Deal, str]:
        """The job, and the clause by which the model's owner refused it, if it did."""
        deal = seat.deal(wanted)
        reply = seat.banks["bank-b"].ask("offer", deal.offer(), job=deal.job_id)
        return deal, reply.failure.clause

    def test_scores_are_counted_by_the_room_that_a_ciphertext_has(self, tight: Hostile) -> None:
        """A data owner that says "one customer" and sends a full block gets, and pays for, a full block."""
        deal = tight.accepted(spec("score", max_rows=1))
        made_up = np.zeros((BLOCK, 2))
        made_up[1], made_up[2] = (1, 0), (0, 1)
        secret = data_owner.new_secret()
        letter = Content(
            config={
                "public": data_owner.public_part(secret),
                "features": data_owner.encrypt(secret, made_up),
                "rows": 1,
                "lows": [0.0, 0.0],
                "highs": [50_000.0, 120.0],
            }
        )
        envelope = self.seal(tight, deal, "query.encrypt", letter)
        answer = tight.banks["bank-b"].ask(
            "query.evaluate", Content(config={"envelope": envelope}), job=deal.job_id
        )
        scores = self.open(tight, deal, content_of(answer).config["envelope.bank-a"])
        logits = data_owner.decrypt(secret, scores.config["scores"], BLOCK)
        assert np.allclose(logits[1:3] - logits[0], WEIGHTS, atol=1e-3)
        assert self.spent(tight, "bank-b").rows_scored == BLOCK
        _, clause = self.offer(tight, spec("score", max_rows=BLOCK + 1))
        assert clause == "max_scored_rows"
        _, clause = self.offer(tight, spec("score", max_rows=BLOCK))
        assert clause == ""
        _, clause = self.offer(tight, spec("score", max_rows=1))
        assert clause == "max_scored_rows"

    def test_jobs_are_counted_also_those_that_failed(self, tight: Hostile) -> None:
        while self.spent(tight, "bank-b").jobs_run < tight.agreement.max_jobs:
            deal = tight.accepted(spec("statistics"))
            tight.banks["bank-b"].ask("close", Content(config={"outcome": "failed"}), job=deal.job_id)
        _, clause = self.offer(tight, spec("statistics"))
        assert clause == "max_jobs"

    def seal(self, seat: Hostile, deal: Deal, step: str, letter: Content) -> bytes:
        return seal(
            letter.to_proto().SerializeToString(),
            sender=seat.identity("bank-a"),
            recipient=seat.identity("bank-b").public,
            purpose=PURPOSE,
            job=deal.job_id,
            step=step,
            sequence=0,
        )

    def open(self, seat: Hostile, deal: Deal, envelope: bytes) -> Content:
        plaintext = unseal(
            envelope,
            sender=seat.identity("bank-b").public,
            recipient=seat.identity("bank-a"),
            purpose=PURPOSE,
            job=deal.job_id,
            step="query.evaluate",
            sequence=0,
        )
        return Content.from_proto(content_pb2.Content.FromString(plaintext), "bank-b")


def test_a_result_is_sealed_to_the_analyst_who_signed_and_to_nobody_else(seat: Hostile) -> None:
    deal = seat.begun(spec("statistics"))
    seat.summed(deal, "table", "query.tabulate")
    answers = seat.concluded(deal)
    assert [party for party, answer in answers.items() if answer.config] == ["bank-a"]
    assert seat.opened(deal, answers)["overall"]["count"] > 0


def test_a_digest_does_not_tell_a_result_that_could_be_guessed(seat: Hostile) -> None:
    """Receipts show the digest to the coordinator; the same figures twice have two digests."""
    first, second = (statistics(seat, columns=["age"], by=[], categories={}, label=None) for _ in range(2))
    salts = first.pop("salt"), second.pop("salt")
    assert first == second
    assert salts[0] != salts[1]
    assert all(len(salt) == 64 for salt in salts)
