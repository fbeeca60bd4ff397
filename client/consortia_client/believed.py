"""PURE: what is believed of what the coordinator brings: a result with its parties' receipts, a curve under a seal.

A result is believed if every party that the submission names signed, with its pinned key, that it saw the very
document that the envelope holds. Missing may only be the receipt of a party of which the others signed that it
dropped out of a sum. Trusted for: no result reaches its analyst past these checks.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from consortia_client.curves import Point, points
from consortia_client.errors import ResultError
from consortia_common.documents.jobspec import PROGRESS, JobSpec, Submission
from consortia_common.documents.receipt import SALT, SIGNATURE_DOMAIN, Receipt
from consortia_crypto.envelope import unseal
from consortia_crypto.keys import PrivateIdentity, PublicIdentity
from consortia_crypto.sum.terms import threshold
from consortia_proto.v1 import network_pb2 as pb

_RESULT_STEP = "result"
Parties = Mapping[str, PublicIdentity]
"""The pinned identity of each of a submission's parties."""


@dataclass(frozen=True)
class JobResult:
    """An opened result with the receipts that vouch for it."""

    job_id: str
    spec: JobSpec
    """What was asked."""
    result: Any
    """The result document; None where the result stays at an institution."""
    receipts: tuple[Receipt, ...]


def result(sealed: pb.JobResult, submission: Submission, parties: Parties, analyst: PrivateIdentity) -> JobResult:
    """The opened result. Raises ResultError if a receipt is missing, wrong or about another one; CryptoError."""
    signed = {item.institution: item for item in sealed.receipts}
    receipts = {
        name: _receipt(signed[name], party, submission) for name, party in parties.items() if name in signed
    }
    _check_present(receipts, submission)
    _check_together(receipts, submission)
    document = _document(sealed, receipts, parties, submission, analyst) if sealed.envelope else None
    return JobResult(submission.job_id, submission.spec, document, tuple(receipts.values()))


def curve(
    progress: pb.Progress, submission: Submission, parties: Parties, analyst: PrivateIdentity
) -> tuple[Point, ...]:
    """How a job goes, as one of its parties tells. Raises ResultError or CryptoError for what none has sealed."""
    if progress.sealed_by not in parties:
        raise distrust(submission.job_id, "its progress was sealed by somebody who has no part in it")
    plaintext = unseal(
        progress.envelope,
        sender=parties[progress.sealed_by],
        recipient=analyst,
        purpose=submission.spec.purpose,
        job=submission.job_id,
        step=PROGRESS,
        sequence=progress.round,
    )
    return points(_read(plaintext, submission.job_id))


def distrust(job_id: str, why: str) -> ResultError:
    """The error for what came as the result of that job, or about it, and can't be believed."""
    return ResultError(
        f"the result of {job_id} can't be believed: {why}",
        blame="the coordinator, or an institution that took part",
        remedy="do not use the result; have the institutions compare their logs of the job",
    )


def _receipt(signed: pb.SignedReceipt, party: PublicIdentity, submission: Submission) -> Receipt:
    """The party's own receipt for this very job."""
    party.verify(SIGNATURE_DOMAIN, signed.document, signed.signature)
    receipt = Receipt.from_canonical(signed.document, f"the receipt of {party.institution}")
    spec = submission.spec
    stated = (receipt.network, receipt.job, receipt.institution, receipt.spec, receipt.parties)
    if stated != (submission.network, submission.job_id, party.institution, spec.hash(), spec.parties):
        raise distrust(submission.job_id, f"the receipt of {party.institution} is for another job")
    return receipt


def _check_present(receipts: Mapping[str, Receipt], submission: Submission) -> None:
    """Whoever gave no receipt dropped out of a sum, as all the others signed, and enough others are left."""
    spec = submission.spec
    for name in spec.parties:
        if name not in receipts and not all(_knows_missing(receipt, name) for receipt in receipts.values()):
            raise distrust(submission.job_id, f"{name} gave no receipt")
    needed = threshold(len(spec.parties), spec.colluders) if spec.parameters.sums() else len(spec.parties)
    if len(receipts) < needed:
        raise distrust(submission.job_id, f"{len(receipts)} parties gave receipts, and {needed} are needed")


def _knows_missing(receipt: Receipt, institution: str) -> bool:
    missing = receipt.sums.missing if receipt.sums else ()
    return institution in receipt.absent or any(institution in item.institutions for item in missing)


def _check_together(receipts: Mapping[str, Receipt], submission: Submission) -> None:
    """One agreement for all, and a result that everybody who should have seen it saw."""
    witnesses = submission.spec.witnesses()
    blind = [name for name, receipt in receipts.items() if name in witnesses and receipt.result is None]
    if blind:
        raise distrust(submission.job_id, f"{', '.join(blind)} did not see a result")
    if len({receipt.agreement for receipt in receipts.values()}) != 1:
        raise distrust(submission.job_id, "the parties worked under different agreements")


def _document(
    sealed: pb.JobResult,
    receipts: Mapping[str, Receipt],
    parties: Parties,
    submission: Submission,
    analyst: PrivateIdentity,
) -> Any:
    """What the envelope holds, if one who may seal it sealed it and everybody signed for the same."""
    reporter, spec = sealed.sealed_by, submission.spec
    if reporter not in receipts or reporter not in spec.parameters.reporters(spec.parties):
        raise distrust(submission.job_id, "it was sealed by somebody who may not seal it")
    plaintext = unseal(
        sealed.envelope,
        sender=parties[reporter],
        recipient=analyst,
        purpose=spec.purpose,
        job=submission.job_id,
        step=_RESULT_STEP,
        sequence=0,
    ).rstrip(b" ")
    digest = hashlib.sha256(plaintext).hexdigest()
    others = [name for name, receipt in receipts.items() if receipt.result not in (None, digest)]
    if others or receipts[reporter].result != digest:
        raise distrust(submission.job_id, f"{', '.join(others) or reporter} signed for another result")
    return _read(plaintext, submission.job_id)


def _read(plaintext: bytes, job_id: str) -> Any:
    try:
        document = json.loads(plaintext)
    except (ValueError, RecursionError) as error:
        raise distrust(job_id, "it is not JSON") from error
    if not isinstance(document, dict):
        raise distrust(job_id, "it is no result document")
    document.pop(SALT, None)
    return document
