"""A job that this node accepted, read back from its database: its spec, its agreement, the keys of its parties."""

from dataclasses import dataclass
from functools import lru_cache

from consortia_common.database import reading
from consortia_common.documents.agreement import Agreement
from consortia_common.documents.jobspec import JobSpec, Submission
from consortia_common.documents.kinds import Turn
from consortia_common.stream import legible
from consortia_crypto.keys import PublicIdentity
from consortia_node import jobs as rules
from consortia_node.agreement import ACTIVE
from consortia_node.errors import RefusedError, StateError
from consortia_node.kinds import OVER
from consortia_node.store.agreements import AgreementStore
from consortia_node.store.jobs import JobStore, StoredJob
from consortia_node.tools import Tools
from consortia_proto.v1 import exchange_pb2 as pb

ANALYST = "analyst"
"""How letters and the log call whoever submitted the job."""


@dataclass(frozen=True)
class AcceptedJob:
    """Everything a step needs to know about its job."""

    job_id: str
    spec: JobSpec
    agreement: Agreement
    agreement_state: str
    analyst: str
    """Fingerprint of whoever submitted it."""
    steps_taken: int
    """How far it is on its course here."""

    def recipients(self) -> tuple[str, ...]:
        """Whom the agreement lets this kind's result reach."""
        return next(kind.recipients for kind in self.agreement.job_kinds if kind.kind == self.spec.kind)


def load(tools: Tools, job_id: str) -> AcceptedJob:
    """The job, if it is under way here. Raises StateError."""
    with reading(tools.engine) as connection:
        stored = JobStore(connection).get(job_id)
    if stored is not None and stored.state == rules.FAILED:
        raise StateError(
            f"job {job_id[:80]} is not under way at {tools.institution}: it failed, {legible(stored.reason)}",
            blame=tools.institution,
            remedy=f"see at which step in {tools.institution}'s log; then submit the job again",
        )
    if stored is None or stored.state not in rules.UNDER_WAY:
        raise StateError(
            f"job {job_id[:80]} is not under way at {tools.institution}",
            blame="the coordinator, which sent work for it",
            remedy="submit the job again; a job that a node refused or ended never goes on",
        )
    return _read(tools, stored)


def next_step(tools: Tools, task: pb.Task) -> tuple[AcceptedJob, int]:
    """The job, if ``task`` is the step that it has to take next here, and its place on the course. Raises
    StateError, RefusedError.

    So a step is taken once, and nothing is asked that the signed spec does not ask. Steps may be left out only
    where the spec makes them optional, and this node's own computation found that they are over.
    """
    job = in_force(tools, task.job_id)
    place = _place(tools, job, Turn(task.step, task.round))
    if place is None:
        raise StateError(
            f"step {task.step[:40]!r}, round {task.round}, is not the one that {job.job_id} has next here",
            blame="the coordinator, which asked for it",
            remedy="compare the institutions' logs of the job; they show what each was asked",
        )
    return job, place


def _place(tools: Tools, job: AcceptedJob, asked: Turn) -> int | None:
    """Where ``asked`` is on the course, if it is the next step there, or the next but for those that are over."""
    course = job.spec.course(tools.institution)
    if course[job.steps_taken : job.steps_taken + 1] == (asked,):
        return job.steps_taken
    with reading(tools.engine) as connection:
        is_over = OVER in JobStore(connection).values(job.job_id)
    return rules.place_behind(course, job.steps_taken, asked) if is_over else None


def in_force(tools: Tools, job_id: str) -> AcceptedJob:
    """The job, if it is under way here and its agreement in force. Raises StateError, RefusedError."""
    job = load(tools, job_id)
    require_in_force(tools, job)
    return job


def require_complete(tools: Tools, job: AcceptedJob) -> None:
    """Return if the job has taken every step here, so that a receipt for it is deserved. Raises StateError."""
    if job.steps_taken < len(job.spec.course(tools.institution)):
        raise StateError(
            f"job {job.job_id} was to be finished before it has taken all its steps at {tools.institution}",
            blame="the coordinator, which closed it",
            remedy="submit the job again",
        )


def require_in_force(tools: Tools, job: AcceptedJob) -> None:
    """Return if the agreement still covers the job at this moment. Raises RefusedError with the clause."""
    if job.agreement_state != ACTIVE:
        raise RefusedError("state", f"Agreement {job.agreement.short} is now {job.agreement_state}.")
    if not job.agreement.valid_from <= tools.clock() < job.agreement.valid_until:
        raise RefusedError("valid_until", f"The period of agreement {job.agreement.short} is over.")


def identity(tools: Tools, job: AcceptedJob, whose: str) -> PublicIdentity:
    """The identity of a party, or of ANALYST, that the agreement and the submission name by its fingerprint."""
    party = job.agreement.party(whose)
    if whose == ANALYST:
        return tools.peers.get(job.analyst)
    if party is None or whose not in job.spec.parties:
        raise StateError(
            f"{whose[:80]} has no part in job {job.job_id}",
            blame="the coordinator, which named it",
            remedy="submit the job again; if it persists, compare the institutions' logs",
        )
    return tools.peers.get(party.key)


@lru_cache(maxsize=64)
def _submission(document: bytes) -> Submission:
    """Read once, not for each task: it is a function of its bytes alone."""
    return Submission.from_canonical(document, "the stored submission")


def _read(tools: Tools, stored: StoredJob) -> AcceptedJob:
    submission = _submission(stored.submission)
    agreement = AgreementStore(tools.engine).named(stored.agreement)
    return AcceptedJob(
        stored.job_id,
        submission.spec,
        agreement.agreement,
        agreement.state,
        submission.analyst,
        stored.steps_taken,
    )
