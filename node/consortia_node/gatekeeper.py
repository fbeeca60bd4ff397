"""This node's decision on a job: what it knows is brought before both evaluators of the agreement.

Invariant: a job is accepted only if the rules and Cedar both accept it, every party's identity is the one whose
fingerprint the agreement names, and every column is declared here as what the job takes it for. Where the two
evaluators differ, one of them has a fault: the job is refused, and the log says so with an entry of its own.
"""

from collections.abc import Iterable
from importlib.util import find_spec

from consortia_common.database import reading
from consortia_common.documents.jobspec import JobSpec, Submission
from consortia_common.gate import decide
from consortia_common.gate.request import (
    ACCEPT,
    Budgets,
    ConsentSummary,
    Decision,
    GateRequest,
    NodePolicy,
    refusal,
)
from consortia_crypto.keys import PublicIdentity
from consortia_node.cedar import Opinion, opinion
from consortia_node.cohorts import need_of
from consortia_node.guards import Guards
from consortia_node.store.agreements import StoredAgreement
from consortia_node.store.jobs import JobStore
from consortia_node.store.models import ModelStore
from consortia_node.tools import Tools
from consortia_node.uses import decide_uses

DISAGREED = "gate"
"""The clause of a job on which this node's two evaluators do not agree."""
WITHDRAWN = "model.withdrawn"
"""The clause of a job that names a model which counts no more."""
LIBRARIES = "node.libraries"
"""The clause of a job that needs what is not installed here."""
_DISAGREED = (
    "This node judges every job twice, by two evaluators of different makes, and they do not agree on this one; "
    "nothing is read until somebody has found out why."
)


class Gatekeeper:
    """Decides on offers."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._guards = Guards(tools)

    def decide(
        self, job_id: str, submission: Submission, stored: StoredAgreement | None, known: Iterable[PublicIdentity]
    ) -> Decision:
        """The decision. ``stored`` is the agreement that the job cites, ``known`` the identities of its parties."""
        request = self._request(job_id, submission, stored)
        decision = decide(request)
        if stored is None:
            return decision
        second = opinion(request, stored.agreement)
        if second.accepted != decision.accepted:
            return self._disagreed(job_id, stored, decision, second)
        if not decision.accepted:
            return decision
        pinned = _pinned(submission, stored, known, self._tools.identity.public)
        settings = self._tools.settings
        uses = decide_uses(submission.spec, settings.institution, settings.datasets) if pinned.accepted else pinned
        return self._decide_means(submission.spec) if uses.accepted else uses

    def _decide_means(self, spec: JobSpec) -> Decision:
        """The libraries that the job needs are installed, and no model that it names here is withdrawn."""
        for name in spec.parameters.libraries():
            if find_spec(name) is None:
                return refusal(LIBRARIES, f"The node of {self._tools.institution} does not have {name}.")
        with reading(self._tools.engine) as connection:
            found = [ModelStore(connection).get(name) for name in spec.parameters.models(self._tools.institution)]
        for stored in found:
            if stored and stored.withdrawn:
                by = stored.withdrawn
                return refusal(WITHDRAWN, f"Model {stored.name} was withdrawn by {by.institution}: {by.reason}")
        return ACCEPT

    def _request(self, job_id: str, submission: Submission, stored: StoredAgreement | None) -> GateRequest:
        with reading(self._tools.engine) as connection:
            decided = JobStore(connection).get(job_id) is not None
        settings = self._tools.settings
        return GateRequest(
            submission=submission,
            requester=submission.analyst,
            agreement=stored.agreement if stored else None,
            agreement_state=stored.state if stored else "",
            policy=NodePolicy(
                network=settings.network,
                institution=settings.institution,
                datasets={dataset.name: dataset.grades for dataset in settings.datasets},
            ),
            already_decided=decided,
            now=self._tools.clock(),
            consents=self._consents(submission, stored) if stored else ConsentSummary(0),
            budgets=self._guards.budgets(stored.agreement) if stored else Budgets(),
        )

    def _consents(self, submission: Submission, stored: StoredAgreement) -> ConsentSummary:
        """Customers whose consent stands for what the job reads here; of several datasets, the fewest."""
        here, spec, now_ms = self._tools.institution, submission.spec, self._tools.now_ms()
        needs = [
            need_of(stored.agreement, spec, submission.analyst, reads, here)
            for reads in spec.parameters.reads(here)
        ]
        counts = [len(self._tools.consents.allowed(need, now_ms).numbers) for need in needs if need]
        return ConsentSummary(min(counts, default=0))

    def _disagreed(self, job_id: str, stored: StoredAgreement, first: Decision, second: Opinion) -> Decision:
        """Alarm, and refuse: which of the two has a fault is for people to find out."""
        self._tools.log.append(
            "gate.disagreed",
            job=job_id,
            agreement=stored.agreement.reference,
            reason="; ".join(second.errors)[:1000] or "the rules and Cedar judge the job differently",
            rules=first.clause or "accept",
            cedar=", ".join(second.objections)[:1000] or ("accept" if second.accepted else "refuse"),
        )
        return refusal(DISAGREED, _DISAGREED)


def _pinned(
    submission: Submission, stored: StoredAgreement, known: Iterable[PublicIdentity], own: PublicIdentity
) -> Decision:
    """Every party's identity must be the one whose fingerprint the agreement names, this node's own included."""
    prints = {identity.fingerprint for identity in known if identity.institution != own.institution}
    prints.add(own.fingerprint)
    for name in submission.spec.parties:
        party = stored.agreement.party(name)
        if party is None or party.key not in prints:
            return refusal("parties.key", f"The identity of {name} that the agreement names is not at hand here.")
    return ACCEPT
