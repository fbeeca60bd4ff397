"""An analyst's session believes receipts by pinned keys, over this very result; never the coordinator."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from consortia_client.errors import ResultError
from consortia_client.keepsakes import Keepsakes
from consortia_client.session import Session
from consortia_common.documents.jobspec import Submission
from consortia_common.documents.receipt import Receipt
from consortia_crypto import canonical
from consortia_crypto.envelope import seal
from consortia_crypto.errors import CryptoError, EnvelopeError, SignatureRefusedError
from consortia_crypto.keys import PrivateIdentity
from consortia_proto.v1 import network_pb2 as pb
from tests.support.specs import BANKS, spec

ANA = PrivateIdentity.generate("lab", "bank-a", "analyst", "ana")
NODES = {bank: PrivateIdentity.generate("lab", bank, "node", "node") for bank in BANKS}
RESULT = {"kind": "statistics", "overall": {"count": 810}}


def sums(dropped: tuple[str, ...]) -> dict[str, Any]:
    """What a receipt says of the sums of a job, if these parties dropped out of its only one."""
    return {
        "engine": "masked",
        "parameters": "test",
        "institutions": len(BANKS),
        "threshold": 2,
        "colluding": 0,
        "opened": 1,
        "missing": [{"sum": "table", "institutions": list(dropped)}] if dropped else [],
    }


class Coordinator:
    """Answers as a coordinator that can be made to lie."""

    def __init__(self) -> None:
        self.submitted: list[Submission] = []
        self.says: dict[str, Any] = {}
        self.nodes = dict(NODES)

    def Submit(self, request: pb.Submission, timeout: float) -> pb.JobStatus:
        submission = Submission.from_canonical(request.document, "the submission")
        ANA.public.verify("job", request.document, request.signature)
        self.submitted.append(submission)
        return pb.JobStatus(job_id=self.says.get("job_id", submission.job_id), state="submitted")

    def Get(self, request: pb.JobRequest, timeout: float) -> pb.JobStatus:
        return pb.JobStatus(job_id=self.says.get("job_id", request.job_id), state="finished")

    def Watch(self, request: pb.JobRequest) -> Iterator[pb.JobStatus]:
        yield pb.JobStatus(job_id=request.job_id, state="running")
        yield pb.JobStatus(job_id=self.says.get("job_id", request.job_id), state="finished")

    def List(self, request: pb.ListJobsRequest, timeout: float) -> Iterator[pb.JobList]:
        return (pb.JobList(jobs=[pb.JobStatus(job_id=item.job_id)]) for item in self.submitted)

    def Members(self, request: pb.MembersRequest, timeout: float) -> Iterator[pb.MemberList]:
        for member in (ANA, *self.nodes.values()):
            yield pb.MemberList(identities=[canonical.encode(member.public.document())])

    def Result(self, request: pb.JobRequest, timeout: float) -> Iterator[pb.JobResult]:
        submission = next(item for item in self.submitted if item.job_id == request.job_id)
        yield pb.JobResult(
            job_id=request.job_id,
            envelope=self.says.get("envelope", self.envelope(submission)),
            sealed_by=self.says.get("sealed_by", "bank-a"),
            receipts=[self.receipt(submission, bank) for bank in BANKS if bank not in self.says.get("missing", ())],
        )

    def envelope(self, submission: Submission, **place: Any) -> bytes:
        result = self.says.get("result", json.dumps(RESULT).encode())
        values = {
            "purpose": submission.spec.purpose,
            "job": submission.job_id,
            "step": "result",
            "sequence": 0,
        } | place
        sender = self.says.get("sender", self.nodes["bank-a"])
        return seal(result, sender=sender, recipient=ANA.public, **values)

    def receipt(self, submission: Submission, bank: str) -> pb.SignedReceipt:
        result = self.says.get("result", json.dumps(RESULT).encode())
        values = {
            "network": "lab",
            "institution": bank,
            "job": submission.job_id,
            "kind": submission.spec.kind,
            "spec": submission.spec.hash(),
            "agreement": "credit-risk@1#" + "a" * 64,
            "parties": list(BANKS),
            "sums": sums(self.says.get(f"dropped {bank}", self.says.get("dropped", ()))),
            "cohorts": [],
            "result": hashlib.sha256(result).hexdigest(),
            "took": {
                "bytes_up": 1,
                "bytes_down": 1,
                "elapsed_ms": 1,
                "memory_mib": 1,
                "planned_ms": 1,
                "planned_mib": 1,
            },
            "closed_ms": 1,
        }
        document = Receipt.from_value(values | self.says.get(f"receipt {bank}", {}), "the test's").canonical()
        signer = self.says.get(f"signer {bank}", self.nodes[bank])
        return pb.SignedReceipt(institution=bank, document=document, signature=signer.sign("receipt", document))


@pytest.fixture
def coordinator() -> Coordinator:
    return Coordinator()


@pytest.fixture
def session(coordinator: Coordinator, tmp_path: Path) -> Session:
    channel = SimpleNamespace(
        close=lambda: None, unary_unary=lambda *a, **k: None, unary_stream=lambda *a, **k: None
    )
    profile: Any = SimpleNamespace(folder=tmp_path, network="lab", identity=ANA, channel=lambda: channel)
    made = Session(profile)
    made._jobs = made._statements = coordinator  # type: ignore[assignment]
    return made


@pytest.fixture
def job_id(session: Session) -> str:
    return session.submit(spec("statistics"), 5).job_id


def test_a_result_with_every_receipt_is_believed(session: Session, job_id: str) -> None:
    opened = session.result(job_id)
    assert opened.result == RESULT
    assert [receipt.institution for receipt in opened.receipts] == list(BANKS)
    assert session.result(job_id) == opened
    assert [status.job_id for status in session.jobs()] == [job_id]


def test_every_submission_is_unique_and_kept_before_it_is_sent(session: Session, coordinator: Coordinator) -> None:
    jobs = [session.submit(spec("statistics"), 5).job_id for _ in range(2)]
    assert len(set(jobs)) == 2
    assert {item.job_id for item in coordinator.submitted} == set(jobs)
    assert Keepsakes(session._profile.folder).submission(jobs[0]) == coordinator.submitted[0]


def test_an_answer_about_another_job_is_refused(session: Session, coordinator: Coordinator, job_id: str) -> None:
    coordinator.says["job_id"] = "job-0123456789abcdef"
    for ask in (
        lambda: session.submit(spec("statistics"), 6),
        lambda: session.job(job_id),
        lambda: list(session.watch(job_id)),
    ):
        with pytest.raises(ResultError, match="answered about another job") as refused:
            ask()
        assert refused.value.blame == "the coordinator"


def _other() -> dict[str, Any]:
    return {"result": hashlib.sha256(b"another").hexdigest()}


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        ({"missing": ["bank-c"]}, "bank-c gave no receipt"),
        ({"receipt bank-b": {"job": "job-0"}}, "receipt of bank-b is for another job"),
        ({"receipt bank-b": {"spec": "b" * 64}}, "receipt of bank-b is for another job"),
        ({"receipt bank-b": {"institution": "bank-c"}}, "receipt of bank-b is for another job"),
        ({"receipt bank-b": {"network": "other"}}, "receipt of bank-b is for another job"),
        ({"receipt bank-b": {"parties": ["bank-a", "bank-b"]}}, "receipt of bank-b is for another job"),
        ({"receipt bank-b": _other()}, "bank-b signed for another result"),
        ({"receipt bank-a": {"result": None}}, "bank-a did not see a result"),
        ({"receipt bank-b": {"agreement": "credit-risk@1#" + "b" * 64}}, "under different agreements"),
        ({"signer bank-b": NODES["bank-c"]}, "receipt signature does not verify"),
        ({"sender": NODES["bank-b"]}, "another sender"),
        ({"envelope": b"CE1"}, "cut short"),
        ({"sealed_by": "bank-d"}, "by somebody who may not seal it"),
        ({"sealed_by": ""}, "by somebody who may not seal it"),
        ({"result": b"\xff"}, "it is not JSON"),
        ({"result": b"[" * 100_000}, "it is not JSON"),
        ({"result": b"5"}, "no result document"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_result_that_does_not_hold_is_not_believed(
    session: Session, coordinator: Coordinator, job_id: str, lie: dict[str, Any], why: str
) -> None:
    coordinator.says = lie
    with pytest.raises((ResultError, CryptoError), match=why):
        session.result(job_id)


def submitted(session: Session, colluding: int = 0) -> str:
    return session.submit(spec("statistics", colluding=colluding), 5).job_id


def test_a_receipt_may_be_missing_of_a_party_that_all_others_signed_dropped_out(
    session: Session, coordinator: Coordinator
) -> None:
    coordinator.says = {"missing": ["bank-c"], "dropped": ("bank-c",)}
    opened = session.result(submitted(session))
    assert opened.result == RESULT
    assert [receipt.institution for receipt in opened.receipts] == ["bank-a", "bank-b"]


@pytest.mark.parametrize(
    ("lie", "colluding", "why"),
    [
        ({"missing": ["bank-c"], "dropped bank-a": ("bank-c",)}, 0, "bank-c gave no receipt"),
        ({"missing": ["bank-c"], "dropped": ("bank-b",)}, 0, "bank-c gave no receipt"),
        (
            {"missing": ["bank-c"], "receipt bank-b": {"sums": None}, "dropped bank-a": ("bank-c",)},
            0,
            "bank-c gave",
        ),
        ({"missing": ["bank-b", "bank-c"], "dropped": ("bank-b", "bank-c")}, 0, "1 parties gave receipts, and 2"),
        ({"missing": list(BANKS)}, 0, "0 parties gave receipts, and 2"),
        ({"missing": ["bank-c"], "dropped": ("bank-c",)}, 1, "2 parties gave receipts, and 3"),
        ({"missing": ["bank-a"], "dropped": ("bank-a",)}, 0, "by somebody who may not seal it"),
    ],
)
def test_no_receipt_may_be_missing_otherwise(
    session: Session, coordinator: Coordinator, lie: dict[str, Any], colluding: int, why: str
) -> None:
    coordinator.says = lie
    with pytest.raises(ResultError, match=why):
        session.result(submitted(session, colluding))


def test_an_older_result_of_the_same_spec_is_not_believed(
    session: Session, coordinator: Coordinator, job_id: str
) -> None:
    again = session.submit(spec("statistics"), 6).job_id
    coordinator.says["envelope"] = coordinator.envelope(coordinator.submitted[0])
    assert session.result(job_id).result == RESULT
    with pytest.raises(EnvelopeError):
        session.result(again)


def test_a_swapped_key_is_noticed(session: Session, coordinator: Coordinator, job_id: str) -> None:
    session.result(job_id)
    coordinator.nodes["bank-b"] = PrivateIdentity.generate("lab", "bank-b", "node", "node")
    with pytest.raises(ResultError, match="bank-b appears with another key than before") as refused:
        session.result(job_id)
    assert "telephone" in refused.value.remedy


def test_a_missing_identity_is_said(session: Session, coordinator: Coordinator, job_id: str) -> None:
    del coordinator.nodes["bank-c"]
    coordinator.says["missing"] = ["bank-c"]
    with pytest.raises(ResultError, match="no identity for bank-c"):
        session.result(job_id)


def test_where_no_result_leaves_there_is_none(session: Session, coordinator: Coordinator, job_id: str) -> None:
    coordinator.says["envelope"] = b""
    assert session.result(job_id).result is None


@pytest.mark.parametrize("job_id", ["job-unknown", "", "..", "../../etc/passwd", "a/b", "x" * 200])
def test_a_job_of_somebody_else_has_no_result_here(session: Session, job_id: str) -> None:
    with pytest.raises(ResultError, match="did not submit"):
        session.result(job_id)


def test_pinned_keys_are_by_institution(tmp_path: Path) -> None:
    kept = Keepsakes(tmp_path)
    for node in NODES.values():
        assert kept.pin(node.public) == node.public
    assert kept.pin(NODES["bank-a"].public) == NODES["bank-a"].public
    with pytest.raises(ResultError, match="bank-a appears with another key"):
        kept.pin(replace(NODES["bank-a"].public, name="other"))


def test_a_signature_for_another_purpose_is_no_receipt(
    session: Session, coordinator: Coordinator, job_id: str
) -> None:
    class OtherDomain:
        def sign(self, domain: str, message: bytes) -> bytes:
            return NODES["bank-b"].sign("job", message)

    coordinator.says["signer bank-b"] = OtherDomain()
    with pytest.raises(SignatureRefusedError):
        session.result(job_id)


def progress(session: Session, job_id: str, sender: PrivateIdentity, sealed_by: str, **place: Any) -> pb.JobStatus:
    """A status with a curve that ``sender`` sealed."""
    words = {"purpose": "credit-risk-model", "job": job_id, "step": "progress", "sequence": 3} | place
    told = json.dumps(
        {"curve": [{"round": 1, "loss": 0.5, "validation_loss": None, "validation_auc": None}]}
    ).encode()
    envelope = seal(told, sender=sender, recipient=ANA.public, **words)
    return pb.JobStatus(job_id=job_id, progress=pb.Progress(sealed_by=sealed_by, round=3, envelope=envelope))


def test_progress_is_what_a_party_sealed(session: Session, job_id: str) -> None:
    status = progress(session, job_id, NODES["bank-a"], "bank-a")
    assert [point.loss for point in session.curve(status)] == [0.5]
    assert session.curve(pb.JobStatus(job_id=job_id)) == ()
    elsewhere = pb.JobStatus(job_id="job-0000000000000000", progress=status.progress)
    assert session.curve(elsewhere) == ()


@pytest.mark.parametrize(
    ("sender", "sealed_by", "place"),
    [
        (ANA, "bank-a", {}),
        (NODES["bank-a"], "bank-b", {}),
        (NODES["bank-a"], "nobody", {}),
        (NODES["bank-a"], "bank-a", {"sequence": 2}),
        (NODES["bank-a"], "bank-a", {"step": "result"}),
        (NODES["bank-a"], "bank-a", {"job": "job-0123456789abcdef"}),
    ],
)
def test_progress_of_another_place_or_sender_is_refused(
    session: Session, job_id: str, sender: PrivateIdentity, sealed_by: str, place: Any
) -> None:
    with pytest.raises((CryptoError, ResultError)):
        session.curve(progress(session, job_id, sender, sealed_by, **place))
