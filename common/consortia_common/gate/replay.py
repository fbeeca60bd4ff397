"""PURE: what a node knew when it decided, gathered from its own log, so that its gate can be asked again.

The attached submissions and agreements, which of them were in force, and how much of every budget had been used
up, entry by entry. Not on the log are how the node was configured and whose consent stood: a request made here
takes the node to hold what a job reads, at a grade that the agreement allows, and somebody to have consented.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from consortia_common.documents.agreement import ACTIVE, PROPOSED, Agreement
from consortia_common.documents.jobspec import Submission
from consortia_common.errors import DocumentError
from consortia_common.gate.ledger import SPENT, Ledger
from consortia_common.gate.request import Budgets, ConsentSummary, EarlierJob, GateRequest, NodePolicy
from consortia_common.gate.rules import max_grade
from consortia_crypto.audit.entry import Entry

NOT_ON_THE_LOG = (
    *("node.datasets", "node.libraries", "datasets.max_grade", "lawful_basis"),
    *("parties.key", "model.withdrawn", "gate"),
)
"""Clauses that rest on the node's configuration, software, models or consent records, on the identities that the
coordinator gave it, or on its other evaluator."""
SCORED = "scores.returned"
DISAPPROVED = "job.disapproved"
"""People refused what the gate had accepted: the job gives its part of the budgets back."""
_ENDS = frozenset({"job.finished", "job.failed", DISAPPROVED})
_STATES = {
    "agreement.proposed": PROPOSED,
    "agreement.activated": ACTIVE,
    "agreement.suspended": "suspended",
    "agreement.resumed": ACTIVE,
    "agreement.superseded": "superseded",
    "agreement.terminated": "terminated",
}


class Replay:
    """Feed it every entry of one log, in order; ``document`` finds an attached document by its hash."""

    def __init__(self, network: str, institution: str, document: Callable[[str], bytes | None]) -> None:
        self.institution = institution
        self._network = network
        self._document = document
        self._agreements: dict[str, tuple[Agreement, str]] = {}
        self._submissions: dict[str, Submission] = {}
        self._decided: set[str] = set()
        self._accepted: dict[str, str] = {}
        self._scored: dict[str, int] = {}
        self._earlier: list[EarlierJob] = []
        self._used_rows: set[str] = set()
        self._ended: set[str] = set()
        self._ledger = Ledger()

    def see(self, entry: Entry) -> None:
        """Take the next entry into account."""
        if entry.type in _STATES:
            self._learn(entry, _STATES[entry.type])
        elif entry.type == "job.submitted":
            self._submitted(entry)
        elif entry.type == "job.decided" and self.is_own(entry):
            self._decide(entry)
        elif entry.type == SCORED and entry.body["job"] in self._scored:
            self._scored[entry.body["job"]] = entry.body["detail"].get("rows", 0)
        elif entry.type == "access.cohort":
            self._used_rows.add(entry.body["job"])
        elif entry.type in _ENDS:
            self._ended.add(entry.body.get("job", ""))
            if entry.type == DISAPPROVED:
                self._accepted.pop(entry.body["job"], None)
        elif entry.type == SPENT:
            self._ledger.see(entry)

    def is_own(self, entry: Entry) -> bool:
        """Whether a decision is that of the institution whose log this is; a coordinator's tells of others'."""
        return bool(entry.body["detail"].get("institution", self.institution) == self.institution)

    def submission(self, job: str) -> Submission | None:
        """What was submitted as that job, if it is attached."""
        return self._submissions.get(job)

    def agreement(self, reference: str) -> Agreement | None:
        """The agreement of that id@version#hash, if it is attached."""
        known = self._agreements.get(reference)
        return known[0] if known else None

    def citing(self, short: str) -> tuple[Agreement, str] | None:
        """What a spec means by id@version, and its state: one that has been in force, else a proposal."""
        found = [item for item in self._agreements.values() if item[0].short == short]
        return min(found, key=lambda item: (item[1] == PROPOSED, item[0].hash()), default=None)

    def request(self, submission: Submission, agreement: Agreement, state: str, now: datetime) -> GateRequest:
        """As the node would ask its gate now, after the entries seen so far."""
        here = self.institution
        jobs = [job for job, reference in self._accepted.items() if reference == agreement.reference]
        held = {
            item.dataset: {name: max_grade(agreement, here, item.dataset, name) or 1 for name in item.columns}
            for item in submission.spec.parameters.reads(here)
        }
        return GateRequest(
            submission=submission,
            requester=submission.analyst,
            agreement=agreement,
            agreement_state=state,
            policy=NodePolicy(self._network, here, held),
            already_decided=submission.job_id in self._decided,
            now=now,
            consents=ConsentSummary(1),
            budgets=Budgets(
                jobs_run=len(jobs),
                rows_scored=sum(self._scored[job] for job in jobs),
                epsilon_micro=self._ledger.spent(agreement, now),
                earlier=tuple(job for job in self._earlier if self.is_remembered(job.job_id)),
            ),
        )

    def is_remembered(self, job: str) -> bool:
        """Whether a job has used rows here, or may still."""
        return job in self._used_rows or job not in self._ended

    def scored(self, job: str) -> int:
        """The customers whom an accepted job has scored, or has reserved to."""
        return self._scored.get(job, 0)

    def _learn(self, entry: Entry, state: str) -> None:
        reference = entry.body["agreement"]
        known = self._agreements.get(reference)
        if known is not None and state != PROPOSED:
            self._agreements[reference] = (known[0], state)
        elif known is None and state in {PROPOSED, ACTIVE}:
            agreement = self._read(Agreement, reference.partition("#")[2])
            if agreement is not None:
                self._agreements[reference] = (agreement, state)

    def _submitted(self, entry: Entry) -> None:
        submission = self._read(Submission, entry.body.get("payload_commit", ""))
        if submission is not None and submission.job_id == entry.body["job"]:
            self._submissions[submission.job_id] = submission

    def _decide(self, entry: Entry) -> None:
        job = entry.body["job"]
        self._decided.add(job)
        if entry.body["decision"] != "accept":
            return
        submission = self._submissions.get(job)
        self._accepted[job] = entry.body.get("agreement", "")
        self._scored[job] = submission.spec.parameters.scored_rows() if submission else 0
        if submission:
            self._earlier.append(EarlierJob(job, submission.spec, datetime.fromisoformat(entry.time)))

    def _read(self, kind: Any, sha256: str) -> Any:
        data = self._document(sha256) if sha256 else None
        try:
            return None if data is None else kind.from_canonical(data, "an attached document")
        except DocumentError:
            return None
