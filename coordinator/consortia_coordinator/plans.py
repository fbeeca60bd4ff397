"""Plans: an analyst's question to every party of a job that is not yet submitted. It is relayed, not decided.

Nothing runs: the question is signed under a domain that is not a submission's, and nodes answer it without reading
a row.
"""

import asyncio
from typing import Any

from consortia_common import rpc
from consortia_common.audit_log import AuditLog
from consortia_common.documents.base import refuse
from consortia_common.documents.plan import QUESTION_DOMAIN, STEP, PlanQuestion
from consortia_coordinator.members import Members
from consortia_coordinator.questions import Questions
from consortia_crypto.keys import PublicIdentity
from consortia_proto.v1 import network_pb2 as pb
from consortia_proto.v1 import network_pb2_grpc


@rpc.guarded
class PlanService(network_pb2_grpc.PlansServicer):
    """Serves Plans."""

    def __init__(self, members: Members, questions: Questions, log: AuditLog) -> None:
        self._members = members
        self._questions = questions
        self._log = log

    async def Ask(self, request: pb.SignedQuestion, context: Any) -> pb.SignedAnswers:
        """What each party's gate would say; a party that does not answer in time is told as late."""
        peer = self._members.require(context, "analyst")
        analyst = await asyncio.to_thread(self._members.identity_of, peer)
        return await asyncio.to_thread(self._ask, request, analyst)

    def _ask(self, request: pb.SignedQuestion, analyst: PublicIdentity) -> pb.SignedAnswers:
        question, nodes = self._checked(request, analyst)
        spec = question.spec
        self._log.append(
            "plan.asked",
            plan=question.plan_id,
            purpose=spec.purpose,
            kind=spec.kind,
            name=spec.name,
            fingerprint=analyst.fingerprint,
            parties=spec.parties,
            payload_commit=self._log.attach(request.document),
        )
        return self._questions.ask(question.plan_id, STEP, request, nodes, analyst)

    def _checked(
        self, request: pb.SignedQuestion, analyst: PublicIdentity
    ) -> tuple[PlanQuestion, list[PublicIdentity]]:
        sender = f"{analyst.institution}/{analyst.role}/{analyst.name}"
        with self._log.refusing(peer=sender, step="plan.ask"):
            question = PlanQuestion.from_canonical(request.document, "the plan")
            if question.network != self._members.network or question.analyst != analyst.fingerprint:
                raise refuse("the plan", ["it is for another network, or names another analyst than its sender"])
            analyst.verify(QUESTION_DOMAIN, request.document, request.signature)
            return question, self._questions.nodes(question.spec.parties)
