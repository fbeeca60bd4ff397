"""The receipt: what one institution states, signed, about a job that has ended."""

from typing import Literal

from consortia_common.documents.base import Count, Document, Fingerprint, Name

SIGNATURE_DOMAIN = "receipt"
SALT = "salt"
"""The field of a result that keeps its digest, which the coordinator sees, from being found by trying."""


class CohortUsed(Document):
    """Whose rows were used: how many, how many lacked consent, and the root that commits to each consent."""

    dataset: Name
    rows_used: Count
    rows_left_out: Count
    consent_root: Fingerprint


class Missing(Document):
    """Who is not in one of the job's sums; ``sum`` is its name and, where there are several, its round."""

    sum: str
    institutions: tuple[Name, ...]


class SumsUsed(Document):
    """How the job's sums were sealed, and who dropped out of them (docs/sealed-sum.md)."""

    engine: str
    parameters: str
    institutions: Count
    """N, the job's parties."""
    threshold: Count
    """t: a sum needs so many of them."""
    colluding: Count
    """k: so many of them may conspire with the coordinator."""
    opened: Count
    """Sums that were opened here."""
    missing: tuple[Missing, ...]


class Took(Document):
    """What the job took at the institution until the receipt was made, as its node counted."""

    bytes_up: Count
    """Of its messages to the coordinator, but for the receipt."""
    bytes_down: Count
    """Of the coordinator's messages to it."""
    elapsed_ms: Count
    """Since the job was accepted, or the last officer approved it; waiting for others is in it."""
    memory_mib: Count
    """The most memory that the job's worker used; 0 if there was nothing to compute."""
    planned_ms: Count
    """How long the node's plan would have said, had it known the rows."""
    planned_mib: Count
    """Likewise how much memory."""


class Receipt(Document):
    """One institution's receipt for one job."""

    v: Literal[1] = 1
    network: Name
    institution: Name
    job: str
    kind: Name
    spec: Fingerprint
    """Hash of the job spec."""
    agreement: str
    """id@version#hash"""
    parties: tuple[Name, ...]
    sums: SumsUsed | None
    """None for a kind that adds nothing: scores travel under CKKS."""
    absent: tuple[Name, ...] = ()
    """Parties of which the coordinator said that they are gone, when the job ended here."""
    cohorts: tuple[CohortUsed, ...]
    result: Fingerprint | None
    """SHA-256 of the result as this institution computed it; none where it took no part in it."""
    took: Took
    closed_ms: Count
