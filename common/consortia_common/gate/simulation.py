"""PURE: what another version of an agreement would have decided, over everything that a log has seen.

Each recorded decision under the agreement is made again as if the proposed version had been in force all the time
and each job had cited it. Budgets and comparisons follow the decisions so made: what the proposal refuses leaves
room, what it lets in takes it up. A recorded refusal that rests on what is not on the log stays as it is, and is
counted apart. Nothing of the log is changed by asking.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from consortia_common.documents.agreement import ACTIVE, Agreement
from consortia_common.documents.jobspec import Submission
from consortia_common.gate import decide
from consortia_common.gate.guards import decide_cohort
from consortia_common.gate.replay import DISAPPROVED, NOT_ON_THE_LOG, SCORED, Replay
from consortia_common.gate.request import Budgets, EarlierJob, GateRequest
from consortia_crypto.audit.entry import Entry

ACCEPTED, UNKNOWN = "accept", "unknown"
"""Outcomes beside the clause of a refusal; unknown is what the log can't tell."""
_EVER = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC))


@dataclass
class Redecided:
    """One job: the outcome that was recorded, and that of the proposed version (``accept``, or the clause)."""

    job: str
    entry: int
    time: str
    kind: str
    recorded: str
    proposed: str
    sentence: str = ""

    @property
    def changed(self) -> bool:
        """Whether the proposed version would have let the job in, or kept it out, where the other did not."""
        return UNKNOWN not in (self.recorded, self.proposed) and (
            (self.recorded == ACCEPTED) != (self.proposed == ACCEPTED)
        )


class Simulation:
    """Feed it every entry of one node's log, in order; ``document`` finds an attached document by its hash."""

    def __init__(
        self, proposed: Agreement, network: str, institution: str, document: Callable[[str], bytes | None]
    ) -> None:
        self.jobs: list[Redecided] = []
        """Every decision on a job under any version of the agreement."""
        self._proposed = proposed
        self._ever = proposed.model_copy(update={"valid_from": _EVER[0], "valid_until": _EVER[1]})
        self._replay = Replay(network, institution, document)
        self._scored: dict[str, int] = {}
        self._spent: list[tuple[datetime, int]] = []
        self._earlier: list[EarlierJob] = []

    def see(self, entry: Entry) -> None:
        """Take the next entry into account."""
        if entry.type == "job.decided" and self._replay.is_own(entry):
            self._decided(entry)
        elif entry.type == "access.cohort":
            self._cohort(entry)
        elif entry.type == DISAPPROVED:
            self._scored.pop(entry.body["job"], None)
        self._replay.see(entry)
        if entry.type == SCORED and entry.body["job"] in self._scored:
            self._scored[entry.body["job"]] = self._replay.scored(entry.body["job"])

    @property
    def by_clause(self) -> dict[str, Counter[str]]:
        """How many jobs each clause would newly refuse, and how many of its refusals would be taken back."""
        counts: dict[str, Counter[str]] = {}
        for job in self.jobs:
            if job.changed and job.proposed != ACCEPTED:
                counts.setdefault(job.proposed, Counter())["newly refused"] += 1
            elif job.changed:
                counts.setdefault(job.recorded, Counter())["newly accepted"] += 1
        return counts

    def document(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "institution": self._replay.institution,
            "proposed": self._proposed.reference,
            "decisions": len(self.jobs),
            "changed": sum(job.changed for job in self.jobs),
            "unknown": sum(UNKNOWN in (job.recorded, job.proposed) for job in self.jobs),
            "by_clause": {clause: dict(counts) for clause, counts in sorted(self.by_clause.items())},
            "jobs": [{**vars(job), "changed": job.changed} for job in self.jobs],
        }

    def _decided(self, entry: Entry) -> None:
        body = entry.body
        job, at = body["job"], datetime.fromisoformat(entry.time)
        name, _, _ = body.get("agreement", "").partition("@")
        submission = self._replay.submission(job)
        recorded = ACCEPTED if body["decision"] == "accept" else body["detail"].get("clause", UNKNOWN)
        if name != self._proposed.id:
            if submission and recorded == ACCEPTED:
                self._earlier.append(EarlierJob(job, submission.spec, at))
            return
        told = Redecided(job, entry.index, entry.time, body["detail"]["kind"], recorded, UNKNOWN)
        self.jobs.append(told)
        if submission is None or recorded in NOT_ON_THE_LOG:
            told.sentence = "What this decision rests on is not on the log."
            return
        decision = decide(self._request(submission, at))
        told.proposed, told.sentence = decision.clause or ACCEPTED, decision.sentence
        if decision.accepted:
            self._let(submission, at)

    def _let(self, submission: Submission, at: datetime) -> None:
        parameters = submission.spec.parameters
        self._scored[submission.job_id] = parameters.scored_rows()
        self._spent.append((at, parameters.epsilon_micro()))
        self._earlier.append(EarlierJob(submission.job_id, submission.spec, at))

    def _request(self, submission: Submission, at: datetime) -> GateRequest:
        """As the node would have asked, had the job cited the proposed version."""
        request = self._replay.request(submission, self._ever, ACTIVE, at)
        since = at - timedelta(days=self._ever.dp.period_days if self._ever.dp else 0)
        budgets = Budgets(
            jobs_run=len(self._scored),
            rows_scored=sum(self._scored.values()),
            epsilon_micro=sum(cost for when, cost in self._spent if when > since),
            earlier=tuple(job for job in self._earlier if self._replay.is_remembered(job.job_id)),
        )
        spec = submission.spec.model_copy(update={"agreement": self._ever.short})
        return replace(request, submission=submission.model_copy(update={"spec": spec}), budgets=budgets)

    def _cohort(self, entry: Entry) -> None:
        """A cohort that was formed: whether the proposed version would have asked for more rows."""
        for told in self.jobs:
            if told.job == entry.body["job"] and told.proposed == ACCEPTED:
                decision = decide_cohort(self._proposed, entry.body["rows_used"])
                if not decision.accepted:
                    told.proposed, told.sentence = decision.clause, decision.sentence
