"""What institutions and their officers state about agreements and jobs, signed, for every node to check.

A statement names its network, what it is about and who makes it, so it can't be turned into another one; its
moment orders it among the signer's own, so an old one that comes again changes nothing.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from consortia_common.documents.agreement import Line
from consortia_common.documents.base import Count, Document, Fingerprint, Name
from consortia_common.documents.withdrawal import StatementId

PROPOSED, SIGNED = "agreement.proposed", "agreement.signed"
"""Statements whose document is the agreement itself; both are signed in the domain SIGNED."""
CHANGED = "agreement.change"
"""The statement whose document is an AgreementChange, and its domain."""
MODEL_WITHDRAWN = "model.withdrawn"
"""The statement whose document is a ModelWithdrawal, and its domain."""
APPROVAL = "job.approval"
"""The statement whose document is a JobApproval, and its domain."""
SUSPEND, RESUME, TERMINATE = "suspend", "resume", "terminate"
APPROVE, REFUSE = "approve", "refuse"
SKEW_MS = 3_600_000
"""A statement from further in the future is refused: it would outlast every later one."""

FullReference = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}@[1-9][0-9]{0,5}#[0-9a-f]{64}$")]
"""id@version#hash"""
JobId = Annotated[str, StringConstraints(pattern=r"^job-[0-9a-f]{16,64}$")]


class AgreementChange(Document):
    """One signer's wish that an agreement be suspended, resumed or terminated."""

    v: Literal[1] = 1
    network: Name
    agreement: FullReference
    institution: Name
    signer: Fingerprint
    action: Literal["suspend", "resume", "terminate"]
    reason: Line = ""
    at_ms: Count


class ModelWithdrawal(Document):
    """One party's word that the model of a job counts no more: nobody is to use it from then on."""

    v: Literal[1] = 1
    statement: StatementId
    network: Name
    job: JobId | Literal[""]
    """That made it; empty where a model was brought from elsewhere, which is nobody else's affair."""
    model: Fingerprint | Literal[""]
    """The model's digest; empty where the signer does not hold it, and means whatever the job made."""
    institution: Name
    signer: Fingerprint
    recipients: Annotated[tuple[Name, ...], Field(max_length=200)]
    """Institutions that may hold it."""
    reason: Annotated[Line, Field(min_length=1)]
    at_ms: Count


class JobApproval(Document):
    """One officer's decision on a job that waits for people."""

    v: Literal[1] = 1
    network: Name
    job: JobId
    institution: Name
    officer: Fingerprint
    decision: Literal["approve", "refuse"]
    reason: Line = ""
    at_ms: Count
