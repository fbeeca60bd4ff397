"""An analyst's signed question to institutions' nodes, and their signed answers: relayed, not decided.

Nodes answer without reading a row. What a question left in the journals is erased when it is answered. Who asks
waits in threads that nothing else needs: a node that is away holds up neither the exchange nor other analysts.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any

from consortia_common import rpc
from consortia_common.audit_log import AuditLog
from consortia_common.content import Content
from consortia_common.documents.base import refuse
from consortia_common.documents.catalogue import CatalogueQuestion
from consortia_common.documents.plan import PlanQuestion
from consortia_common.documents.question import Question
from consortia_common.errors import ExchangeError, LimitError
from consortia_coordinator.errors import CoordinatorError
from consortia_coordinator.mailbox import Mailbox
from consortia_coordinator.members import Members
from consortia_coordinator.pages import pages
from consortia_coordinator.replies import failure_of, late, short_blob
from consortia_crypto import canonical
from consortia_crypto.keys import PublicIdentity
from consortia_proto.v1 import exchange_pb2, network_pb2_grpc
from consortia_proto.v1 import network_pb2 as pb

CLOSE = "close"
MOST_AT_A_TIME = 4
"""Questions of one analyst to which answers are waited for."""
THREADS = 32
Answers = list[pb.SignedAnswer]
QUESTIONS: Mapping[str, type[Question]] = {kind.STEP: kind for kind in (PlanQuestion, CatalogueQuestion)}


@rpc.guarded
class QuestionService(network_pb2_grpc.QuestionsServicer):
    """Serves Questions: asks nodes, and waits ``seconds`` for them."""

    def __init__(self, members: Members, mailbox: Mailbox, log: AuditLog, seconds: float) -> None:
        self._members = members
        self._mailbox = mailbox
        self._log = log
        self._seconds = seconds
        self._lock = Lock()
        self._asking: Counter[str] = Counter()
        self._waiting = ThreadPoolExecutor(THREADS, thread_name_prefix="question")

    async def Ask(self, request: pb.SignedQuestion, context: Any) -> AsyncIterator[pb.SignedAnswers]:
        """What each node answers; one that does not answer in time is told as late."""
        peer = self._members.require(context, "analyst", kept=request.ByteSize())
        analyst = await asyncio.to_thread(self._members.identity_of, peer)
        answers = await asyncio.wrap_future(self._begin(request, analyst, str(peer)))
        for page in pages(answers):
            yield pb.SignedAnswers(answers=page)

    def _begin(self, request: pb.SignedQuestion, analyst: PublicIdentity, whose: str) -> "Future[Answers]":
        """The answers to come. Raises LimitError if this analyst waits for so many already, called off or not."""
        with self._lock:
            if self._asking[whose] >= MOST_AT_A_TIME:
                raise LimitError(
                    f"{whose} waits for answers to {MOST_AT_A_TIME} questions, as many as one may ask at a time",
                    blame="whoever asked",
                    remedy="wait until one is answered, which takes half a minute at most",
                )
            self._asking[whose] += 1
        asked = self._waiting.submit(self._ask, request, analyst)
        asked.add_done_callback(lambda _: self._ended(whose))
        return asked

    def _ended(self, whose: str) -> None:
        with self._lock:
            self._asking[whose] -= 1
            self._asking += Counter()  # forgets those who ask nothing now

    def _ask(self, request: pb.SignedQuestion, analyst: PublicIdentity) -> Answers:
        sender = f"{analyst.institution}/{analyst.role}/{analyst.name}"
        with self._log.refusing(peer=sender, step="question.ask"):
            question = self._checked(request, analyst)
            nodes = self._nodes(question.asked)
        self._log.append(
            f"{question.STEP}.asked",
            **question.logged,
            fingerprint=analyst.fingerprint,
            parties=question.asked,
            payload_commit=self._log.attach(request.document),
        )
        return self._relay(question, request, nodes, analyst)

    def _checked(self, request: pb.SignedQuestion, analyst: PublicIdentity) -> Question:
        if request.step not in QUESTIONS:
            raise refuse("the question", [f"there are no questions by step {request.step[:40]!r}"])
        question = QUESTIONS[request.step].from_canonical(request.document, "the question")
        if question.network != self._members.network or question.analyst != analyst.fingerprint:
            raise refuse("the question", ["it is for another network, or names another analyst than its sender"])
        analyst.verify(question.domain(), request.document, request.signature)
        return question

    def _nodes(self, parties: tuple[str, ...]) -> list[PublicIdentity]:
        """The identities of these institutions' nodes. Raises CoordinatorError where one has none."""
        wanted = set(parties)
        nodes = [one for one in self._members.identities() if one.role == "node" and one.institution in wanted]
        absent = sorted(wanted - {identity.institution for identity in nodes})
        if absent:
            raise CoordinatorError(
                f"the question names {', '.join(absent[:5])} as a party, which has no node in this network",
                blame="whoever asked, or an institution that has not enrolled yet",
                remedy="correct the parties, or ask again once every one of them has a node",
            )
        return nodes

    def _relay(
        self, question: Question, request: pb.SignedQuestion, nodes: list[PublicIdentity], analyst: PublicIdentity
    ) -> Answers:
        content = Content(
            config={
                "question": request.document,
                "signature": request.signature,
                "identities": [canonical.encode(identity.document()) for identity in (*nodes, analyst)],
            }
        )
        parties = [identity.institution for identity in nodes]
        ids = {party: self._post(question.question_id, party, question.STEP, content) for party in parties}
        replies = self._mailbox.replies(list(ids.values()), self._seconds, every=True)
        answers = [self._answer(party, task_id, replies.get(task_id)) for party, task_id in ids.items()]
        for party in parties:  # nodes erase what was asked
            self._post(question.question_id, party, CLOSE, Content())
        self._mailbox.erase(question.question_id)
        return answers

    def _post(self, question_id: str, party: str, step: str, content: Content) -> str:
        task_id = f"{question_id}/{step}/0/{party}"
        task = exchange_pb2.Task(task_id=task_id, job_id=question_id, step=step, content=content.to_proto())
        self._mailbox.post([(task, party, None)])
        return task_id

    def _answer(self, party: str, task_id: str, reply: exchange_pb2.Reply | None) -> pb.SignedAnswer:
        if reply is None:
            return pb.SignedAnswer(institution=party, failure=late(task_id, self._seconds))
        if reply.WhichOneof("outcome") != "content":
            return pb.SignedAnswer(institution=party, failure=failure_of(reply, task_id))
        try:
            content = Content.from_proto(reply.content, party)
            document, signature = (short_blob(content, name, party) for name in ("answer", "signature"))
        except (ExchangeError, CoordinatorError) as error:
            failure = exchange_pb2.Failure(code="failed", what=error.what, blame=error.blame, remedy=error.remedy)
            return pb.SignedAnswer(institution=party, failure=failure)
        return pb.SignedAnswer(institution=party, document=document, signature=signature)
