"""PURE: the proof that a job was run, which anybody can check alone, without network, node or coordinator.

A proof holds the agreement, the submission and each party's identity, receipt and signature. All hangs on one
value, the agreement's reference: its hash binds the agreement's text, which names every party's key; each receipt
cites it, and the job's id binds every byte of the submission. Whoever has compared that reference needs no more.
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from consortia_client.errors import ResultError
from consortia_common.documents.agreement import Agreement
from consortia_common.documents.jobspec import Submission
from consortia_common.documents.receipt import SIGNATURE_DOMAIN, Receipt
from consortia_crypto import canonical
from consortia_crypto.errors import ConsortiaError, EncodingError
from consortia_crypto.keys import PublicIdentity

MAX_BYTES = 16 << 20
_FIELDS = {"v", "agreement", "submission", "parties"}
_PARTY_FIELDS = {"identity", "receipt", "signature"}


@dataclass(frozen=True)
class SignedBy:
    """A receipt's canonical bytes, whose it is said to be, and their signature."""

    identity: PublicIdentity
    document: bytes
    signature: bytes


@dataclass(frozen=True)
class JobProof:
    """A proof that has been checked."""

    submission: Submission
    agreement: Agreement
    receipts: tuple[Receipt, ...]
    document: bytes
    """Canonical JSON: what the file holds."""


def prove(submission: Submission, agreement: Agreement, receipts: Iterable[SignedBy]) -> JobProof:
    """The proof made of these, checked. Raises ResultError."""
    parties = [
        {
            "identity": item.identity.document(),
            "receipt": canonical.decode(item.document),
            "signature": base64.b64encode(item.signature).decode(),
        }
        for item in receipts
    ]
    value = {
        "v": 1,
        "agreement": agreement.model_dump(mode="json"),
        "submission": submission.model_dump(mode="json"),
        "parties": parties,
    }
    return check(canonical.encode(value))


def check(data: bytes) -> JobProof:
    """The proof that ``data`` holds. Raises ResultError, for whatever is wrong with it."""
    try:
        value = _mapping(canonical.decode(data[: MAX_BYTES + 1]), _FIELDS)
        agreement = Agreement.from_value(value["agreement"], "the agreement")
        submission = Submission.from_value(value["submission"], "the submission")
        signed = [_signed(party) for party in _list(value["parties"])]
        receipts = tuple(_receipt(item, submission, agreement) for item in signed)
    except ResultError:
        raise
    except ConsortiaError as error:
        raise _distrust(error.what) from error
    if value["v"] != 1 or len(data) > MAX_BYTES:
        raise _distrust("it is of another version, or too long")
    _check_together(receipts, submission, agreement)
    return JobProof(submission, agreement, receipts, data)


def _signed(party: Any) -> SignedBy:
    fields = _mapping(party, _PARTY_FIELDS)
    try:
        signature = base64.b64decode(fields["signature"], validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise _distrust("a signature is not base64") from error
    identity = PublicIdentity.from_document(fields["identity"])
    return SignedBy(identity, canonical.encode(fields["receipt"]), signature)


def _receipt(signed: SignedBy, submission: Submission, agreement: Agreement) -> Receipt:
    who = signed.identity
    party = agreement.party(who.institution)
    if party is None or party.key != who.fingerprint or who.network != submission.network:
        raise _distrust(f"the agreement does not name {who.institution} with the key that signed its receipt")
    who.verify(SIGNATURE_DOMAIN, signed.document, signed.signature)
    receipt = Receipt.from_canonical(signed.document, f"the receipt of {who.institution}")
    spec = submission.spec
    stated = (receipt.network, receipt.job, receipt.institution, receipt.spec, receipt.parties, receipt.agreement)
    asked = (submission.network, submission.job_id, who.institution, spec.hash(), spec.parties, agreement.reference)
    if stated != asked:
        raise _distrust(f"the receipt of {who.institution} is for another job")
    return receipt


def _check_together(receipts: tuple[Receipt, ...], submission: Submission, agreement: Agreement) -> None:
    """Every party once, under the agreement that the job cites, and one result for all who saw it."""
    spec = submission.spec
    if tuple(sorted(receipt.institution for receipt in receipts)) != tuple(sorted(spec.parties)):
        raise _distrust("it does not hold exactly one receipt of each party")
    if spec.agreement != agreement.short:
        raise _distrust("the job cites another agreement")
    if submission.analyst not in {analyst.key for analyst in agreement.analysts}:
        raise _distrust("the job was submitted by somebody whom the agreement does not name")
    seen = {receipt.institution: receipt.result for receipt in receipts}
    if len(set(seen.values()) - {None}) > 1 or None in {seen[name] for name in spec.witnesses()}:
        raise _distrust("the parties did not see one and the same result")


def _mapping(value: Any, names: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != names:
        raise EncodingError(
            "it does not have exactly the fields of a proof",
            blame="whoever made it",
            remedy="fetch it again with `consortia job receipt`",
        )
    return value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _distrust(why: str) -> ResultError:
    return ResultError(
        f"the proof of a job can't be believed: {why}",
        blame="whoever made or altered it",
        remedy="fetch it again with `consortia job receipt`; if it persists, compare the institutions' logs",
    )
