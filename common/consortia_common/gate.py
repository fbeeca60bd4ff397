"""PURE: whether an institution takes part in a job. Its node decides alone, from its own copy of the agreement.

Nothing that the coordinator says is an input. A job is accepted only if no rule objects; each rule allows only
what the agreement names, so that taking anything out of an agreement can never make an unacceptable job
acceptable. A refusal cites the clause and says, for a person, what was asked and what the agreement says.
Nodes decide with it; `consortia audit why` runs the same rules again over what a log says that the node knew.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from consortia_common.documents.agreement import ACTIVE, PROPOSED, Agreement
from consortia_common.documents.base import utc
from consortia_common.documents.jobspec import Submission

DECIDED_BEFORE = "submission"
"""The clause of a submission that comes a second time."""
SHOWN = 5
"""How many names a sentence lists before it says how many more there are."""


@dataclass(frozen=True)
class GateRequest:
    """All that a decision depends on. The caller has verified the submission's signature under ``requester``."""

    submission: Submission
    requester: str
    """Fingerprint of the identity whose signature the submission bears."""
    agreement: Agreement | None
    """The version in force of the agreement that the spec cites, if this node has one."""
    agreement_state: str
    network: str
    institution: str
    datasets: Mapping[str, Collection[str]]
    """The datasets that this node is configured with, and their columns."""
    already_decided: bool
    jobs_run: int
    """Jobs accepted before under this version of the agreement."""
    rows_scored: int
    """Customers scored, or reserved to be, under this version of the agreement."""
    now: datetime


@dataclass(frozen=True)
class Decision:
    """Accepted, or refused by ``clause`` (a field of the agreement) for the reason in ``sentence``."""

    accepted: bool
    clause: str = ""
    sentence: str = ""


ACCEPT = Decision(accepted=True)
Rule = Callable[[GateRequest, Agreement], Decision | None]


def decide(request: GateRequest) -> Decision:
    """Accept, or the first refusal in the order of RULES."""
    if request.agreement is None:
        cited = request.submission.spec.agreement
        return _refuse("agreement", f"The job cites agreement {cited}; this institution has none of that name.")
    return next((refusal for _, refusal in judge(request, request.agreement) if refusal), ACCEPT)


def judge(request: GateRequest, agreement: Agreement) -> Iterator[tuple[str, Decision | None]]:
    """What each rule says in the order of RULES: its name, and its refusal if it objects."""
    for rule in RULES:
        yield rule.__name__.strip("_").replace("_", " "), rule(request, agreement)


def decide_rows(agreement: Agreement, rows: int) -> Decision:
    """The rule that needs the cohort counted: enough rows with consent."""
    if rows < agreement.min_rows:
        return _refuse(
            "min_rows",
            f"Fewer rows have consent than the {agreement.min_rows} that the agreement asks of each institution.",
        )
    return ACCEPT


def _network(request: GateRequest, _: Agreement) -> Decision | None:
    if request.submission.network == request.network:
        return None
    asked = request.submission.network
    return _refuse("network", f"The job is for network {asked}; this institution is in {request.network}.")


def _only_once(request: GateRequest, _: Agreement) -> Decision | None:
    if not request.already_decided:
        return None
    return _refuse(
        DECIDED_BEFORE, "This submission was decided before; a job that is to run again is submitted anew."
    )


def _reference(request: GateRequest, agreement: Agreement) -> Decision | None:
    cited = request.submission.spec.agreement
    if cited == agreement.short:
        return None
    return _refuse("agreement", f"The job cites agreement {cited}; the one in force here is {agreement.short}.")


def _in_force(request: GateRequest, agreement: Agreement) -> Decision | None:
    if request.agreement_state == ACTIVE:
        return None
    if request.agreement_state == PROPOSED:
        return _refuse("signatures", f"Agreement {agreement.short} is not yet signed by every party.")
    return _refuse("state", f"The job cites agreement {agreement.short}, which is {request.agreement_state}.")


def _period(request: GateRequest, agreement: Agreement) -> Decision | None:
    if request.now < agreement.valid_from:
        begins = utc(agreement.valid_from)
        return _refuse("valid_from", f"The job is to run now; agreement {agreement.short} begins on {begins}.")
    if request.now >= agreement.valid_until:
        ended = utc(agreement.valid_until)
        return _refuse("valid_until", f"The job is to run now; agreement {agreement.short} ended on {ended}.")
    return None


def _analyst(request: GateRequest, agreement: Agreement) -> Decision | None:
    if request.requester != request.submission.analyst:
        return _refuse("analysts", "The submission names one analyst and is signed with the key of another.")
    if request.requester in {analyst.key for analyst in agreement.analysts}:
        return None
    named = _list(f"{analyst.institution}/{analyst.name}" for analyst in agreement.analysts)
    return _refuse(
        "analysts",
        f"The job is signed with key {request.requester[:16]}, which is none of the analysts' ({named}).",
    )


def _parties(request: GateRequest, agreement: Agreement) -> Decision | None:
    asked = request.submission.spec.parties
    allowed = [party.institution for party in agreement.parties]
    strangers = [institution for institution in asked if institution not in allowed]
    if strangers:
        return _refuse(
            "parties", f"The job includes {_list(strangers)}; the agreement's parties are {_list(allowed)}."
        )
    if request.institution not in asked:
        return _refuse("parties", f"The job is for {_list(asked)}; {request.institution} is not among them.")
    return None


def _kind(request: GateRequest, agreement: Agreement) -> Decision | None:
    asked, allowed = request.submission.spec.kind, [kind.kind for kind in agreement.job_kinds]
    if asked in allowed:
        return None
    return _refuse("job_kinds", f"The job is of kind {asked}; the agreement allows {_list(allowed)}.")


def _purpose(request: GateRequest, agreement: Agreement) -> Decision | None:
    asked = request.submission.spec.purpose
    if asked in agreement.purposes:
        return None
    return _refuse(
        "purposes", f"The purpose asked for is {asked}; the agreement allows {_list(agreement.purposes)}."
    )


def _min_parties(request: GateRequest, agreement: Agreement) -> Decision | None:
    """Kinds that add sealed sums say so by needing three; a sum over too few would show one party's part."""
    spec = request.submission.spec
    if spec.parameters.MIN_PARTIES < 3 or len(spec.parties) >= agreement.min_parties:
        return None
    return _refuse(
        "min_parties",
        f"The job sums over {len(spec.parties)} institutions; the agreement asks for {agreement.min_parties}.",
    )


def _min_colluding(request: GateRequest, agreement: Agreement) -> Decision | None:
    spec = request.submission.spec
    if not spec.parameters.sums() or spec.colluders >= agreement.min_colluding:
        return None
    return _refuse(
        "min_colluding",
        f"The job's sums withstand {spec.colluders} institutions that conspire with the coordinator; "
        f"the agreement asks for {agreement.min_colluding}.",
    )


def _datasets(request: GateRequest, agreement: Agreement) -> Decision | None:
    for reads in request.submission.spec.parameters.reads(request.institution):
        named = [dataset for dataset in agreement.datasets if dataset.name == reads.dataset]
        if not named:
            known = _list(dataset.name for dataset in agreement.datasets)
            return _refuse("datasets", f"The job reads dataset {reads.dataset}; the agreement names {known}.")
        owned = [dataset for dataset in named if request.institution in dataset.owners]
        if not owned:
            owners = _list(owner for dataset in named for owner in dataset.owners)
            return _refuse(
                "datasets.owners",
                f"The job reads {reads.dataset} at {request.institution}; the agreement names it only at {owners}.",
            )
        unnamed = _missing(reads.columns, {column for dataset in owned for column in dataset.columns})
        if unnamed:
            return _refuse(
                "datasets.columns",
                f"The job reads {_list(unnamed)} of {reads.dataset}, which the agreement does not name there.",
            )
    return None


def _own_data(request: GateRequest, _: Agreement) -> Decision | None:
    """The job may read this, but this node does not have it: its own configuration is at fault."""
    for reads in request.submission.spec.parameters.reads(request.institution):
        if reads.dataset not in request.datasets:
            return _refuse(
                "node.datasets",
                f"The job may read {reads.dataset}, but the node of {request.institution} "
                "is not configured with it.",
            )
        absent = _missing(reads.columns, request.datasets[reads.dataset])
        if absent:
            return _refuse(
                "node.datasets",
                f"The job may read {_list(absent)} of {reads.dataset}, but the node of {request.institution} "
                "is not configured with it.",
            )
    return None


def _job_budget(request: GateRequest, agreement: Agreement) -> Decision | None:
    if request.jobs_run < agreement.max_jobs:
        return None
    return _refuse("max_jobs", f"{request.jobs_run} jobs have run; the agreement allows {agreement.max_jobs}.")


def _score_budget(request: GateRequest, agreement: Agreement) -> Decision | None:
    asked = request.submission.spec.parameters.scored_rows()
    if not asked or request.rows_scored + asked <= agreement.max_scored_rows:
        return None
    return _refuse(
        "max_scored_rows",
        f"The job's ciphertexts have room for {asked} customers, after {request.rows_scored} before it; "
        f"the agreement allows {agreement.max_scored_rows} in all.",
    )


RULES: tuple[Rule, ...] = (
    _network,
    _only_once,
    _reference,
    _in_force,
    _period,
    _analyst,
    _parties,
    _kind,
    _purpose,
    _min_parties,
    _min_colluding,
    _datasets,
    _own_data,
    _job_budget,
    _score_budget,
)


def _missing(asked: Iterable[str], allowed: Collection[str]) -> list[str]:
    return [name for name in asked if name not in allowed]


def _list(names: Iterable[str]) -> str:
    listed = list(dict.fromkeys(names))
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more


def _refuse(clause: str, sentence: str) -> Decision:
    return Decision(accepted=False, clause=clause, sentence=sentence)
