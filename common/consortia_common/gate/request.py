"""PURE: all that a node's decision on a job depends on, and what a decision is.

Nothing that the coordinator says is in it. Two evaluators read the same request: the rules of this package, and
the agreement compiled to Cedar.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from consortia_common.documents.agreement import Agreement
from consortia_common.documents.jobspec import JobSpec, Submission


@dataclass(frozen=True)
class NodePolicy:
    """What the institution's own configuration says: who it is, and what it holds at which grade."""

    network: str
    institution: str
    datasets: Mapping[str, Mapping[str, int]]
    """The datasets that this node is configured with: the grade of each column (JR/T 0197, 1 to 5)."""


@dataclass(frozen=True)
class ConsentSummary:
    """What the node's consent records say about the purpose that is asked for."""

    standing: int
    """Customers whose consent stands now, as far as they were counted."""


@dataclass(frozen=True)
class EarlierJob:
    """A job that used rows here before, or may still: what it asked of the same data."""

    job_id: str
    spec: JobSpec
    at: datetime
    """When it was decided."""


@dataclass(frozen=True)
class Budgets:
    """What has been used up before this job."""

    jobs_run: int = 0
    """Jobs accepted under this version of the agreement."""
    rows_scored: int = 0
    """Customers scored, or reserved to be, under this version of the agreement."""
    epsilon_micro: int = 0
    """Differential-privacy loss in millionths of ε, in the agreement's period up to now."""
    earlier: tuple[EarlierJob, ...] = ()
    """Every job that has used rows here or may still, newest last, whatever its agreement."""


@dataclass(frozen=True)
class GateRequest:
    """All that a decision depends on. The caller has verified the submission's signature under ``requester``."""

    submission: Submission
    requester: str
    """Fingerprint of the identity whose signature the submission bears."""
    agreement: Agreement | None
    """The version in force of the agreement that the spec cites, if this node has one."""
    agreement_state: str
    policy: NodePolicy
    already_decided: bool
    now: datetime
    consents: ConsentSummary = field(default=ConsentSummary(0))
    budgets: Budgets = field(default=Budgets())

    @property
    def spec(self) -> JobSpec:
        """What is asked for."""
        return self.submission.spec


@dataclass(frozen=True)
class Decision:
    """Accepted, or refused by ``clause`` (a field of the agreement) for the reason in ``sentence``."""

    accepted: bool
    clause: str = ""
    sentence: str = ""


ACCEPT = Decision(accepted=True)


Rule = Callable[[GateRequest, Agreement], Decision | None]
"""A refusal, if it objects."""


def refusal(clause: str, sentence: str) -> Decision:
    """A refusal by that clause."""
    return Decision(accepted=False, clause=clause, sentence=sentence)
