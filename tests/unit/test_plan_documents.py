"""Plans as documents: a question is no submission, an answer is believed from its own institution alone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortia_client.errors import ResultError
from consortia_client.offering import OfferedColumn, OfferedDataset, Offering
from consortia_client.plan import Plan, checked, unlike_columns
from consortia_common.documents.kinds import names
from consortia_common.documents.plan import PlanAnswer, PlanQuestion, band
from consortia_common.errors import DocumentError
from consortia_common.traffic import Traffic, traffic
from consortia_crypto.envelope import seal
from consortia_crypto.errors import EnvelopeError
from consortia_crypto.keys import PrivateIdentity
from consortia_proto.v1 import exchange_pb2
from consortia_proto.v1 import network_pb2 as pb
from tests.support.specs import BANKS, averaging, spec

NODES = {bank: PrivateIdentity.generate("lab", bank, "node", "node") for bank in BANKS}
ANALYST = PrivateIdentity.generate("lab", "bank-a", "analyst", "ana")
IDENTITIES = {bank: node.public for bank, node in NODES.items()}
QUESTION = PlanQuestion(
    network="lab", spec=spec("train"), nonce="0" * 32, asked_ms=5, analyst=ANALYST.public.fingerprint
)


def answer(bank: str, **changes: Any) -> PlanAnswer:
    value = {
        "network": "lab",
        "institution": bank,
        "question": QUESTION.hash(),
        "agreement": "credit-risk@1#" + "b" * 64,
        "accepts": True,
        "reads": [{"dataset": "clients", "columns": ["age"], "customers": {"low": 64, "high": 128}}],
        "budgets": [{"name": "max_jobs", "used": 1, "cost": 1, "limit": 5}],
        "memory_mib": 200,
        "seconds": "1.5",
        "answered_ms": 6,
    }
    return PlanAnswer.from_value(value | changes, "the plan")


def said(
    bank: str, by: str = "", to: PrivateIdentity | None = None, job: str = QUESTION.question_id, **changes: Any
) -> pb.SignedAnswer:
    document = seal(
        answer(bank, **changes).canonical(),
        sender=NODES[by or bank],
        recipient=(to or ANALYST).public,
        purpose=QUESTION.spec.purpose,
        job=job,
        step=PlanQuestion.STEP,
        sequence=0,
    )
    return pb.SignedAnswer(institution=bank, document=document)


def plan_of(*answers: pb.SignedAnswer) -> Plan:
    return checked(QUESTION, answers, IDENTITIES, ANALYST)


def test_a_plan_is_what_every_party_says() -> None:
    refused = {"accepts": False, "clause": "max_jobs", "sentence": "5 jobs have run.", "reads": []}
    late = pb.SignedAnswer(
        institution="bank-c", failure=exchange_pb2.Failure(what="no answer", remedy="ask bank-c")
    )
    plan = plan_of(said("bank-a", officers=2), said("bank-b", **refused), late)
    assert not plan.accepted
    assert [party.verdict for party in plan.parties] == [
        "accepts, once 2 of its officers approve",
        "refuses by max_jobs",
        "no answer: no answer",
    ]
    assert (plan.memory_mib, plan.seconds, plan.rounds) == (200, 1.5, 6)
    (refusal,) = plan.refusals
    assert (refusal["refused by"], refusal["clause"], refusal["why"]) == ("bank-b", "max_jobs", "5 jobs have run.")
    assert (plan.reads, plan.budgets) == ("age of clients", {"max_jobs": "1 used, 1 more, of 5"})
    page = plan._repr_html_()
    assert all(text in page for text in ("5 jobs have run.", "age of clients", "64 to 128", "coordinator learns"))
    told = plan.document()
    assert [party["accepts"] for party in told["parties"]] == [True, False, False]
    assert told["bytes_up"] == sum(party["bytes_up"] for party in told["parties"])
    assert plan_of(*(said(bank) for bank in BANKS)).accepted


@pytest.mark.parametrize(
    ("past", "words"),
    [
        ({}, "1.5 s, reckoned for a quiet machine: no job of this kind has ended there yet"),
        ({"past_jobs": 1, "factor": "1.0"}, "1.5 s, by the one job of this kind that has ended there"),
        (
            {"past_jobs": 9, "factor": "1.4"},
            "1.5 s; of the last 9 jobs of this kind there, three in four were within 1.4 times",
        ),
    ],
)
def test_a_plan_says_how_far_its_time_may_be_off(past: dict[str, Any], words: str) -> None:
    assert (
        plan_of(said("bank-a", **past), said("bank-b", seconds="1.0"), said("bank-c", seconds="0.2")).time == words
    )
    refused = {"accepts": False, "clause": "max_jobs", "sentence": "5 jobs have run."}
    assert plan_of(*(said(bank, **refused) for bank in BANKS)).time.startswith("unknown")


@pytest.mark.parametrize(
    ("lie", "error"),
    [
        (lambda: said("bank-a", by="bank-b"), EnvelopeError),
        (lambda: said("bank-a", to=NODES["bank-c"]), EnvelopeError),
        (lambda: said("bank-a", job="plan-" + "0" * 16), EnvelopeError),
        (lambda: said("bank-a", question="c" * 64), ResultError),
        (lambda: said("bank-a", network="other"), ResultError),
        (lambda: pb.SignedAnswer(institution="bank-a", document=b"{}"), EnvelopeError),
    ],
)
def test_an_answer_that_is_another_s_or_to_something_else_is_refused(
    lie: Callable[[], pb.SignedAnswer], error: type[Exception]
) -> None:
    with pytest.raises(error):
        plan_of(lie(), said("bank-b"), said("bank-c"))


def test_one_institution_can_not_answer_for_another() -> None:
    stolen = said("bank-b")
    stolen.institution = "bank-a"
    with pytest.raises(EnvelopeError):
        plan_of(stolen)


def test_an_answer_that_the_coordinator_keeps_back_is_no_acceptance() -> None:
    plan = plan_of(said("bank-a"), said("bank-b"))
    assert not plan.accepted
    assert plan.parties[2].verdict == "no answer: nothing came"


def test_a_question_has_an_id_for_every_byte_and_is_no_submission() -> None:
    again = PlanQuestion.from_canonical(QUESTION.canonical(), "the plan")
    assert again.question_id == QUESTION.question_id
    assert QUESTION.model_copy(update={"nonce": "1" * 32}).question_id != QUESTION.question_id
    submission = QUESTION.as_submission()
    assert submission.job_id.startswith("job-")
    with pytest.raises(DocumentError):
        PlanQuestion.from_canonical(submission.canonical(), "the plan")


@given(st.integers(0, 2**50))
def test_a_number_lies_in_its_band_which_tells_it_roughly(count: int) -> None:
    found = band(count)
    assert found.low <= count < found.high
    assert found.high - found.low >= max(64, found.low)


def test_columns_that_are_not_the_same_everywhere_are_told_before_they_are_added_up() -> None:
    columns = (OfferedColumn("age"), OfferedColumn("income", differs="bank-a: CNY; bank-b: USD"))
    datasets = (OfferedDataset("clients", BANKS, columns), OfferedDataset("other", BANKS, columns))
    offering = Offering("credit-risk@1", ("p",), BANKS, ("train",), datasets)
    assert list(unlike_columns(spec("train"), offering)) == [
        "clients.income is not the same everywhere: bank-a: CNY; bank-b: USD"
    ]
    assert list(unlike_columns(spec("train", features=["age"]), offering)) == []
    plan = plan_of(*(said(bank) for bank in BANKS))
    assert plan.ready
    assert not replace(plan, unlike=("clients.income is not the same everywhere",)).ready


@given(st.integers(3, 12), st.integers(0, 40), st.sampled_from([16, 32, 64]))
def test_traffic_grows_with_parties_and_rounds(parties: int, rounds: int, word_bits: int) -> None:
    def of(parties: int, rounds: int) -> Traffic:
        names = [f"bank-{number:02}" for number in range(parties)]
        asked = spec("train", parties=names, model=averaging(rounds=rounds + 1, word_bits=word_bits))
        return sum(traffic(asked, {}).values(), Traffic(0, 0))

    small, longer, larger = of(parties, rounds), of(parties, rounds + 1), of(parties + 1, rounds)
    assert small.up < longer.up < small.up + 10**6
    assert small.down < longer.down
    assert small.up < larger.up
    assert small.down < larger.down


def test_long_vectors_are_counted_and_not_made() -> None:
    features = [f"f{number}" for number in range(256)]
    asked = spec("train", features=features, label="y", test_dataset=None, model=averaging(rounds=500))
    found = traffic(asked, {})["bank-a"]
    assert found.up > 500 * 258 * 4
    lattice = traffic(spec("train", engine="lattice"), {})
    assert lattice["bank-a"].up > traffic(spec("train"), {})["bank-a"].up


def test_fewer_rows_make_shorter_letters() -> None:
    asked = spec("score", max_rows=100_000)
    few, many = (traffic(asked, {"bank-a": rows, "bank-b": rows}) for rows in (1000, 100_000))
    assert few["bank-a"].up < many["bank-a"].up / 10
    assert few["bank-a"].down < few["bank-a"].up


@pytest.mark.parametrize("kind", names())
def test_every_kind_says_what_each_learns(kind: str) -> None:
    told = spec(kind).parameters.learns()
    assert "no value" in told["coordinator"]
    assert told["analyst"]


def test_noise_and_the_own_place_are_told() -> None:
    ranges = {"income": [0, 50_000], "age": [0, 120]}
    told = spec("statistics", place=True, noise={"epsilon": "1"}, ranges=ranges).parameters.learns()
    assert told["analyst"].endswith("with noise")
    assert "its own figures" in told["each party"]
    assert "its own figures" not in spec("statistics").parameters.learns()["each party"]
