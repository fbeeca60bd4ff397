"""The node's answer to every task: which part of the node takes it, and what becomes of it.

A step that fails or that the gate refuses ends the job here, with the reason on the log before it is said; other
jobs go on. Every answer is stored with what it changed in one transaction, and only then sent.
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial

from consortia_common.content import Beside, Content
from consortia_common.database import reading, scrub
from consortia_common.documents.catalogue import CatalogueQuestion
from consortia_common.documents.confirmation import STEP as CONFIRMATION
from consortia_common.documents.plan import PlanQuestion
from consortia_common.stream import legible
from consortia_crypto.errors import CiphertextError, ConsortiaError, SumError
from consortia_node import accepted, confirmations, metrics
from consortia_node import jobs as rules
from consortia_node.accepted import AcceptedJob
from consortia_node.answers import Answer, failed_by, refused_by
from consortia_node.approvals import ApprovalDesk
from consortia_node.catalogue import Catalogue
from consortia_node.cohorts import Cohorts
from consortia_node.compute import Compute
from consortia_node.epochs import Epochs
from consortia_node.errors import BadCiphertextError, RefusedError, StateError, StoppingError, TotalRefusedError
from consortia_node.model_desk import STEP as MODEL
from consortia_node.model_desk import ModelDesk
from consortia_node.notices import Notices
from consortia_node.offers import Offers
from consortia_node.plans import Plans
from consortia_node.revocations import Revocations
from consortia_node.statements import STEP as ACKNOWLEDGEMENT
from consortia_node.statements import Statements
from consortia_node.store.jobs import JobStore
from consortia_node.sumfiles import synced
from consortia_node.sums import Sums
from consortia_node.tools import Tools
from consortia_node.withdrawals import STEP as CONSENT
from consortia_node.withdrawals import Withdrawals
from consortia_proto.v1 import exchange_pb2 as pb

Handler = Callable[[pb.Task, Content], Answer]
StepHandler = Callable[[AcceptedJob, pb.Task, Content], Answer]


class Agent:
    """Takes tasks; ``handle`` is what the exchange calls, in several threads."""

    def __init__(self, tools: Tools, notices: Notices, withdrawals: Withdrawals, models: ModelDesk) -> None:
        self._tools = tools
        self._cohorts = Cohorts(tools)
        offers, epochs, compute = Offers(tools, self._cohorts), Epochs(tools), Compute(tools, self._cohorts)
        approvals = ApprovalDesk(tools)
        self._deciding = threading.Lock()  # two offers at once must not spend one budget twice
        self._handlers: dict[str, Handler] = {
            "offer": offers.offer,
            "close": offers.close,
            PlanQuestion.STEP: Plans(tools).ask,
            CatalogueQuestion.STEP: Catalogue(tools).ask,
            "approval": approvals.ask,
            "approval.end": approvals.ask,
            "notice.approval": approvals.receive,
            "notice.change": notices.receive_change,
            "notice.statement": notices.receive,
            CONFIRMATION: partial(confirmations.receive, tools),
            MODEL: models.receive,
            ACKNOWLEDGEMENT: Statements(tools).receive,
            CONSENT: withdrawals.receive,
            "notice.revocation": Revocations(tools, self._cohorts).receive,
        }
        sums = Sums(tools)
        self._computed: StepHandler = partial(sums.around, compute.step)
        self._keys: Mapping[str, StepHandler] = epochs.steps
        self._sums: Mapping[str, StepHandler] = sums.steps

    def handle(self, task: pb.Task) -> pb.Reply:
        """Do the task and store its answer. Raises StoppingError if the node stops before it is done."""
        with self._deciding if task.step == "offer" else nullcontext():
            answer = self._answer(task)
            body = Beside()
            reply = answer.reply(task, body)
            with synced(answer.files):  # beside the answer's own
                content = self._tools.tasks.sized(reply, body)
            with self._tools.engine.begin() as connection:
                answer.store(connection)
                self._tools.tasks.answer(connection, task.task_id, content)
        if task.step == "close" or reply.HasField("failure"):
            scrub(self._tools.engine)  # the job may have ended, and its keys go with it
        metrics.TASKS.labels(_outcome(reply)).inc()
        return reply

    def _answer(self, task: pb.Task) -> Answer:
        try:
            content = Content.from_proto(task.content, "the coordinator", self._tools.tasks.body(task.task_id))
            self._require_timely(task)
            return self._handlers.get(task.step, self._take)(task, content)
        except StoppingError:
            raise
        except RefusedError as error:
            return self._give_up(task, error, refused_by(error))
        except ConsortiaError as error:
            return self._give_up(task, error, failed_by(error))

    def _require_timely(self, task: pb.Task) -> None:
        """Return if anybody waits for the answer: for a job that was given up nothing is spent, read or told."""
        if task.deadline_ms > 0 and self._tools.coordinator_clock.is_past(task.deadline_ms):
            raise StateError(
                f"step {legible(task.step)!r} of {legible(task.job_id)} came after the time that the coordinator "
                "gave for it",
                blame=f"the connection of {self._tools.institution}, or the coordinator, if it was away",
                remedy="submit the job again",
            )

    def _take(self, task: pb.Task, content: Content) -> Answer:
        """A step of a sealed sum, whose order is its own affair, or the step that a job has next: counted in the
        transaction that stores its answer."""
        if handler := self._sums.get(task.step):
            return handler(accepted.in_force(self._tools, task.job_id), task, content)
        job, place = accepted.next_step(self._tools, task)
        answer = self._keys.get(task.step, self._computed)(job, task, content)

        counted = Answer(Content(), lambda c: JobStore(c).count_step(job.job_id, job.steps_taken, place + 1))
        return answer.joined(counted)

    def _give_up(self, task: pb.Task, error: ConsortiaError, failure: pb.Failure) -> Answer:
        """Log why, and end the job here if it is under way.

        A job id is only the coordinator's word until the job was accepted: nothing is touched in its name before.
        """
        with reading(self._tools.engine) as connection:
            job = JobStore(connection).get(task.job_id)
        if job is None or job.state not in rules.UNDER_WAY:
            self._log_refusal("message.refused", task, error, peer="coordinator")
            return Answer(failure)
        if isinstance(error, CiphertextError | SumError | BadCiphertextError | TotalRefusedError):
            self._log_refusal("ciphertext.refused", task, error, job=job.job_id, peer=error.blame)
        self._log_refusal("job.failed", task, error, job=job.job_id)
        self._tools.workers.end(job.job_id)
        self._cohorts.erase(job.job_id)
        now = self._tools.now_ms()
        return Answer(failure, store=lambda c: JobStore(c).advance(job.job_id, rules.FAILED, now, error.what))

    def _log_refusal(self, event: str, task: pb.Task, error: ConsortiaError, **fields: str) -> None:
        reason = error.detail if isinstance(error, TotalRefusedError) else error.what
        self._tools.log.append(event, reason=reason, step=legible(task.step), **fields)


def _outcome(reply: pb.Reply) -> str:
    if not reply.HasField("failure"):
        return metrics.ANSWERED
    return metrics.REFUSED if reply.failure.code == "refused" else metrics.FAILED
