"""The control socket: how an institution's own people command their running node.

A Unix socket in the node's folder, which only the node's operating-system user can enter; nothing of it can be
reached from a network. The running node is the one writer of its log and its database, so every command that
changes something comes through here, and what it changes is logged before it takes effect.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from consortia_common import rpc
from consortia_common.database import reading
from consortia_common.documents.agreement import Agreement, Approvals
from consortia_crypto import canonical
from consortia_crypto.subject import open_payload
from consortia_node import confirmations, subject_report
from consortia_node.agreement import state_at
from consortia_node.approval import until_ms
from consortia_node.approvals import ApprovalDesk
from consortia_node.consent import moment
from consortia_node.consent_desk import ConsentDesk
from consortia_node.erasure import Erased, Erasures, reach_of
from consortia_node.model_desk import ModelDesk
from consortia_node.notices import Notices
from consortia_node.store.agreements import StoredAgreement
from consortia_node.store.jobs import JobStore, StoredJob
from consortia_node.store.subjects import SubjectStore
from consortia_node.tools import Tools
from consortia_proto.v1 import control_pb2 as pb
from consortia_proto.v1 import control_pb2_grpc, network_pb2

Publish = Callable[[network_pb2.Statement], Awaitable[None]]
"""Hands a statement to the coordinator, which relays it."""


@rpc.guarded
class ControlService(control_pb2_grpc.ControlServicer):
    """Serves the control socket; whoever can open it may command."""

    def __init__(
        self,
        tools: Tools,
        notices: Notices,
        consents: ConsentDesk,
        models: ModelDesk,
        publish: Publish,
        is_connected: Callable[[], bool],
    ) -> None:
        self._tools = tools
        self._notices = notices
        self._publish = publish
        self._is_connected = is_connected
        self._consents = consents
        self._models = models
        self._approvals = ApprovalDesk(tools)
        self._erasures = Erasures(tools)

    async def Status(self, request: pb.StatusRequest, context: Any) -> pb.NodeStatus:
        """What the node is and does."""
        del request, context
        return await asyncio.to_thread(self._status)

    async def ImportConsent(self, request: pb.ImportConsentRequest, context: Any) -> pb.ImportConsentResponse:
        """Take over a consent table, all of it or nothing."""
        del context
        return await asyncio.to_thread(self._consents.import_, request)

    async def AddConsentNotice(self, request: pb.AddConsentNoticeRequest, context: Any) -> pb.ConsentNotices:
        """Register a notice that consents can cite."""
        del context
        return await asyncio.to_thread(self._consents.add_notice, request)

    async def ListConsentNotices(self, request: pb.ListConsentNoticesRequest, context: Any) -> pb.ConsentNotices:
        """Every notice that consents can cite."""
        del request, context
        return await asyncio.to_thread(self._consents.notices)

    async def SetConsent(self, request: pb.SetConsentRequest, context: Any) -> pb.ConsentView:
        """Change one customer's consent; the jobs that have used the customer's row come back with it."""
        del context
        return await asyncio.to_thread(self._consents.change, request)

    async def ShowConsent(self, request: pb.ShowConsentRequest, context: Any) -> pb.ConsentView:
        """One customer's consent records."""
        del context
        return await asyncio.to_thread(self._consents.view, request.subject)

    async def ConsentHistory(self, request: pb.ShowConsentRequest, context: Any) -> pb.ConsentHistoryView:
        """Every version of one customer's consent records."""
        del context
        return await asyncio.to_thread(self._consents.history, request.subject)

    async def ProveConsent(self, request: pb.ProveConsentRequest, context: Any) -> pb.ConsentProofs:
        """Proof that one customer's consent stood when a job used the row."""
        del context
        return await asyncio.to_thread(self._consents.prove, request)

    async def ReportSubject(self, request: pb.ShowSubjectRequest, context: Any) -> pb.SubjectReport:
        """What one customer is told: who used what, when, for what, with whom, under which consent."""
        del context
        return await asyncio.to_thread(self._report, request.subject)

    async def ShowSubject(self, request: pb.ShowSubjectRequest, context: Any) -> pb.SubjectView:
        """Everything that this node keeps about one customer's part in jobs and in the log."""
        del context
        return await asyncio.to_thread(self._subject, request.subject)

    async def EraseSubjects(self, request: pb.EraseSubjectsRequest, context: Any) -> pb.EraseSubjectsResponse:
        """Erase customers for good."""
        del context
        erased = await asyncio.to_thread(self._erasures.erase, request.subjects)
        return pb.EraseSubjectsResponse(subjects=[_erased(one) for one in erased])

    async def ProposeAgreement(self, request: pb.ProposeAgreementRequest, context: Any) -> pb.AgreementView:
        """Sign an agreement for this institution and send it to the other parties."""
        del context
        agreement = Agreement.from_canonical(request.document, "the agreement")
        await self._publish(await asyncio.to_thread(self._notices.propose, agreement))
        return self._agreement(agreement.reference)

    async def SignAgreement(self, request: pb.SignAgreementRequest, context: Any) -> pb.AgreementView:
        """Sign an agreement that another party proposed, and tell the other parties."""
        del context
        await self._publish(await asyncio.to_thread(self._notices.sign, request.reference))
        return self._agreement(request.reference)

    async def ChangeAgreement(self, request: pb.ChangeAgreementRequest, context: Any) -> pb.AgreementView:
        """Suspend, resume or terminate an agreement as this institution's node, and tell the other parties."""
        del context
        change = self._notices.change
        await self._publish(await asyncio.to_thread(change, request.reference, request.action, request.reason))
        return self._agreement(request.reference)

    async def ListWaitingJobs(self, request: pb.ListWaitingJobsRequest, context: Any) -> pb.WaitingJobs:
        """The jobs that wait here for this institution's officers."""
        del request, context
        return pb.WaitingJobs(jobs=[_waiting(*found) for found in await asyncio.to_thread(self._approvals.waiting)])

    async def ListAgreements(self, request: pb.ListAgreementsRequest, context: Any) -> pb.AgreementList:
        """Every agreement that this node knows."""
        del request, context
        return pb.AgreementList(agreements=[self._agreement_view(stored) for stored in self._notices.all()])

    async def AddModel(self, request: pb.AddModelRequest, context: Any) -> pb.ModelView:
        """Keep a model of the institution's own under a name."""
        del context
        return await asyncio.to_thread(self._models.add, request)

    async def ExportModel(self, request: pb.ExportModelRequest, context: Any) -> pb.ModelDocument:
        """A model that this node keeps, for the institution's own people to use."""
        del context
        return await asyncio.to_thread(self._models.export, request.name)

    async def ShowModel(self, request: pb.ShowModelRequest, context: Any) -> pb.ModelDocument:
        """A model that this node keeps, and whether it still stands."""
        del context
        return await asyncio.to_thread(self._models.show, request.name)

    async def WithdrawModel(self, request: pb.WithdrawModelRequest, context: Any) -> pb.ModelView:
        """Let a model count no more, here and at the other parties of its job."""
        del context
        return await asyncio.to_thread(self._models.withdraw, request.name, request.reason)

    async def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ModelList:
        """Every model that this node keeps."""
        del request, context
        return await asyncio.to_thread(self._models.all)

    async def WriteWitnessPolicy(self, request: pb.WriteWitnessPolicyRequest, context: Any) -> pb.WitnessPolicy:
        """Say whose cosignatures this node's own log needs before anything is released."""
        del context
        names = await asyncio.to_thread(self._tools.witnessing.write_policy, request.quorum)
        return pb.WitnessPolicy(institutions=names, path=str(self._tools.settings.witnesses))

    async def ConfirmMember(self, request: pb.ConfirmMemberRequest, context: Any) -> pb.ConfirmedMember:
        """Note that another institution's fingerprint was compared with what its people read out."""
        del context
        return await asyncio.to_thread(confirmations.confirm, self._tools, request)

    def _status(self) -> pb.NodeStatus:
        with reading(self._tools.engine) as connection:
            running = JobStore(connection).under_way()
        return pb.NodeStatus(
            network=self._tools.settings.network,
            institution=self._tools.institution,
            fingerprint=self._tools.identity.public.fingerprint,
            connected=self._is_connected(),
            datasets=[dataset.name for dataset in self._tools.settings.datasets],
            log_entries=self._tools.log.size,
            running_jobs=[job.job_id for job in running],
        )

    def _report(self, number: str) -> pb.SubjectReport:
        return pb.SubjectReport(document=canonical.encode(subject_report.of(self._tools, number)))

    def _subject(self, number: str) -> pb.SubjectView:
        subject = self._tools.consents.find(number)
        with reading(self._tools.engine) as connection:
            reach = reach_of(connection, subject)
            payloads = SubjectStore(connection, self._tools.keys).payloads(subject)
        openings = [open_payload(subject.key, payload) for payload in payloads]
        return pb.SubjectView(
            pseudonym=subject.pseudonym,
            jobs=reach.jobs,
            models=reach.models,
            openings=[
                pb.Opening(commitment=one.commitment, salt=one.salt, content=one.content) for one in openings
            ],
        )

    def _agreement(self, reference: str) -> pb.AgreementView:
        return self._agreement_view(self._notices.find(reference))

    def _agreement_view(self, stored: StoredAgreement) -> pb.AgreementView:
        return pb.AgreementView(
            reference=stored.agreement.reference,
            state=state_at(stored.agreement, stored.state, self._tools.clock()),
            signed_by=stored.signed_by,
            missing=stored.missing,
            signers=stored.signers,
            document=stored.agreement.canonical(),
        )


def _erased(one: Erased) -> pb.ErasedSubject:
    reach = one.reach
    return pb.ErasedSubject(
        pseudonym=reach.subject.pseudonym,
        log_entry=one.entry,
        jobs=reach.jobs,
        running=reach.running,
        models=reach.models,
    )


def _waiting(job: StoredJob, asked: Approvals, decisions: dict[str, str]) -> pb.WaitingJob:
    return pb.WaitingJob(
        job_id=job.job_id,
        submission=job.submission,
        agreement=job.agreement,
        until=moment(until_ms(asked, job.accepted_ms)),
        officers=asked.officers,
        approved_by=sorted(decisions),
    )
