"""Catalogues: an analyst asks the parties of an agreement what they offer under it. It is relayed, not kept."""

import asyncio
from typing import Any

from consortia_common import rpc
from consortia_common.audit_log import AuditLog
from consortia_common.documents.base import refuse
from consortia_common.documents.catalogue import QUESTION_DOMAIN, STEP, CatalogueQuestion
from consortia_coordinator.members import Members
from consortia_coordinator.questions import Questions
from consortia_crypto.keys import PublicIdentity
from consortia_proto.v1 import network_pb2 as pb
from consortia_proto.v1 import network_pb2_grpc


@rpc.guarded
class CatalogueService(network_pb2_grpc.CataloguesServicer):
    """Serves Catalogues."""

    def __init__(self, members: Members, questions: Questions, log: AuditLog) -> None:
        self._members = members
        self._questions = questions
        self._log = log

    async def Ask(self, request: pb.SignedQuestion, context: Any) -> pb.SignedAnswers:
        """What each party offers; one that does not answer in time is told as late."""
        peer = self._members.require(context, "analyst")
        analyst = await asyncio.to_thread(self._members.identity_of, peer)
        return await asyncio.to_thread(self._ask, request, analyst)

    def _ask(self, request: pb.SignedQuestion, analyst: PublicIdentity) -> pb.SignedAnswers:
        sender = f"{analyst.institution}/{analyst.role}/{analyst.name}"
        with self._log.refusing(peer=sender, step="catalogue.ask"):
            question = CatalogueQuestion.from_canonical(request.document, "the question")
            if question.network != self._members.network or question.analyst != analyst.fingerprint:
                raise refuse(
                    "the question", ["it is for another network, or names another analyst than its sender"]
                )
            analyst.verify(QUESTION_DOMAIN, request.document, request.signature)
            nodes = self._questions.nodes(question.parties)
        self._log.append(
            "catalogue.asked",
            agreement=question.agreement,
            fingerprint=analyst.fingerprint,
            parties=question.parties,
            payload_commit=self._log.attach(request.document),
        )
        return self._questions.ask(question.question_id, STEP, request, nodes, analyst)
