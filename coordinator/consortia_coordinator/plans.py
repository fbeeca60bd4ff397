"""Plans: an analyst's question to every party of a job that is not yet submitted. It is relayed, not decided.

Nothing runs: the question is signed under a domain that is not a submission's, nodes answer it without reading a
row, and what it left in the journals is erased when it is answered.
"""

import asyncio
from typing import Any

from consortia_common import rpc
from consortia_common.audit_log import AuditLog
from consortia_common.content import Content
from consortia_common.documents.base import refuse
from consortia_common.documents.plan import QUESTION_DOMAIN, STEP, PlanQuestion
from consortia_common.errors import ExchangeError
from consortia_coordinator.errors import CoordinatorError
from consortia_coordinator.mailbox import Mailbox
from consortia_coordinator.members import Members
from consortia_coordinator.replies import blob, failure_of, late
from consortia_crypto import canonical
from consortia_crypto.keys import PublicIdentity
from consortia_proto.v1 import exchange_pb2, network_pb2_grpc
from consortia_proto.v1 import network_pb2 as pb

CLOSE = "close"


@rpc.guarded
class PlanService(network_pb2_grpc.PlansServicer):
    """Serves Plans."""

    def __init__(self, members: Members, mailbox: Mailbox, log: AuditLog, seconds: float) -> None:
        self._members = members
        self._mailbox = mailbox
        self._log = log
        self._seconds = seconds

    async def Ask(self, request: pb.PlanQuestion, context: Any) -> pb.PlanAnswers:
        """What each party's gate would say; a party that does not answer in time is told as late."""
        peer = self._members.require(context, "analyst")
        analyst = await asyncio.to_thread(self._members.identity_of, peer)
        return await asyncio.to_thread(self._ask, request, analyst)

    def _ask(self, request: pb.PlanQuestion, analyst: PublicIdentity) -> pb.PlanAnswers:
        question, identities = self._checked(request, analyst)
        spec, plan_id = question.spec, question.plan_id
        self._log.append(
            "plan.asked",
            plan=plan_id,
            purpose=spec.purpose,
            kind=spec.kind,
            name=spec.name,
            fingerprint=analyst.fingerprint,
            parties=spec.parties,
            payload_commit=self._log.attach(request.document),
        )
        content = Content(
            config={
                "question": request.document,
                "signature": request.signature,
                "identities": [canonical.encode(identity.document()) for identity in identities],
            }
        )
        ids = {party: self._post(plan_id, party, STEP, content) for party in spec.parties}
        replies = self._mailbox.replies(list(ids.values()), self._seconds, every=True)
        answers = [self._answer(party, task_id, replies.get(task_id)) for party, task_id in ids.items()]
        for party in spec.parties:  # nodes erase what was asked
            self._post(plan_id, party, CLOSE, Content())
        self._mailbox.erase(plan_id)
        return pb.PlanAnswers(answers=answers)

    def _checked(
        self, request: pb.PlanQuestion, analyst: PublicIdentity
    ) -> tuple[PlanQuestion, list[PublicIdentity]]:
        sender = f"{analyst.institution}/{analyst.role}/{analyst.name}"
        with self._log.refusing(peer=sender, step="plan.ask"):
            question = PlanQuestion.from_canonical(request.document, "the plan")
            if question.network != self._members.network or question.analyst != analyst.fingerprint:
                raise refuse("the plan", ["it is for another network, or names another analyst than its sender"])
            analyst.verify(QUESTION_DOMAIN, request.document, request.signature)
            parties = question.spec.parties
            nodes = [identity for identity in self._members.identities() if identity.role == "node"]
            concerned = [identity for identity in nodes if identity.institution in parties]
            absent = sorted(set(parties) - {identity.institution for identity in concerned})
            if absent:
                raise CoordinatorError(
                    f"the plan names {', '.join(absent[:5])} as a party, which has no node in this network",
                    blame="the job spec, or an institution that has not enrolled yet",
                    remedy="correct the parties, or ask again once every one of them has a node",
                )
            return question, [*concerned, analyst]

    def _post(self, plan_id: str, party: str, step: str, content: Content) -> str:
        task_id = f"{plan_id}/{step}/0/{party}"
        task = exchange_pb2.Task(task_id=task_id, job_id=plan_id, step=step, content=content.to_proto())
        self._mailbox.post(task, party)
        return task_id

    def _answer(self, party: str, task_id: str, reply: exchange_pb2.Reply | None) -> pb.PlanAnswer:
        if reply is None:
            return pb.PlanAnswer(institution=party, failure=late(task_id, self._seconds))
        if reply.WhichOneof("outcome") != "content":
            return pb.PlanAnswer(institution=party, failure=failure_of(reply, task_id))
        try:
            content = Content.from_proto(reply.content, party)
            document, signature = blob(content, "answer", party), blob(content, "signature", party)
        except (ExchangeError, CoordinatorError) as error:
            failure = exchange_pb2.Failure(code="failed", what=error.what, blame=error.blame, remedy=error.remedy)
            return pb.PlanAnswer(institution=party, failure=failure)
        return pb.PlanAnswer(institution=party, document=document, signature=signature)
