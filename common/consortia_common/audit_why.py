"""PURE: why an institution took part in a job, or did not: its decision, made again from its own log.

The gate's rules run over what the log says that the node knew at that moment: the attached submission and
agreement, which agreements were in force, how much of their budgets had been spent. A recorded decision that the
rules would not have made is a fault of the node. Two things are not on the log and are taken from the record: that
the submission's signature was valid, and how the node was configured.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from consortia_common.documents.agreement import ACTIVE, PROPOSED, Agreement
from consortia_common.documents.jobspec import Submission
from consortia_common.errors import DocumentError
from consortia_common.gate import GateRequest, decide_rows, judge
from consortia_crypto.audit.entry import Entry

NOT_ON_THE_LOG = ("node.datasets", "parties.key")
"""Clauses that rest on the node's configuration, or on the identities that the coordinator gave it."""
_ENDED = {
    "agreement.suspended": "suspended",
    "agreement.superseded": "superseded",
    "agreement.terminated": "terminated",
}
_ENDS = {"job.finished": "finished", "job.failed": "failed"}


@dataclass(frozen=True)
class Ruling:
    """What one rule of the gate says. ``objection`` is empty if it does not object."""

    rule: str
    clause: str = ""
    objection: str = ""


@dataclass
class Explanation:
    """One institution's decision on one job, and what followed."""

    institution: str
    job: str
    entry: int | None = None
    time: str = ""
    decision: str = ""
    clause: str = ""
    reason: str = ""
    kind: str = ""
    purpose: str = ""
    agreement: str = ""
    analyst: str = ""
    rulings: list[Ruling] = field(default_factory=list)
    replayed: str = ""
    """"accept", "refuse: CLAUSE", or empty if the decision can't be made again."""
    why_not: str = ""
    """Why it can't."""
    accesses: list[dict[str, Any]] = field(default_factory=list)
    ending: str = ""

    @property
    def agrees(self) -> bool | None:
        """Whether the rules decide as recorded; None if that can't be said."""
        if not self.replayed or self.clause in NOT_ON_THE_LOG:
            return None
        recorded = self.decision if self.decision == "accept" else f"{self.decision}: {self.clause}"
        return self.replayed == recorded and all(access["allowed"] for access in self.accesses)

    def document(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {**vars(self), "rulings": [vars(item) for item in self.rulings], "agrees": self.agrees}


@dataclass
class _Known:
    """What the node knew when it decided."""

    agreements: dict[str, tuple[Agreement, str]] = field(default_factory=dict)
    """By id@version#hash: the document and its state."""
    submissions: dict[str, Submission] = field(default_factory=dict)
    accepted: dict[str, str] = field(default_factory=dict)
    """By job: the agreement under which it was accepted."""
    decided: set[str] = field(default_factory=set)
    scored: dict[str, int] = field(default_factory=dict)


class Why:
    """Feed it every entry of one log, in order; ``document`` finds an attached document by its hash."""

    def __init__(self, job: str, network: str, institution: str, document: Callable[[str], bytes | None]) -> None:
        self.explanations: list[Explanation] = []
        """One for a node's log; in the coordinator's, one for each party whose decision it was told."""
        self._job = job
        self._network = network
        self._institution = institution
        self._document = document
        self._known = _Known()

    def see(self, entry: Entry) -> None:
        """Take the next entry into account."""
        handler = _HANDLERS.get(entry.type)
        if handler is not None:
            handler(self, entry)

    def _proposed(self, entry: Entry) -> None:
        self._learn(entry, PROPOSED)

    def _activated(self, entry: Entry) -> None:
        self._learn(entry, ACTIVE)

    def _learn(self, entry: Entry, state: str) -> None:
        reference = entry.body["agreement"]
        agreement = self._read(Agreement, reference.partition("#")[2])
        if agreement is not None and (state == ACTIVE or reference not in self._known.agreements):
            self._known.agreements[reference] = (agreement, state)

    def _ended(self, entry: Entry) -> None:
        known = self._known.agreements.get(entry.body["agreement"])
        if known is not None:
            self._known.agreements[entry.body["agreement"]] = (known[0], _ENDED[entry.type])

    def _submitted(self, entry: Entry) -> None:
        submission = self._read(Submission, entry.body.get("payload_commit", ""))
        if submission is not None and submission.job_id == entry.body["job"]:
            self._known.submissions[submission.job_id] = submission

    def _decided(self, entry: Entry) -> None:
        job, detail = entry.body["job"], entry.body["detail"]
        if job == self._job:
            whose = detail.get("institution", self._institution)
            self.explanations.append(self._explain(entry, whose))
        self._known.decided.add(job)
        submission = self._known.submissions.get(job)
        if entry.body["decision"] == "accept":
            self._known.accepted[job] = entry.body.get("agreement", "")
            self._known.scored[job] = submission.spec.parameters.scored_rows() if submission else 0

    def _explain(self, entry: Entry, whose: str) -> Explanation:
        body, detail = entry.body, entry.body["detail"]
        explanation = Explanation(
            whose, self._job, entry.index, entry.time, body["decision"], detail.get("clause", ""),
            body.get("reason", ""), detail["kind"], body.get("purpose", ""), body.get("agreement", ""),
        )  # fmt: skip
        if whose != self._institution:
            explanation.why_not = f"the decision was made by {whose}; its own log tells why"
            return explanation
        submission = self._known.submissions.get(self._job)
        if submission is None:
            explanation.why_not = "the submission is not attached to this copy of the log"
            return explanation
        explanation.analyst = submission.analyst
        self._replay(explanation, submission, entry)
        return explanation

    def _replay(self, explanation: Explanation, submission: Submission, entry: Entry) -> None:
        found = self._citing(submission.spec.agreement)
        if found is None and explanation.clause != "agreement":
            explanation.why_not = "the agreement is not attached to this copy of the log"
        elif found is None:
            explanation.rulings = [Ruling("agreement", "agreement", explanation.reason)]
            explanation.replayed = "refuse: agreement"
        else:
            request = self._request(submission, *found, datetime.fromisoformat(entry.time))
            explanation.rulings = [
                Ruling(rule, refusal.clause, refusal.sentence) if refusal else Ruling(rule)
                for rule, refusal in judge(request, found[0])
            ]
            objection = next((item for item in explanation.rulings if item.objection), None)
            explanation.replayed = f"refuse: {objection.clause}" if objection else "accept"

    def _citing(self, short: str) -> tuple[Agreement, str] | None:
        """What a spec means by id@version: the one that has been in force, else one that was proposed."""
        found = [item for item in self._known.agreements.values() if item[0].short == short]
        return min(found, key=lambda item: (item[1] == PROPOSED, item[0].hash()), default=None)

    def _request(self, submission: Submission, agreement: Agreement, state: str, now: datetime) -> GateRequest:
        """As the node asked its gate, taking it to have every column that the job reads."""
        jobs = [job for job, reference in self._known.accepted.items() if reference == agreement.reference]
        reads = submission.spec.parameters.reads(self._institution)
        return GateRequest(
            submission=submission,
            requester=submission.analyst,
            agreement=agreement,
            agreement_state=state,
            network=self._network,
            institution=self._institution,
            datasets={item.dataset: item.columns for item in reads},
            already_decided=self._job in self._known.decided,
            jobs_run=len(jobs),
            rows_scored=sum(self._known.scored[job] for job in jobs),
            now=now,
        )

    def _scored(self, entry: Entry) -> None:
        if entry.body["job"] in self._known.scored:
            self._known.scored[entry.body["job"]] = entry.body["detail"].get("rows", 0)

    def _cohort(self, entry: Entry) -> None:
        body = entry.body
        known = self._known.agreements.get(body["agreement"])
        if body["job"] == self._job and self.explanations:
            decision = decide_rows(known[0], body["rows_used"]) if known else None
            self.explanations[-1].accesses.append({
                "entry": entry.index, "time": entry.time, "dataset": body["dataset"],
                "columns": body.get("columns", []), "rows_used": body["rows_used"],
                "rows_left_out": body["rows_left_out"],
                "allowed": decision.accepted if decision else True,
                "objection": decision.sentence if decision else "",
            })  # fmt: skip

    def _ends(self, entry: Entry) -> None:
        if entry.body.get("job") == self._job:
            reason = entry.body.get("reason", "")
            for explanation in self.explanations:
                explanation.ending = f"{_ENDS[entry.type]} in entry {entry.index}" + (
                    f": {reason}" if reason else ""
                )

    def _read(self, kind: Any, sha256: str) -> Any:
        data = self._document(sha256) if sha256 else None
        try:
            return None if data is None else kind.from_canonical(data, "an attached document")
        except DocumentError:
            return None


_HANDLERS: Mapping[str, Callable[[Why, Entry], None]] = {
    "agreement.proposed": Why._proposed,
    "agreement.activated": Why._activated,
    **dict.fromkeys(_ENDED, Why._ended),
    "job.submitted": Why._submitted,
    "job.decided": Why._decided,
    "scores.returned": Why._scored,
    "access.cohort": Why._cohort,
    **dict.fromkeys(_ENDS, Why._ends),
}
