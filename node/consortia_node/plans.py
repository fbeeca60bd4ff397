"""What this node would do with a job, asked before it is submitted: a dry run of its gate. No row is read.

The question is logged before it is looked at, the answer before it is given. How many customers have consented is
told in bands, and only if the gate would accept; whoever it would refuse learns the clause, as from an offer. The
answer is sealed to the analyst: the coordinator carries it and can't read it.
"""

from consortia_common.content import Content
from consortia_common.database import reading
from consortia_common.documents.base import refuse
from consortia_common.documents.jobspec import Submission
from consortia_common.documents.plan import (
    Budget,
    PlanAnswer,
    PlannedRead,
    PlanQuestion,
    band,
)
from consortia_common.gate.request import Decision
from consortia_crypto.envelope import seal
from consortia_node.answers import Answer
from consortia_node.asked import read
from consortia_node.cohorts import need_of
from consortia_node.errors import RefusedError
from consortia_node.estimates import Need
from consortia_node.experience import Experience
from consortia_node.gatekeeper import Gatekeeper
from consortia_node.guards import Guards
from consortia_node.store.agreements import AgreementStore, StoredAgreement
from consortia_node.tools import Tools
from consortia_proto.v1 import exchange_pb2 as pb


class Plans:
    """Answers the step "plan"."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._agreements = AgreementStore(tools.engine)
        self._gatekeeper = Gatekeeper(tools)
        self._guards = Guards(tools)

    def ask(self, task: pb.Task, content: Content) -> Answer:
        """What the gate would decide now, sealed. Raises DocumentError, CryptoError for what is no question."""
        asked = read(content, "question", "the plan")
        question = PlanQuestion.from_canonical(asked.document, "the plan")
        if question.question_id != task.job_id:
            raise refuse("the plan", ["its id is not that of the question"])
        analyst = asked.verify(question.domain(), question.analyst, "the plan")
        spec = question.spec
        self._tools.log.append(
            "plan.asked",
            **question.logged,
            fingerprint=question.analyst,
            parties=question.asked,
            payload_commit=self._tools.log.attach(question.canonical()),
        )
        stored = self._agreements.citing(spec.agreement)
        submission = question.as_submission()
        decision = self._gatekeeper.decide(submission.job_id, submission, stored, asked.identities)
        answer = self._answer(question, submission, stored, decision)
        document = answer.canonical()
        self._tools.log.append(
            "plan.answered",
            plan=question.question_id,
            agreement=answer.agreement,
            decision="accept" if decision.accepted else "refuse",
            reason=decision.sentence,
            kind=spec.kind,
            clause=decision.clause,
            digest=answer.hash(),
        )
        envelope = seal(
            document,
            sender=self._tools.identity,
            recipient=analyst,
            purpose=spec.purpose,
            job=question.question_id,
            step=PlanQuestion.STEP,
            sequence=0,
        )
        return Answer(Content(config={"answer": envelope, "signature": b""}))

    def _answer(
        self, question: PlanQuestion, submission: Submission, stored: StoredAgreement | None, decision: Decision
    ) -> PlanAnswer:
        about = {
            "network": self._tools.settings.network,
            "institution": self._tools.institution,
            "question": question.hash(),
            "agreement": stored.agreement.reference if stored else question.spec.agreement,
            "accepts": decision.accepted,
            "answered_ms": self._tools.now_ms(),
        }
        if stored is None or not decision.accepted:
            refused = RefusedError(decision.clause, decision.sentence)
            why = {"clause": decision.clause, "sentence": decision.sentence, "remedy": refused.remedy}
            return PlanAnswer.from_value(about | why, "the plan")
        approvals = stored.agreement.approvals_for(question.spec.kind)
        reads = self._reads(submission, stored)
        need = self._need(question, reads)
        return PlanAnswer.from_value(
            about
            | {
                "officers": approvals.officers if approvals else 0,
                "reads": reads,
                "budgets": self._budgets(question, stored),
            }
            | need.told,
            "the plan",
        )

    def _need(self, question: PlanQuestion, reads: list[PlannedRead]) -> Need:
        """By the upper end of each band, and as many rows of a customer as an earlier job found."""
        with reading(self._tools.engine) as connection:
            past = Experience(connection, self._tools.institution)
            customers = [(one, one.customers.high if one.customers else 0) for one in reads]
            sizes = [(one.columns, int(count * past.rows_each(one.dataset))) for one, count in customers]
            return past.need(question.spec, sizes)

    def _reads(self, submission: Submission, stored: StoredAgreement) -> list[PlannedRead]:
        here, spec, now_ms = self._tools.institution, submission.spec, self._tools.now_ms()
        found = []
        for reads in spec.parameters.reads(here):
            need = need_of(stored.agreement, spec, submission.analyst, reads, here)
            standing = band(len(self._tools.consents.allowed(need, now_ms).numbers)) if need else None
            found.append(PlannedRead(dataset=reads.dataset, columns=reads.columns, customers=standing))
        return found

    def _budgets(self, question: PlanQuestion, stored: StoredAgreement) -> list[Budget]:
        """What the job would use of each budget that the agreement gives for it."""
        agreement, parameters = stored.agreement, question.spec.parameters
        used = self._guards.budgets(agreement)
        budgets = [Budget(name="max_jobs", used=used.jobs_run, cost=1, limit=agreement.max_jobs)]
        if rows := parameters.scored_rows():
            limit = agreement.max_scored_rows
            budgets.append(Budget(name="max_scored_rows", used=used.rows_scored, cost=rows, limit=limit))
        if agreement.dp and (cost := parameters.epsilon_micro()):
            limit = agreement.dp.epsilon_micro
            budgets.append(Budget(name="dp.epsilon_micro", used=used.epsilon_micro, cost=cost, limit=limit))
        return budgets
