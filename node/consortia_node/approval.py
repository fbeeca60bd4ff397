"""PURE: when people must approve a job, and what becomes of it by what they say.

One refusal is enough to refuse; silence refuses in the end. Whoever submitted a job is no judge of it where the
agreement asks for dual control.
"""

from collections.abc import Mapping

from consortia_common.documents.agreement import Agreement, Approvals
from consortia_common.documents.statements import APPROVE, REFUSE
from consortia_node.jobs import ACCEPTED, REFUSED, WAITING

HOUR_MS = 3_600_000


def until_ms(asked: Approvals, accepted_ms: int) -> int:
    """When the job is refused for want of approvals."""
    return accepted_ms + asked.hours * HOUR_MS


def state_by(asked: Approvals, decisions: Mapping[str, str]) -> str:
    """The job's state after these decisions, by officer."""
    if REFUSE in decisions.values():
        return REFUSED
    approving = sum(decision == APPROVE for decision in decisions.values())
    return ACCEPTED if approving >= asked.officers else WAITING


def is_submitter(agreement: Agreement, institution: str, name: str, analyst: str) -> bool:
    """Whether the person of that name submitted the job; ``analyst`` is the fingerprint that signed it."""
    return any((one.institution, one.name, one.key) == (institution, name, analyst) for one in agreement.analysts)
