"""What analysts and regulators ask about jobs: submit, look, watch, fetch the sealed result."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from consortia_common import rpc
from consortia_common.audit_log import AuditLog
from consortia_common.documents.base import refuse
from consortia_common.documents.jobspec import Submission
from consortia_common.errors import NotPermittedError
from consortia_coordinator.conductor import Conductor
from consortia_coordinator.errors import CoordinatorError
from consortia_coordinator.jobs import FINAL
from consortia_coordinator.kinds import conduct_of
from consortia_coordinator.limits import JobLimits, check_jobs, check_queues
from consortia_coordinator.mailbox import Mailbox
from consortia_coordinator.members import Members
from consortia_coordinator.pages import pages, pieces
from consortia_coordinator.store.jobs import JobStore, StoredJob
from consortia_crypto.keys import PublicIdentity
from consortia_proto.v1 import network_pb2 as pb
from consortia_proto.v1 import network_pb2_grpc

SUBMISSION_DOMAIN = "job"
WATCH_SECONDS = 0.2


@rpc.guarded
class JobService(network_pb2_grpc.JobsServicer):
    """Serves Jobs. It starts what is well-formed and signed; whether it may run, each node decides."""

    def __init__(
        self,
        members: Members,
        store: JobStore,
        mailbox: Mailbox,
        log: AuditLog,
        conductor: Conductor,
        now_ms: Callable[[], int],
        *,
        limits: JobLimits,
    ) -> None:
        self._members = members
        self._store = store
        self._mailbox = mailbox
        self._log = log
        self._conductor = conductor
        self._now_ms = now_ms
        self._limits = limits

    async def Submit(self, request: pb.Submission, context: Any) -> pb.JobStatus:
        """Take a signed job; the same submission again is the same job."""
        peer = self._members.require(context, "analyst", kept=request.ByteSize())
        identity = await asyncio.to_thread(self._members.identity_of, peer)
        job_id = await asyncio.to_thread(self._submit, request, identity)
        return (await asyncio.to_thread(self._store.get, job_id)).status()

    async def Get(self, request: pb.JobRequest, context: Any) -> pb.JobStatus:
        """Where a job stands."""
        self._members.require(context, "analyst", "officer", "regulator")
        return (await asyncio.to_thread(self._store.get, request.job_id)).status()

    async def List(self, request: pb.ListJobsRequest, context: Any) -> AsyncIterator[pb.JobList]:
        """Every job of the network, oldest first."""
        del request
        self._members.require(context, "analyst", "officer", "regulator")
        last = None
        while found := await asyncio.to_thread(self._store.statuses, last):
            last = found[-1]
            for page in pages(found):
                yield pb.JobList(jobs=page)

    async def Watch(self, request: pb.JobRequest, context: Any) -> AsyncIterator[pb.JobStatus]:
        """Where a job stands, each time that changes, until it ends."""
        peer = self._members.require(context, "analyst", "officer", "regulator")
        last = None
        while True:
            self._members.authorise(peer)
            job = await asyncio.to_thread(self._store.get, request.job_id)
            status = job.status()
            if status != last:
                yield status
                last = status
            if job.state in FINAL:
                return
            await asyncio.sleep(WATCH_SECONDS)

    async def Result(self, request: pb.JobRequest, context: Any) -> AsyncIterator[pb.JobResult]:
        """The sealed result and the receipts, for the analyst who submitted the job."""
        peer = self._members.require(context, "analyst")
        identity = await asyncio.to_thread(self._members.identity_of, peer)
        job = await asyncio.to_thread(self._own, request.job_id, identity)
        if job.result is None:
            raise CoordinatorError(
                f"job {job.job_id} has no result: it is {job.state}",
                blame="nobody, if it is still running",
                remedy="`consortia job show` says where it stands and why",
            )
        result = pb.JobResult.FromString(job.result)
        await asyncio.to_thread(self._log_fetched, result, identity)
        for piece in pieces(result):
            yield piece

    async def Cancel(self, request: pb.JobRequest, context: Any) -> pb.JobStatus:
        """End a job for the analyst who submitted it: no step is asked any more, and every party is told."""
        peer = self._members.require(context, "analyst")
        identity = await asyncio.to_thread(self._members.identity_of, peer)
        job = await asyncio.to_thread(self._own, request.job_id, identity)
        await asyncio.to_thread(self._cancel, job.job_id, identity)
        return (await asyncio.to_thread(self._store.get, job.job_id)).status()

    def _own(self, job_id: str, analyst: PublicIdentity) -> StoredJob:
        """The job, if this analyst submitted it. Raises NotPermittedError."""
        job = self._store.get(job_id)
        if job.analyst != analyst.fingerprint:
            raise NotPermittedError(
                f"job {job.job_id} is another analyst's",
                blame=f"{analyst.institution}/{analyst.role}/{analyst.name}",
                remedy="ask the analyst who submitted it; nobody else may open its result or cancel it",
            )
        return job

    def _cancel(self, job_id: str, analyst: PublicIdentity) -> None:
        if self._store.get(job_id).state not in FINAL:
            self._log.append(
                "job.cancelled", job=job_id, institution=analyst.institution, fingerprint=analyst.fingerprint
            )
        self._conductor.cancel(job_id)

    def _submit(self, request: pb.Submission, analyst: PublicIdentity) -> str:
        submission = self._checked(request, analyst)
        if self._store.has(submission.job_id):
            return submission.job_id
        spec = submission.spec
        self._log.append(
            "job.submitted",
            job=submission.job_id,
            purpose=spec.purpose,
            kind=spec.kind,
            name=spec.name,
            institution=analyst.institution,
            fingerprint=analyst.fingerprint,
            parties=spec.parties,
            payload_commit=self._log.attach(request.document),
        )
        is_new = self._store.add(
            job_id=submission.job_id,
            submission=request.document,
            signature=request.signature,
            analyst=analyst.fingerprint,
            kind=spec.kind,
            name=spec.name,
            submitted_ms=self._now_ms(),
        )
        if is_new:
            self._conductor.start(submission.job_id)
        return submission.job_id

    def _checked(self, request: pb.Submission, analyst: PublicIdentity) -> Submission:
        """What was handed in, if it can be offered to anybody; a refusal is logged before it is said."""
        sender = f"{analyst.institution}/{analyst.role}/{analyst.name}"
        with self._log.refusing(peer=sender, step="job.submit"):
            submission = Submission.from_canonical(request.document, "the submission")
            if submission.network != self._members.network or submission.analyst != analyst.fingerprint:
                mistake = "it is for another network, or names another analyst than its sender"
                raise refuse("the submission", [mistake])
            analyst.verify(SUBMISSION_DOMAIN, request.document, request.signature)
            conduct_of(submission.spec.kind)
            self._require_nodes(submission.spec.parties)
            self._require_room(submission, analyst.fingerprint)
            return submission

    def _require_room(self, submission: Submission, analyst: str) -> None:
        """A job that is there already may be handed in again, however many there are."""
        others = self._store.under_way()
        if not self._store.has(submission.job_id):
            check_jobs(len(others), others.count(analyst), self._limits)
            check_queues({party: self._mailbox.waiting(party) for party in submission.spec.parties}, self._limits)

    def _require_nodes(self, parties: tuple[str, ...]) -> None:
        """Nobody can be asked who has no node here; each party's gate decides on the rest."""
        absent = sorted(set(parties) - set(self._members.nodes()))
        if absent:
            raise CoordinatorError(
                f"the job names {', '.join(absent[:5])} as a party, which has no node in this network",
                blame="the job spec, or an institution that has not enrolled yet",
                remedy="correct the parties, or submit the job again once every one of them has a node",
            )

    def _log_fetched(self, result: pb.JobResult, analyst: PublicIdentity) -> None:
        self._log.append(
            "result.fetched",
            job=result.job_id,
            fingerprint=analyst.fingerprint,
            institution=analyst.institution,
            digest=hashlib.sha256(result.envelope).hexdigest(),
        )
