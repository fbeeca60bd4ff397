"""What an analyst asks before submitting a job, signed, and what each party's node answers, sealed to the analyst.

A question is signed under a domain of its own, so that nobody can run it as a job. An answer says what the gate
would decide now; of customers it gives bands, and only to those whose job it would accept.
"""

from typing import Any, Literal

from consortia_common.documents.base import Count, Document, Fingerprint, Name, Number
from consortia_common.documents.jobspec import JobSpec, Submission
from consortia_common.documents.question import Question


class PlanQuestion(Question):
    """What a job with this spec would do."""

    STEP = "plan"

    spec: JobSpec

    @property
    def asked(self) -> tuple[str, ...]:
        """The job's parties."""
        return self.spec.parties

    @property
    def logged(self) -> dict[str, Any]:
        """The job in a few words."""
        spec = self.spec
        return {"plan": self.question_id, "purpose": spec.purpose, "kind": spec.kind, "name": spec.name}

    def as_submission(self) -> Submission:
        """The submission that the gate is to judge; no signature was made for it."""
        return Submission(
            network=self.network,
            spec=self.spec,
            nonce=self.nonce,
            submitted_ms=self.asked_ms,
            analyst=self.analyst,
        )


class Band(Document):
    """A number that is told roughly: at least ``low`` and below ``high``."""

    low: Count
    high: Count


class PlannedRead(Document):
    """What would be read of a dataset: columns, and where consent is asked for, of how many customers it stands."""

    dataset: Name
    columns: tuple[str, ...]
    customers: Band | None = None


class Budget(Document):
    """One of the agreement's budgets: what is used up, what the job would use, and the limit."""

    name: str
    used: Count
    cost: Count
    limit: Count


class PlanAnswer(Document):
    """What one institution's node would do with the job."""

    v: Literal[1] = 1
    network: Name
    institution: Name
    question: Fingerprint
    """Hash of the question."""
    agreement: str
    """id@version#hash of the version in force; only id@version if there is none."""
    accepts: bool
    clause: str = ""
    sentence: str = ""
    """Why not."""
    remedy: str = ""
    """Who can grant it."""
    officers: Count = 0
    """How many of the institution's officers must approve the job before it runs there."""
    reads: tuple[PlannedRead, ...] = ()
    budgets: tuple[Budget, ...] = ()
    memory_mib: Count = 0
    """About the most that the job's process takes."""
    seconds: Number = Number(0)
    """About how long it takes here, waiting for the others included."""
    past_jobs: Count = 0
    """By how many past jobs of the kind at this node the time was corrected; if by none, it is reckoned only."""
    factor: Number = Number(0)
    """Three in four of those were within this factor of what such a plan says."""
    answered_ms: Count


def band(count: int) -> Band:
    """The band of ``count``: from a power of two to the next, beginning with 0 to 64."""
    if count < 64:
        return Band(low=0, high=64)
    low = 1 << (count.bit_length() - 1)
    return Band(low=low, high=2 * low)
