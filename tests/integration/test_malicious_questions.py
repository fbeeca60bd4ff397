"""What a coordinator can make of analysts' questions: no job, and no answer that their analyst may not have."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from consortia_common.content import Content
from consortia_common.documents.jobspec import JobSpec
from consortia_common.documents.plan import PlanAnswer, PlanQuestion
from consortia_crypto import canonical
from consortia_crypto.envelope import unseal
from consortia_crypto.keys import PrivateIdentity
from consortia_node.store.jobs import JobStore
from tests.support.consortium import build
from tests.support.hostile import SUBMISSION_DOMAIN, Bank, Hostile, content_of, failure_of, fresh, hostile
from tests.support.specs import spec


@pytest.fixture(scope="module")
def seat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    with hostile(build(tmp_path_factory.mktemp("hostile"))) as made:
        yield made


@pytest.fixture
def victim(seat: Hostile) -> Bank:
    return seat.banks["bank-b"]


@dataclass(frozen=True)
class Asked:
    """A question as it is handed to a node."""

    analyst: PrivateIdentity
    question: PlanQuestion
    signature: bytes
    identities: list[bytes]

    @property
    def content(self) -> Content:
        return Content(
            config={
                "question": self.question.canonical(),
                "signature": self.signature,
                "identities": self.identities,
            }
        )


def asked(
    seat: Hostile, what: JobSpec, analyst: PrivateIdentity | None = None, domain: str = PlanQuestion.domain()
) -> Asked:
    signer = analyst or seat.analyst
    question = PlanQuestion(
        network="lab", spec=what, nonce=secrets.token_hex(16), asked_ms=5, analyst=signer.public.fingerprint
    )
    nodes = [seat.identity(bank).public for bank in what.parties]
    known = [canonical.encode(one.document()) for one in (signer.public, *nodes)]
    return Asked(signer, question, signer.sign(domain, question.canonical()), known)


def answer_of(seat: Hostile, bank: Bank, one: Asked) -> PlanAnswer:
    """What the node sealed to the analyst, and to nobody else."""
    envelope = content_of(bank.ask(PlanQuestion.STEP, one.content, job=one.question.question_id)).config["answer"]
    document = unseal(
        envelope,
        sender=seat.identity(bank.tools.institution).public,
        recipient=one.analyst,
        purpose=one.question.spec.purpose,
        job=one.question.question_id,
        step=PlanQuestion.STEP,
        sequence=0,
    )
    return PlanAnswer.from_canonical(document, "the plan")


def test_an_honest_question_is_answered_and_leaves_no_job(seat: Hostile, victim: Bank) -> None:
    one = asked(seat, spec("train"))
    found = answer_of(seat, victim, one)
    assert found.accepts
    assert found.question == one.question.hash()
    assert found.reads[0].customers is not None
    with victim.tools.engine.connect() as connection:
        assert JobStore(connection).get(one.question.as_submission().job_id) is None
        assert JobStore(connection).get(one.question.question_id) is None
    assert found.budgets[0].used == answer_of(seat, victim, asked(seat, spec("train"))).budgets[0].used
    assert one.question.question_id in {body["detail"]["plan"] for body in victim.entries("plan.answered")}


def test_a_question_is_no_offer(seat: Hostile, victim: Bank) -> None:
    """Its signature is not one under a submission, whichever of the two documents is offered."""
    one = asked(seat, spec("train"))
    submission = one.question.as_submission()
    for document in (submission.canonical(), one.question.canonical()):
        offer = {"submission": document, "signature": one.signature, "identities": one.identities}
        failure = failure_of(victim.ask("offer", Content(config=offer), job=submission.job_id))
        assert "does not verify" in failure.what or "was refused" in failure.what
    with victim.tools.engine.connect() as connection:
        assert JobStore(connection).get(submission.job_id) is None


def test_a_submission_is_no_question(seat: Hostile, victim: Bank) -> None:
    one = asked(seat, spec("train"), domain=SUBMISSION_DOMAIN)
    failure = failure_of(victim.ask(PlanQuestion.STEP, one.content, job=one.question.question_id))
    assert "does not verify" in failure.what
    assert failure.what in victim.reasons("message.refused")


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        (lambda one: replace(one, signature=b""), "signature"),
        (lambda one: replace(one, identities=[]), "the analyst's identity is missing"),
        (lambda one: replace(one, identities=[b"{}"]), "identity"),
        (
            lambda one: replace(one, question=one.question.model_copy(update={"nonce": "0" * 32})),
            "its id is not that",
        ),
    ],
)
def test_what_the_analyst_did_not_sign_is_not_answered(seat: Hostile, victim: Bank, lie: Any, said: str) -> None:
    one = asked(seat, spec("train"))
    failure = failure_of(victim.ask(PlanQuestion.STEP, lie(one).content, job=one.question.question_id))
    assert said in failure.what
    assert failure.what in victim.reasons("message.refused")


def test_an_analyst_whom_the_agreement_does_not_name_learns_no_number(seat: Hostile, victim: Bank) -> None:
    stranger = fresh("bank-c", "analyst", "eve")
    found = answer_of(seat, victim, asked(seat, spec("train"), stranger))
    assert (found.accepts, found.clause) == (False, "analysts")
    assert (found.reads, found.budgets, found.memory_mib) == ((), (), 0)


def test_what_was_asked_before_counts_for_the_plan_as_for_an_offer(seat: Hostile, victim: Bank) -> None:
    seat.accepted(spec("statistics"))
    other = spec("statistics", categories={"region": [1, 3]})
    found = answer_of(seat, victim, asked(seat, other))
    assert (found.accepts, found.clause) == (False, "differencing")
