"""A consent that ended: what it had been used for, which jobs stop, and who is told.

What it reaches is logged, and what the recipients are told is written down, in the transaction that ends the
consent. Recipients learn which jobs relied on a consent that stands no more, never whose it was.
"""

import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sqlalchemy import Connection

from consortia_common.content import Content
from consortia_common.database import reading
from consortia_common.documents.agreement import Agreement
from consortia_common.documents.jobspec import Submission
from consortia_common.documents.withdrawal import MOST_JOBS, WITHDRAWN, WithdrawalStatement
from consortia_crypto import canonical
from consortia_node import jobs as rules
from consortia_node.answers import Answer
from consortia_node.consent import ConsentRecord
from consortia_node.statements import Statements, heard
from consortia_node.store.agreements import AgreementStore
from consortia_node.store.cohorts import CohortStore
from consortia_node.store.jobs import JobStore
from consortia_node.store.models import ModelStore
from consortia_node.tools import Tools
from consortia_proto.v1 import exchange_pb2

STEP = "notice.consent"
"""The step of a task that brings a statement; what is answered to it goes out through StatementOutbox."""
STOP = "stop"


@dataclass(frozen=True)
class Reached:
    """What the ended consent had been used for. ``stopped``: of the running jobs, those that its agreement ends.

    ``whom``: by job, the other institutions that it concerned.
    """

    jobs: Sequence[str] = ()
    whom: Mapping[str, Collection[str]] = field(default_factory=dict)
    models: Sequence[str] = ()
    running: Sequence[str] = ()
    stopped: Sequence[str] = ()
    statement: str = ""

    @property
    def recipients(self) -> list[str]:
        """Who is told."""
        return sorted({institution for job_id in self.jobs for institution in self.whom[job_id]})

    def parts(self) -> Iterator["Reached"]:
        """As much as one statement can speak of, each; at least one."""
        for first in range(0, max(len(self.jobs), 1), MOST_JOBS):
            jobs = self.jobs[first : first + MOST_JOBS]
            named = set(jobs)
            yield replace(
                self,
                jobs=jobs,
                models=(),
                running=[job_id for job_id in self.running if job_id in named],
                stopped=[job_id for job_id in self.stopped if job_id in named],
            )


class Withdrawals:
    """What follows from the end of a consent, at its institution and at those that relied on it."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._statements = Statements(tools)

    def reach(self, connection: Connection, subject_id: int, purpose: str = "", since_ms: int = 0) -> Reached:
        """The jobs (for ``purpose``, under way since then) that used the customer's rows, and where it went."""
        store = JobStore(connection)
        found = [job for job in map(store.get, CohortStore(connection).reached_by(subject_id)) if job]
        specs = {job.job_id: Submission.from_canonical(job.submission, "a stored submission") for job in found}
        jobs = [
            job
            for job in found
            if (not purpose or specs[job.job_id].spec.purpose == purpose)
            and (job.finished_ms is None or job.finished_ms >= since_ms)
        ]
        agreements = {job.job_id: AgreementStore(self._tools.engine).find(job.agreement).agreement for job in jobs}
        running = [job.job_id for job in jobs if job.state in rules.UNDER_WAY]
        whom = {name: _recipients(specs[name], agreement) for name, agreement in agreements.items()}
        reached = Reached(
            jobs=[job.job_id for job in jobs],
            whom={name: named - {self._tools.institution} for name, named in whom.items()},
            running=running,
            stopped=[name for name in running if agreements[name].on_withdrawal == STOP],
        )
        models = {name for part in reached.parts() for name in ModelStore(connection).made_by(part.jobs)}
        return replace(reached, models=sorted(models))

    def ended(self, connection: Connection, subject_id: int, record: ConsentRecord) -> Reached:
        """Log what the ended consent reaches, and write down what the recipients are to be told."""
        since = record.effective_ms if record.state == "invalidated" else 0
        found = self.reach(connection, subject_id, record.purpose, since)
        for part in found.parts():
            models = ModelStore(connection).made_by(part.jobs)
            found = replace(found, statement=self._told(connection, record, replace(part, models=models)))
        jobs = JobStore(connection)
        for job_id in found.stopped:
            self._tools.log.append("job.failed", job=job_id, reason=_STOPPED)
            jobs.advance(job_id, rules.FAILED, self._tools.now_ms(), _STOPPED)
        return found

    def _told(self, connection: Connection, record: ConsentRecord, found: Reached) -> str:
        """Log this much of what was reached; the statement that tells the recipients of it."""
        statement = secrets.token_hex(16)
        attached = {"v": 1, "jobs": found.jobs, "models": found.models, "recipients": found.recipients}
        self._tools.log.append(
            "withdrawal.reached",
            subject=record.pseudonym,
            purpose=record.purpose,
            decision=record.state,
            payload_commit=self._tools.log.attach(canonical.encode(attached)),
            statement=statement,
            jobs=len(found.jobs),
            models=len(found.models),
            recipients=found.recipients[:50],
            running=found.running[:50],
            stopped=found.stopped[:50],
        )
        if found.recipients:
            self._state(connection, record, found, statement)
        return statement

    def receive(self, task: exchange_pb2.Task, content: Content) -> Answer:
        """A statement of another institution, as the coordinator passes it on. Raises ConsortiaError."""
        del task
        stated, document, signer = heard(content, WithdrawalStatement, WITHDRAWN, self._tools.institution)
        with reading(self._tools.engine) as connection:
            known = self._statements.shared(connection, stated.jobs, signer)
            if self._statements.has_acknowledged(connection, stated.statement, signer.institution):
                return Answer(Content())
        self._tools.log.append(
            "withdrawal.received",
            institution=signer.institution,
            statement=stated.statement,
            purpose=stated.purpose,
            decision=stated.state,
            jobs=known[:50],
            payload_commit=self._tools.log.attach(document),
        )
        return Answer(
            Content(), store=lambda c: self._statements.acknowledge(c, stated.statement, signer.institution)
        )

    def _state(self, connection: Connection, record: ConsentRecord, found: Reached, statement: str) -> None:
        told = WithdrawalStatement(
            statement=statement,
            institution=self._tools.institution,
            recipients=tuple(found.recipients),
            purpose=record.purpose,
            state=record.state,
            effective_at=datetime.fromtimestamp(record.effective_ms / 1000, UTC),
            jobs=tuple(found.jobs),
        )
        self._statements.write(connection, statement, WITHDRAWN, told.canonical())


_STOPPED = "a consent that it relied on was withdrawn, and the agreement says that the job stops then"


def _recipients(submission: Submission, agreement: Agreement) -> set[str]:
    analysts = {analyst.institution for analyst in agreement.analysts if analyst.key == submission.analyst}
    return {*submission.spec.parties, *analysts}
