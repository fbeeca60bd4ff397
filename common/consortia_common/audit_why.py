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

from consortia_common.documents.jobspec import Submission
from consortia_common.gate import judge
from consortia_common.gate.guards import decide_cohort
from consortia_common.gate.replay import NOT_ON_THE_LOG, Replay
from consortia_crypto.audit.entry import Entry

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


class Why:
    """Feed it every entry of one log, in order; ``document`` finds an attached document by its hash."""

    def __init__(self, job: str, network: str, institution: str, document: Callable[[str], bytes | None]) -> None:
        self.explanations: list[Explanation] = []
        """One for a node's log; in the coordinator's, one for each party whose decision it was told."""
        self._job = job
        self._replay = Replay(network, institution, document)

    def see(self, entry: Entry) -> None:
        """Take the next entry into account."""
        if entry.body.get("job") == self._job and entry.type in _HANDLERS:
            _HANDLERS[entry.type](self, entry)
        self._replay.see(entry)

    def _decided(self, entry: Entry) -> None:
        whose = entry.body["detail"].get("institution", self._replay.institution)
        self.explanations.append(self._explain(entry, whose))

    def _explain(self, entry: Entry, whose: str) -> Explanation:
        body, detail = entry.body, entry.body["detail"]
        explanation = Explanation(
            whose, self._job, entry.index, entry.time, body["decision"], detail.get("clause", ""),
            body.get("reason", ""), detail["kind"], body.get("purpose", ""), body.get("agreement", ""),
        )  # fmt: skip
        if whose != self._replay.institution:
            explanation.why_not = f"the decision was made by {whose}; its own log tells why"
            return explanation
        submission = self._replay.submission(self._job)
        if submission is None:
            explanation.why_not = "the submission is not attached to this copy of the log"
            return explanation
        explanation.analyst = submission.analyst
        self._judge(explanation, submission, entry)
        return explanation

    def _judge(self, explanation: Explanation, submission: Submission, entry: Entry) -> None:
        found = self._replay.citing(submission.spec.agreement)
        if found is None and explanation.clause != "agreement":
            explanation.why_not = "the agreement is not attached to this copy of the log"
        elif found is None:
            explanation.rulings = [Ruling("agreement", "agreement", explanation.reason)]
            explanation.replayed = "refuse: agreement"
        else:
            request = self._replay.request(submission, *found, datetime.fromisoformat(entry.time))
            explanation.rulings = [
                Ruling(rule, refusal.clause, refusal.sentence) if refusal else Ruling(rule)
                for rule, refusal in judge(request, found[0])
            ]
            objection = next((item for item in explanation.rulings if item.objection), None)
            explanation.replayed = f"refuse: {objection.clause}" if objection else "accept"

    def _cohort(self, entry: Entry) -> None:
        body = entry.body
        agreement = self._replay.agreement(body["agreement"])
        if not self.explanations:
            return
        decision = decide_cohort(agreement, body["rows_used"]) if agreement else None
        self.explanations[-1].accesses.append({
            "entry": entry.index, "time": entry.time, "dataset": body["dataset"],
            "columns": body.get("columns", []), "rows_used": body["rows_used"],
            "rows_left_out": body["rows_left_out"],
            "allowed": decision.accepted if decision else True,
            "objection": decision.sentence if decision else "",
        })  # fmt: skip

    def _ends(self, entry: Entry) -> None:
        reason = entry.body.get("reason", "")
        for explanation in self.explanations:
            explanation.ending = f"{_ENDS[entry.type]} in entry {entry.index}" + (f": {reason}" if reason else "")


_HANDLERS: Mapping[str, Callable[[Why, Entry], None]] = {
    "job.decided": Why._decided,
    "access.cohort": Why._cohort,
    **dict.fromkeys(_ENDS, Why._ends),
}
