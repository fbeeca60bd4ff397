"""Jobs that wait for people: officers' signed decisions, and what they come to.

Trusted for: a job whose agreement asks for officers takes no step before as many as it asks for, of this very
institution and named in the agreement with their keys, have signed for this very job; every decision is on the
log before it counts. The coordinator only asks and carries; it can withhold a decision, not make one.
"""

from sqlalchemy import Connection

from consortia_common.content import Content
from consortia_common.database import reading
from consortia_common.documents.agreement import Agreement, Approvals
from consortia_common.documents.base import refuse
from consortia_common.documents.jobspec import Submission
from consortia_common.documents.statements import APPROVAL, JobApproval
from consortia_crypto.errors import ConsortiaError
from consortia_crypto.keys import PublicIdentity
from consortia_node import agreement as agreements
from consortia_node import approval as rules
from consortia_node.answers import Answer, failed_by, refused_by
from consortia_node.errors import RefusedError, StateError
from consortia_node.jobs import ACCEPTED, REFUSED, WAITING
from consortia_node.notices import signed_parts
from consortia_node.store.agreements import AgreementStore
from consortia_node.store.approvals import ApprovalStore
from consortia_node.store.jobs import JobStore, StoredJob
from consortia_node.tools import Tools
from consortia_proto.v1 import exchange_pb2 as pb

WAITING_MS = "waiting_ms"
"""In an answer: until when the job waits for people; 0 if it does not."""
_LAPSED = "Too few officers of {institution} approved the job in the {hours} hours that the agreement gives them."


class ApprovalDesk:
    """Answers the steps "approval" and "approval.end", by which the coordinator asks, and "notice.approval"."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._agreements = AgreementStore(tools.engine)

    def ask(self, task: pb.Task, content: Content) -> Answer:
        """Whether the job may begin here. Raises StateError for one that was never offered."""
        del content
        job = self._job(task.job_id)
        if job.state == REFUSED:
            return Answer(refused_by(RefusedError("approvals", job.reason)))
        if job.state != WAITING:
            return Answer(Content(config={WAITING_MS: 0}))
        _, asked = self._asked(job)
        until = rules.until_ms(asked, job.accepted_ms)
        if self._tools.now_ms() < until:
            return Answer(Content(config={WAITING_MS: until}))
        sentence = _LAPSED.format(institution=self._tools.institution, hours=asked.hours)
        self._tools.log.append("job.disapproved", job=job.job_id, reason=sentence)
        now = self._tools.now_ms()
        return Answer(
            refused_by(RefusedError("approvals", sentence)),
            store=lambda c: JobStore(c).advance(job.job_id, REFUSED, now, sentence),
        )

    def receive(self, task: pb.Task, content: Content) -> Answer:
        """An officer's decision. One that does not count is refused and logged; the job goes on waiting."""
        try:
            document, signature, signer = signed_parts(content)
            approval = JobApproval.from_canonical(document, "the approval")
            job = self._job(task.job_id)
            asked = self._check(approval, job, signer)
            signer.verify(APPROVAL, document, signature)
        except ConsortiaError as error:
            self._tools.log.append("message.refused", reason=error.what, peer="coordinator", step="notice.approval")
            return Answer(failed_by(error))
        return self._decide(approval, job, asked)

    def waiting(self) -> list[tuple[StoredJob, Approvals, dict[str, str]]]:
        """The jobs that wait here, with what is asked and who has decided what."""
        with reading(self._tools.engine) as connection:
            jobs = JobStore(connection).in_state(WAITING)
            decided = {job.job_id: ApprovalStore(connection).decisions(job.job_id) for job in jobs}
        return [(job, self._asked(job)[1], decided[job.job_id]) for job in jobs]

    def _check(self, approval: JobApproval, job: StoredJob, signer: PublicIdentity) -> Approvals:
        """What is asked, if the signer may decide on this job now. Raises ConsortiaError."""
        agreement, asked = self._asked(job)
        party = agreements.require_signer(agreement, signer)
        self._tools.peers.require_standing(signer.fingerprint)
        named = (self._tools.settings.network, self._tools.institution, signer.fingerprint, job.job_id)
        if (approval.network, approval.institution, approval.officer, approval.job) != named:
            raise refuse("the approval", ["it is for another network, institution or job, or by another officer"])
        if signer.institution != self._tools.institution or party.officer(signer.fingerprint) is None:
            raise refuse("the approval", ["its signer is no officer of this institution"])
        analyst = Submission.from_canonical(job.submission, "the stored submission").analyst
        if asked.dual_control and rules.is_submitter(agreement, signer.institution, signer.name, analyst):
            raise refuse("the approval", ["its signer submitted the job, and the agreement asks for dual control"])
        if self._tools.now_ms() >= rules.until_ms(asked, job.accepted_ms):
            raise refuse("the approval", ["it came too late"])
        return asked

    def _decide(self, approval: JobApproval, job: StoredJob, asked: Approvals) -> Answer:
        with reading(self._tools.engine) as connection:
            decisions = ApprovalStore(connection).decisions(job.job_id)
        if approval.officer in decisions:
            return Answer(Content())
        decisions[approval.officer] = approval.decision
        state = rules.state_by(asked, decisions)
        reason = f"An officer of {self._tools.institution} refused the job. {approval.reason}".strip()
        self._log(approval, state, reason, decisions)
        now = self._tools.now_ms()

        def store(connection: Connection) -> None:
            ApprovalStore(connection).add(job.job_id, approval.officer, approval.decision, now)
            if state != WAITING:
                JobStore(connection).advance(job.job_id, state, now, reason if state == REFUSED else "")

        return Answer(Content(), store)

    def _log(self, approval: JobApproval, state: str, reason: str, decisions: dict[str, str]) -> None:
        self._tools.log.append(
            APPROVAL,
            job=approval.job,
            payload_commit=self._tools.log.attach(approval.canonical()),
            institution=approval.institution,
            fingerprint=approval.officer,
            decision=approval.decision,
            reason=approval.reason,
        )
        if state == ACCEPTED:
            self._tools.log.append("job.approved", job=approval.job, officers=sorted(decisions))
        elif state == REFUSED:
            self._tools.log.append("job.disapproved", job=approval.job, reason=reason, fingerprint=approval.officer)

    def _asked(self, job: StoredJob) -> tuple[Agreement, Approvals]:
        """Raises StateError for a job that does not wait for people."""
        agreement = self._agreements.find(job.agreement).agreement
        spec = Submission.from_canonical(job.submission, "the stored submission").spec
        asked = agreement.approvals_for(spec.kind)
        if asked is None or job.state != WAITING:
            raise StateError(
                f"job {job.job_id} does not wait for anybody's approval here",
                blame="whoever asked for it",
                remedy="`consortia job waiting` shows the jobs that do",
            )
        return agreement, asked

    def _job(self, job_id: str) -> StoredJob:
        with reading(self._tools.engine) as connection:
            job = JobStore(connection).get(job_id)
        if job is None:
            raise StateError(
                f"job {job_id[:80]} is not known at {self._tools.institution}",
                blame="the coordinator, or whoever decided on it",
                remedy="`consortia job waiting` shows the jobs that wait here",
            )
        return job
