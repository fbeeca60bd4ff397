"""One good document of each kind that travels, as canonical bytes."""

from typing import Any

from consortia_common.documents.base import Document
from consortia_common.documents.confirmation import CONFIRMED, Confirmation, SignedConfirmation
from consortia_common.documents.jobspec import Submission
from consortia_common.documents.model import LinearModel
from consortia_common.documents.receipt import Receipt
from consortia_common.documents.statements import AgreementChange, JobApproval, ModelWithdrawal
from consortia_common.documents.withdrawal import Acknowledgement, WithdrawalStatement
from consortia_crypto.keys import PrivateIdentity
from tests.support.consent_notices import make_notice
from tests.support.documents import agreement
from tests.support.specs import PURPOSE, spec

JOB = "job-" + "a" * 16
KEY = "c" * 64
WHEN = "2026-01-01T00:00:00Z"
_VALUES: dict[type[Document], dict[str, Any]] = {
    Submission: {
        "v": 1, "network": "lab", "spec": spec("train").model_dump(mode="json"), "nonce": "b" * 32,
        "submitted_ms": 1_700_000_000_000, "analyst": KEY,
    },
    LinearModel: {
        "type": "logistic_regression", "features": ["age"], "weights": ["0.5"], "bias": "-0.25",
        "means": ["40"], "scales": ["10"],
    },
    Receipt: {
        "v": 1, "network": "lab", "institution": "bank-a", "job": JOB, "kind": "train", "spec": KEY,
        "agreement": f"credit-risk@1#{KEY}", "parties": ["bank-a"], "absent": [], "cohorts": [], "result": None,
        "sums": {"engine": "masked", "parameters": "x", "institutions": 3, "threshold": 2, "colluding": 0,
                 "opened": 1, "missing": [{"sum": "table", "institutions": ["bank-b"]}]},
        "took": {"bytes_up": 1, "bytes_down": 1, "elapsed_ms": 1, "memory_mib": 1,
                 "planned_ms": 1, "planned_mib": 1},
        "closed_ms": 1,
    },
    AgreementChange: {
        "v": 1, "network": "lab", "agreement": f"credit-risk@1#{KEY}", "institution": "bank-a", "signer": KEY,
        "action": "suspend", "reason": "a breach", "at_ms": 1,
    },
    JobApproval: {
        "v": 1, "network": "lab", "job": JOB, "institution": "bank-a", "officer": KEY, "decision": "approve",
        "reason": "", "at_ms": 1,
    },
    ModelWithdrawal: {
        "v": 1, "statement": "d" * 32, "network": "lab", "job": JOB, "model": KEY,
        "institution": "bank-a", "signer": KEY,
        "recipients": ["bank-b"], "reason": "a mistake", "at_ms": 1,
    },
    WithdrawalStatement: {
        "schema_version": 1, "statement": "d" * 32, "institution": "bank-a", "recipients": ["bank-b"],
        "purpose": PURPOSE, "state": "withdrawn", "effective_at": WHEN, "jobs": [JOB],
    },
    Acknowledgement: {
        "schema_version": 1, "statement": "d" * 32, "institution": "bank-b", "recipients": ["bank-a"],
        "received_at": WHEN,
    },
}  # fmt: skip


def confirmation(officer: PrivateIdentity) -> SignedConfirmation:
    """What an officer says of a node, signed."""
    said = Confirmation(
        network=officer.network, institution=officer.institution, officer=officer.public.fingerprint,
        member="bank-b", role="node", name="node", fingerprint=KEY, at_ms=1,
    ).canonical()  # fmt: skip
    return SignedConfirmation.of(said, officer.sign(CONFIRMED, said), officer.public)


def examples() -> dict[type[Document], bytes]:
    """A good one of each kind that an institution or a person sends to another."""
    made: list[Document] = [kind.from_value(value, "the fuzz test") for kind, value in _VALUES.items()]
    made += [agreement(), spec("statistics"), make_notice(PURPOSE, {"clients": ["income"]}, ["bank-a"])]
    signed = confirmation(PrivateIdentity.generate("lab", "bank-a", "officer", "olga"))
    made += [signed, signed.confirmation]
    return {type(document): document.canonical() for document in made}
