"""A job's beginning and end here: the offer, which the gate decides, and the close, which gives a receipt."""

import hashlib
import json
from datetime import UTC, datetime

from consortia_common.content import Content
from consortia_common.database import reading
from consortia_common.documents.base import refuse, utc
from consortia_common.documents.jobspec import JobSpec, Submission
from consortia_common.documents.receipt import SIGNATURE_DOMAIN, CohortUsed, Receipt, Took
from consortia_common.gate.ledger import SPENT
from consortia_common.gate.request import Decision
from consortia_common.gate.rules import DECIDED_BEFORE
from consortia_crypto.keys import PublicIdentity
from consortia_crypto.sum.terms import threshold
from consortia_node import accepted, approval
from consortia_node import jobs as rules
from consortia_node.accepted import AcceptedJob
from consortia_node.answers import Answer, refused_by
from consortia_node.approvals import WAITING_MS
from consortia_node.asked import read
from consortia_node.cohorts import COHORT, Cohorts
from consortia_node.errors import RefusedError, StateError
from consortia_node.experience import Experience, reads_of
from consortia_node.gatekeeper import Gatekeeper
from consortia_node.keptsums import sums_used
from consortia_node.store.agreements import AgreementStore, StoredAgreement
from consortia_node.store.cohorts import CohortStore
from consortia_node.store.jobs import JobStore, StoredJob
from consortia_node.store.sums import SumStore
from consortia_node.tools import Tools
from consortia_proto.v1 import exchange_pb2 as pb

SUBMISSION_DOMAIN = "job"
RESULT = "result.digest"
"""The name under which a job keeps the SHA-256 of its result."""
PEAK = "peak_mib"
"""The name under which it keeps how much memory its worker has used at most."""
_RECEIPT = "receipt"
"""The name under which it keeps its receipt from before that is logged until the job has ended."""


class Offers:
    """Answers the steps "offer" and "close"."""

    def __init__(self, tools: Tools, cohorts: Cohorts) -> None:
        self._tools = tools
        self._cohorts = cohorts
        self._agreements = AgreementStore(tools.engine)
        self._gatekeeper = Gatekeeper(tools)

    def offer(self, task: pb.Task, content: Content) -> Answer:
        """Decide, log the decision, keep it, and only then say it. The coordinator's word is no part of it."""
        submission, identities = self._read(task, content)
        spec = submission.spec
        for identity in identities:
            self._tools.peers.require_standing(identity.fingerprint)
        self._tools.log.append(
            "job.submitted",
            job=task.job_id,
            purpose=spec.purpose,
            kind=spec.kind,
            name=spec.name,
            fingerprint=submission.analyst,
            parties=spec.parties,
            payload_commit=self._tools.log.attach(submission.canonical()),
        )
        stored = self._agreements.citing(spec.agreement)
        decision = self._gatekeeper.decide(task.job_id, submission, stored, identities)
        reference = stored.agreement.reference if stored else spec.agreement
        self._log_decision(task.job_id, submission, reference, decision)
        cost = spec.parameters.epsilon_micro()
        if decision.accepted and cost:
            self._tools.log.append(SPENT, job=task.job_id, agreement=reference, epsilon_micro=cost)
        asked = stored.agreement.approvals_for(spec.kind) if stored and decision.accepted else None
        now = self._tools.now_ms()
        if asked:
            self._tools.log.append(
                "job.waiting",
                job=task.job_id,
                agreement=reference,
                officers=asked.officers,
                until=utc(datetime.fromtimestamp(approval.until_ms(asked, now) / 1000, UTC)),
            )
        job = StoredJob(
            job_id=task.job_id,
            submission=submission.canonical(),
            agreement=reference,
            state=rules.WAITING if asked else rules.ACCEPTED if decision.accepted else rules.REFUSED,
            reason=decision.sentence,
            accepted_ms=now,
            scored_rows=spec.parameters.scored_rows() if decision.accepted else 0,
        )
        return self._answer(job, submission, stored, identities, decision)

    def close(self, task: pb.Task, content: Content) -> Answer:
        """End the job: give a receipt, erase its keys and its rows."""
        outcome = str(content.config.get("outcome", "failed"))
        reason = str(content.config.get("reason", ""))[:500]
        with reading(self._tools.engine) as connection:
            stored = JobStore(connection).get(task.job_id)
        self._tools.workers.end(task.job_id)
        traffic = self._tools.tasks.traffic(task.job_id)
        if stored is None or stored.state not in rules.UNDER_WAY | {rules.WAITING}:
            self._tools.tasks.forget(task.job_id)
            return Answer(Content())
        if outcome == rules.FINISHED:
            job = accepted.load(self._tools, task.job_id)
            accepted.require_complete(self._tools, job)
            took = self._took(stored, job.spec, traffic)
            document = self._kept(self._receipt(job, _absent(job, content, self._tools.institution), took))
            self._tools.tasks.forget(task.job_id)
            return self._finish(job, document)
        self._tools.tasks.forget(task.job_id)
        self._tools.log.append("job.failed", job=task.job_id, reason=reason or "the coordinator gave it up")
        self._cohorts.erase(task.job_id)
        state = rules.CANCELLED if outcome == rules.CANCELLED else rules.FAILED
        now = self._tools.now_ms()
        return Answer(Content(), store=lambda c: JobStore(c).advance(task.job_id, state, now, reason))

    def _read(self, task: pb.Task, content: Content) -> tuple[Submission, list[PublicIdentity]]:
        asked = read(content, "submission", "the offer")
        submission = Submission.from_canonical(asked.document, "the submission")
        if submission.job_id != task.job_id:
            raise refuse("the offer", ["its job id is not that of the submission"])
        asked.verify(SUBMISSION_DOMAIN, submission.analyst, "the offer")
        return submission, asked.identities

    def _log_decision(self, job_id: str, submission: Submission, reference: str, decision: Decision) -> None:
        self._tools.log.append(
            "job.decided",
            job=job_id,
            purpose=submission.spec.purpose,
            agreement=reference,
            decision="accept" if decision.accepted else "refuse",
            reason=decision.sentence,
            policy_hash=submission.spec.hash(),
            kind=submission.spec.kind,
            clause=decision.clause,
        )

    def _answer(
        self,
        job: StoredJob,
        submission: Submission,
        stored: StoredAgreement | None,
        known: list[PublicIdentity],
        decision: Decision,
    ) -> Answer:
        if not decision.accepted:
            failure = refused_by(RefusedError(decision.clause, decision.sentence))
            if decision.clause == DECIDED_BEFORE:
                return Answer(failure)
            return Answer(failure, store=lambda c: JobStore(c).create(job))
        named = {submission.analyst} | {party.key for party in stored.agreement.parties} if stored else set()
        for identity in known:
            if identity.fingerprint in named:
                self._tools.peers.keep(identity)
        asked = stored.agreement.approvals_for(submission.spec.kind) if stored else None
        until = approval.until_ms(asked, job.accepted_ms) if asked else 0
        return Answer(Content(config={WAITING_MS: until}), store=lambda c: JobStore(c).create(job))

    def _took(self, job: StoredJob, spec: JobSpec, traffic: tuple[int, int]) -> Took:
        with reading(self._tools.engine) as connection:
            peak = JobStore(connection).value(job.job_id, PEAK)
            cohorts = CohortStore(connection).of([job.job_id])
            past = Experience(connection, self._tools.institution)
            need = past.need(spec, reads_of(spec, self._tools.institution, cohorts))
            took = past.took_seconds(job, self._tools.now_ms())
        return Took(
            bytes_up=traffic[0],
            bytes_down=traffic[1],
            elapsed_ms=round(1000 * took),
            memory_mib=int(peak or 0),
            planned_ms=round(need.seconds * 1000),
            planned_mib=need.memory_mib,
        )

    def _receipt(self, job: AcceptedJob, absent: tuple[str, ...], took: Took) -> Receipt:
        with reading(self._tools.engine) as connection:
            jobs = JobStore(connection)
            result = jobs.value(job.job_id, RESULT)
            cohorts = [jobs.value(job.job_id, COHORT + name) for name in _datasets(job, self._tools.institution)]
            opened = SumStore(connection).opened(job.job_id)
        return Receipt(
            network=self._tools.settings.network,
            institution=self._tools.institution,
            job=job.job_id,
            kind=job.spec.kind,
            spec=job.spec.hash(),
            agreement=job.agreement.reference,
            parties=job.spec.parties,
            sums=sums_used(job, opened),
            absent=absent,
            cohorts=tuple(CohortUsed(**json.loads(cohort)["used"]) for cohort in cohorts if cohort),
            result=result.decode() if result else None,
            took=took,
            closed_ms=self._tools.now_ms(),
        )

    def _kept(self, receipt: Receipt) -> bytes:
        """The job's one receipt: this one, unless a crash came between making one and ending the job."""
        with self._tools.engine.begin() as connection:
            jobs = JobStore(connection)
            kept = jobs.value(receipt.job, _RECEIPT) or receipt.canonical()
            jobs.put(receipt.job, _RECEIPT, kept)
        return kept

    def _finish(self, job: AcceptedJob, document: bytes) -> Answer:
        self._tools.log.append("job.receipt", job=job.job_id, digest=hashlib.sha256(document).hexdigest())
        self._tools.log.append("job.finished", job=job.job_id, kind=job.spec.kind)
        self._cohorts.erase(job.job_id)
        signature = self._tools.identity.sign(SIGNATURE_DOMAIN, document)
        return Answer(
            Content(config={"receipt": document, "signature": signature}),
            store=lambda c: JobStore(c).advance(job.job_id, rules.FINISHED, self._tools.now_ms()),
        )


def _datasets(job: AcceptedJob, institution: str) -> list[str]:
    return [reads.dataset for reads in job.spec.parameters.reads(institution)]


def _absent(job: AcceptedJob, content: Content, institution: str) -> tuple[str, ...]:
    """The parties of which the coordinator says that they are gone. Raises StateError if too few would be left."""
    value = content.config.get("absent")
    absent = tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
    parties = job.spec.parties
    needed = threshold(len(parties), job.spec.colluders) if job.spec.parameters.sums() else len(parties)
    if institution in absent or not set(absent) <= set(parties) or len(parties) - len(set(absent)) < needed:
        raise StateError(
            f"job {job.job_id} was to be finished without parties that it can't do without",
            blame="the coordinator, which closed it",
            remedy="submit the job again",
        )
    return absent
