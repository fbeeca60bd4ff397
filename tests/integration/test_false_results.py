"""A coordinator that hands the analyst's client anything but the result that every party signed for."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from consortia_client.believed import JobResult
from consortia_client.errors import ResultError
from consortia_client.profile import Profile
from consortia_client.session import Session
from consortia_common.content import Content
from consortia_common.documents.jobspec import Submission
from consortia_common.documents.receipt import SIGNATURE_DOMAIN, Receipt
from consortia_coordinator.pages import pieces
from consortia_crypto import canonical
from consortia_crypto.envelope import seal
from consortia_crypto.errors import ConsortiaError
from consortia_crypto.keys import PrivateIdentity
from consortia_proto.v1 import network_pb2 as pb
from tests.support.consortium import Consortium, build
from tests.support.hostile import Deal, Hostile, hostile
from tests.support.specs import BANKS, PURPOSE, spec

FINISHED = Content(config={"outcome": "finished"})
MADE_UP = b'{"kind":"statistics","overall":{"count":1}}'


@dataclass
class Answers:
    """Stands in for both services: what the coordinator says, whatever it is asked."""

    result: pb.JobResult
    members: list[bytes]

    def Result(self, request: pb.JobRequest, timeout: float) -> Iterator[pb.JobResult]:
        return pieces(self.result)

    def Members(self, request: pb.MembersRequest, timeout: float) -> Iterator[pb.MemberList]:
        return (pb.MemberList(identities=[member]) for member in self.members)


@dataclass(frozen=True)
class Story:
    """A finished job, and what an honest coordinator would say of it."""

    seat: Hostile
    deal: Deal
    result: pb.JobResult

    def told(self, folder: Path, result: pb.JobResult, members: list[PrivateIdentity] | None = None) -> JobResult:
        """What the client makes of ``result`` and of the members shown to it."""
        profile = Profile.load(self.seat.root / "analyst")
        shown = members or [self.seat.identity(bank) for bank in BANKS]
        identities = [canonical.encode(member.public.document()) for member in shown]
        with Session(replace(profile, settings=profile.settings.model_copy(update={"folder": folder}))) as session:
            session._keepsakes.keep_submission(Submission.from_canonical(self.deal.document, "the submission"))
            session._jobs = session._statements = Answers(result, identities)
            return session.result(self.deal.job_id)

    def with_receipt(self, bank: str, **changes: Any) -> pb.JobResult:
        """As if ``bank`` had signed something else."""
        changed = pb.JobResult.FromString(self.result.SerializeToString())
        (signed,) = (item for item in changed.receipts if item.institution == bank)
        receipt = Receipt.from_canonical(signed.document, "the receipt").model_copy(update=changes)
        signed.document = receipt.canonical()
        signed.signature = self.seat.identity(bank).sign(SIGNATURE_DOMAIN, signed.document)
        return changed

    def sealed_by(self, sender: PrivateIdentity, plaintext: bytes = MADE_UP) -> bytes:
        return seal(
            plaintext,
            sender=sender,
            recipient=self.seat.analyst.public,
            purpose=PURPOSE,
            job=self.deal.job_id,
            step="result",
            sequence=0,
        )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Consortium:
    return build(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def seat(lab: Consortium) -> Iterator[Hostile]:
    with hostile(lab) as made:
        yield made


@pytest.fixture(scope="module")
def story(seat: Hostile) -> Story:
    return finished(seat)


@pytest.fixture(scope="module")
def other(seat: Hostile) -> Story:
    return finished(seat)


def finished(seat: Hostile) -> Story:
    deal = seat.begun(spec("statistics"))
    seat.summed(deal, "table", "query.tabulate")
    answers = seat.concluded(deal)
    closed = seat.everyone(deal, "close", FINISHED)
    receipts = [
        pb.SignedReceipt(institution=bank, document=said.config["receipt"], signature=said.config["signature"])
        for bank, said in closed.items()
    ]
    envelope = answers["bank-a"].config["envelope.analyst"]
    return Story(
        seat, deal, pb.JobResult(job_id=deal.job_id, envelope=envelope, receipts=receipts, sealed_by="bank-a")
    )


def altered(result: pb.JobResult, **changes: Any) -> pb.JobResult:
    fields = {
        "job_id": result.job_id,
        "envelope": result.envelope,
        "receipts": list(result.receipts),
        "sealed_by": result.sealed_by,
    }
    return pb.JobResult(**fields | changes)


def test_the_true_result_is_believed(story: Story, tmp_path: Path) -> None:
    opened = story.told(tmp_path, story.result)
    assert opened.result["overall"]["count"] > 0
    assert "salt" not in opened.result
    assert [receipt.institution for receipt in opened.receipts] == list(BANKS)


@pytest.mark.parametrize("missing", BANKS)
def test_a_receipt_that_is_missing(story: Story, tmp_path: Path, missing: str) -> None:
    receipts = [item for item in story.result.receipts if item.institution != missing]
    with pytest.raises(ResultError, match=f"{missing} gave no receipt"):
        story.told(tmp_path, altered(story.result, receipts=receipts))


def test_receipts_and_result_of_another_job(story: Story, other: Story, tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="for another job"):
        story.told(tmp_path, other.result)
    with pytest.raises(ResultError, match="for another job"):
        story.told(tmp_path, altered(story.result, receipts=other.result.receipts))


def test_a_result_of_another_job_under_the_right_receipts(story: Story, other: Story, tmp_path: Path) -> None:
    with pytest.raises(ConsortiaError, match="another sender, recipient, job, step or turn"):
        story.told(tmp_path, altered(story.result, envelope=other.result.envelope))


def test_one_banks_receipt_in_anothers_name(story: Story, tmp_path: Path) -> None:
    first, *rest = story.result.receipts
    stolen = pb.SignedReceipt(institution="bank-b", document=first.document, signature=first.signature)
    receipts = [first, stolen, *[item for item in rest if item.institution != "bank-b"]]
    with pytest.raises(ConsortiaError, match="does not verify"):
        story.told(tmp_path, altered(story.result, receipts=receipts))


def test_a_result_that_the_coordinator_made_up(story: Story, tmp_path: Path) -> None:
    impostor = PrivateIdentity.generate("lab", "bank-a", "node", "node")
    with pytest.raises(ConsortiaError, match="another sender"):
        story.told(tmp_path, altered(story.result, envelope=story.sealed_by(impostor)))


def test_a_result_from_a_bank_that_was_not_to_report_it(story: Story, tmp_path: Path) -> None:
    envelope = story.sealed_by(story.seat.identity("bank-b"))
    with pytest.raises(ConsortiaError, match="another sender"):
        story.told(tmp_path, altered(story.result, envelope=envelope))


def test_a_result_that_the_reporting_bank_made_up_alone(story: Story, tmp_path: Path) -> None:
    """bank-a and the coordinator together: the other banks' receipts give them away."""
    lied = story.with_receipt("bank-a", result=hashlib.sha256(MADE_UP).hexdigest())
    lied.envelope = story.sealed_by(story.seat.identity("bank-a"))
    with pytest.raises(ResultError, match="bank-b, bank-c signed for another result"):
        story.told(tmp_path, lied)


def test_banks_that_were_kept_from_seeing_the_result(story: Story, tmp_path: Path) -> None:
    """Else the one bank that reports could say what it likes."""
    with pytest.raises(ResultError, match="bank-c did not see a result"):
        story.told(tmp_path, story.with_receipt("bank-c", result=None))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"agreement": "credit-risk@1#" + "0" * 64}, "different agreements"),
        ({"parties": ("bank-a", "bank-b")}, "another job"),
        ({"network": "elsewhere"}, "another job"),
        ({"spec": "0" * 64}, "another job"),
    ],
)
def test_receipts_that_do_not_fit_together(story: Story, tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ResultError, match=why):
        story.told(tmp_path, story.with_receipt("bank-b", **changes))


@pytest.mark.parametrize("document", [b"[]", b"1", b"null", b"\xff"])
def test_a_result_that_all_signed_and_that_is_none(story: Story, tmp_path: Path, document: bytes) -> None:
    lied = story.result
    for bank in BANKS:
        step = replace(story, result=lied)
        lied = step.with_receipt(bank, result=hashlib.sha256(document).hexdigest())
    lied.envelope = story.sealed_by(story.seat.identity("bank-a"), document)
    with pytest.raises(ResultError, match="can't be believed"):
        story.told(tmp_path, lied)


def test_other_keys_than_those_first_seen(story: Story, tmp_path: Path) -> None:
    story.told(tmp_path, story.result)
    swapped = [PrivateIdentity.generate("lab", "bank-a", "node", "node"), *map(story.seat.identity, BANKS[1:])]
    with pytest.raises(ResultError, match="another key than before"):
        story.told(tmp_path, story.result, swapped)


def test_a_party_that_is_not_shown(story: Story, tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="no identity for bank-c"):
        story.told(tmp_path, story.result, [story.seat.identity(bank) for bank in BANKS[:2]])


def test_a_job_that_was_never_asked_for(story: Story, other: Story, tmp_path: Path) -> None:
    with Session(Profile.load(story.seat.root / "analyst")) as session, pytest.raises(ResultError, match="did not"):
        session.result(other.deal.job_id)
