"""PURE: what the agreement itself allows, one rule a clause.

Each rule allows only what the agreement names, so that taking anything out of an agreement can never make an
unacceptable job acceptable. A refusal says, for a person, what was asked and what the agreement says.
"""

from collections.abc import Collection, Iterable

from consortia_common.documents.agreement import ACTIVE, PROPOSED, Agreement
from consortia_common.documents.base import utc
from consortia_common.gate.request import Decision, GateRequest, Rule
from consortia_common.gate.request import refusal as _refuse

DECIDED_BEFORE = "submission"
"""The clause of a submission that comes a second time."""
SHOWN = 5
"""How many names a sentence lists before it says how many more there are."""


def _network(request: GateRequest, _: Agreement) -> Decision | None:
    if request.submission.network == request.policy.network:
        return None
    asked = request.submission.network
    return _refuse("network", f"The job is for network {asked}; this institution is in {request.policy.network}.")


def _only_once(request: GateRequest, _: Agreement) -> Decision | None:
    if not request.already_decided:
        return None
    return _refuse(
        DECIDED_BEFORE, "This submission was decided before; a job that is to run again is submitted anew."
    )


def _reference(request: GateRequest, agreement: Agreement) -> Decision | None:
    cited = request.spec.agreement
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
    named = listed(f"{analyst.institution}/{analyst.name}" for analyst in agreement.analysts)
    return _refuse(
        "analysts",
        f"The job is signed with key {request.requester[:16]}, which is none of the analysts' ({named}).",
    )


def _parties(request: GateRequest, agreement: Agreement) -> Decision | None:
    asked = request.spec.parties
    allowed = [party.institution for party in agreement.parties]
    strangers = [institution for institution in asked if institution not in allowed]
    if strangers:
        return _refuse(
            "parties", f"The job includes {listed(strangers)}; the agreement's parties are {listed(allowed)}."
        )
    if request.policy.institution not in asked:
        return _refuse(
            "parties", f"The job is for {listed(asked)}; {request.policy.institution} is not among them."
        )
    return None


def _kind(request: GateRequest, agreement: Agreement) -> Decision | None:
    asked, allowed = request.spec.kind, [kind.kind for kind in agreement.job_kinds]
    if asked in allowed:
        return None
    return _refuse("job_kinds", f"The job is of kind {asked}; the agreement allows {listed(allowed)}.")


def _precision(request: GateRequest, agreement: Agreement) -> Decision | None:
    spec = request.spec
    asked = spec.parameters.precision()
    allowed = [kind.precision for kind in agreement.job_kinds if kind.kind == spec.kind]
    if not allowed or asked <= min(allowed):
        return None
    return _refuse(
        "job_kinds.precision",
        f"The job sums values to {asked} decimals; the agreement allows {min(allowed)} for {spec.kind}.",
    )


def _recipients(request: GateRequest, agreement: Agreement) -> Decision | None:
    """A file that stays at an institution is an answer too."""
    spec = request.spec
    named = {who for kind in agreement.job_kinds if kind.kind == spec.kind for who in kind.recipients}
    if not spec.parameters.keeps() or named & {"data_owner", "parties"}:
        return None
    return _refuse(
        "job_kinds.recipients",
        f"The job leaves the data owner a file; the agreement lets {listed(sorted(named))} have "
        f"a {spec.kind} result.",
    )


def _purpose(request: GateRequest, agreement: Agreement) -> Decision | None:
    asked = request.spec.purpose
    if asked in agreement.purposes:
        return None
    return _refuse(
        "purposes", f"The purpose asked for is {asked}; the agreement allows {listed(agreement.purposes)}."
    )


def _min_parties(request: GateRequest, agreement: Agreement) -> Decision | None:
    """Kinds that add sealed sums say so by needing three; a sum over too few would show one party's part."""
    spec = request.spec
    if spec.parameters.MIN_PARTIES < 3 or len(spec.parties) >= agreement.min_parties:
        return None
    return _refuse(
        "min_parties",
        f"The job sums over {len(spec.parties)} institutions; the agreement asks for {agreement.min_parties}.",
    )


def _min_colluding(request: GateRequest, agreement: Agreement) -> Decision | None:
    spec = request.spec
    if not spec.parameters.sums() or spec.colluders >= agreement.min_colluding:
        return None
    return _refuse(
        "min_colluding",
        f"The job's sums withstand {spec.colluders} institutions that conspire with the coordinator; "
        f"the agreement asks for {agreement.min_colluding}.",
    )


def _datasets(request: GateRequest, agreement: Agreement) -> Decision | None:
    here = request.policy.institution
    for reads in request.spec.parameters.reads(here):
        named = [dataset for dataset in agreement.datasets if dataset.name == reads.dataset]
        if not named:
            known = listed(dataset.name for dataset in agreement.datasets)
            return _refuse("datasets", f"The job reads dataset {reads.dataset}; the agreement names {known}.")
        owned = [dataset for dataset in named if here in dataset.owners]
        if not owned:
            owners = listed(owner for dataset in named for owner in dataset.owners)
            return _refuse(
                "datasets.owners",
                f"The job reads {reads.dataset} at {here}; the agreement names it only at {owners}.",
            )
        unnamed = _missing(reads.columns, {column for dataset in owned for column in dataset.columns})
        if unnamed:
            return _refuse(
                "datasets.columns",
                f"The job reads {listed(unnamed)} of {reads.dataset}, which the agreement does not name there.",
            )
    return None


def _own_data(request: GateRequest, _: Agreement) -> Decision | None:
    """The job may read this, but this node does not have it: its own configuration is at fault."""
    here = request.policy.institution
    for reads in request.spec.parameters.reads(here):
        held = request.policy.datasets.get(reads.dataset)
        absent = [] if held is None else _missing(reads.columns, held)
        if held is None or absent:
            what = f"{listed(absent)} of {reads.dataset}" if absent else reads.dataset
            return _refuse(
                "node.datasets", f"The job may read {what}, but the node of {here} is not configured with it."
            )
    return None


def _grades(request: GateRequest, agreement: Agreement) -> Decision | None:
    """A column is read only up to the grade that the agreement names for it (JR/T 0197-2020)."""
    here = request.policy.institution
    for reads in request.spec.parameters.reads(here):
        held = request.policy.datasets.get(reads.dataset, {})
        for column in reads.columns:
            limit = max_grade(agreement, here, reads.dataset, column)
            if column in held and limit is not None and held[column] > limit:
                return _refuse(
                    "datasets.max_grade",
                    f"The job reads {column} of {reads.dataset}, which {here} holds at grade {held[column]}; "
                    f"the agreement goes up to {limit}.",
                )
    return None


def _consent(request: GateRequest, agreement: Agreement) -> Decision | None:
    """Where consent is the basis, a purpose to which nobody here has consented is no purpose here."""
    reads = request.spec.parameters.reads(request.policy.institution)
    if not (reads and needs_consent(agreement)) or request.consents.standing:
        return None
    return _refuse(
        "lawful_basis",
        f"The agreement rests on consent, and no customer here has consented to {request.spec.purpose} "
        "with these recipients and columns.",
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
    _precision,
    _recipients,
    _purpose,
    _min_parties,
    _min_colluding,
    _datasets,
    _own_data,
    _grades,
    _consent,
)


def needs_consent(agreement: Agreement) -> bool:
    """Whether rows without consent are left out: consent is the basis, or is asked for besides another one."""
    return agreement.lawful_basis == "consent" or bool(agreement.consent_required)


def max_grade(agreement: Agreement, institution: str, dataset: str, column: str) -> int | None:
    """The highest grade at which the agreement lets that column be read there; None if it does not name it."""
    named = [
        entry.max_grade
        for entry in agreement.datasets
        if entry.name == dataset and institution in entry.owners and column in entry.columns
    ]
    return max(named, default=None)


def _missing(asked: Iterable[str], allowed: Collection[str]) -> list[str]:
    return [name for name in asked if name not in allowed]


def listed(names: Iterable[str]) -> str:
    """The names, each once; after SHOWN of them, how many more there are."""
    found = list(dict.fromkeys(names))
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(found[:SHOWN]) + more
