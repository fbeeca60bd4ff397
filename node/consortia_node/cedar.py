"""PURE: the gate's second evaluator: the agreement as Cedar policies, judged by another maker's engine.

The rules in consortia_common.gate are Python written for this project; a mistake in one of them would open every
node in the same way. Here the same agreement is compiled to Cedar, and the request to Cedar's entities and
context, both held to one schema. Each column that is read and each earlier job that could be compared is a
question of its own, because Cedar has no loops.

Invariant: only an Allow of every question, without a single error, accepts. (Cedar skips a policy that errs, so
a forbid that errs allows; that is why any error refuses.) What it does not check by itself: which earlier jobs
are comparable, and how many of them asked the same; it takes that from consortia_common.gate.guards.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cedarpy

from consortia_common.documents.agreement import ACTIVE, Agreement
from consortia_common.documents.kinds import Division
from consortia_common.gate.guards import remembered, repeats
from consortia_common.gate.request import EarlierJob, GateRequest, NodePolicy
from consortia_node.consent import milliseconds

SCHEMA = """\
entity Analyst;
entity Agreement;
entity Column = { dataset: String, name: String, grade: Long, held: Bool };
entity Job = { parties: Set<String>, apart: Long, divided: Set<String>, divisions: Set<String> };
action run appliesTo { principal: Analyst, resource: Agreement, context: {
  network: String, fresh: Bool, cited: String, state: String, now: Long, analyst: Analyst, parties: Set<String>,
  party_count: Long, colluders: Long,
  kind: String, precision: Long, keeps: Bool, purpose: String, sums: Bool, reads: Bool, standing: Long,
  jobs_run: Long, rows_scored: Long, rows_asked: Long, epsilon_spent: Long, epsilon_asked: Long, repeats: Long,
} };
action read appliesTo { principal: Analyst, resource: Column };
action follow appliesTo { principal: Analyst, resource: Job, context: {
  parties: Set<String>, by: String, division: String,
} };
"""
"""What can be asked, and of what type each fact is. Cedar refuses policies and questions that do not fit it."""
PERMIT = "permit"
"""The name of every policy that allows; all others object."""
_SAFE = re.compile(r"[A-Za-z0-9_@#-]{1,200}")
_Question = dict[str, Any]


@dataclass(frozen=True)
class Opinion:
    """What Cedar says: ``errors`` if it could not judge, ``objections`` (the names of rules) if it refuses."""

    accepted: bool
    objections: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


def opinion(request: GateRequest, agreement: Agreement) -> Opinion:
    """Cedar's own judgement of the request. Never raises for what the request or the agreement holds."""
    try:
        text = policies(agreement, request.policy)
        schema, compiled = cedarpy.Schema.from_str(SCHEMA), cedarpy.PolicySet.from_str(text)
        checked = cedarpy.validate_policies(text, SCHEMA)
        if not checked.validation_passed:
            return Opinion(accepted=False, errors=tuple(error.error for error in checked.errors) or ("invalid",))
        earlier = list(remembered(request, agreement))
        questions = _questions(request, agreement, earlier)
        answers = cedarpy.is_authorized_batch(questions, compiled, _entities(request, earlier), schema)
    except (ValueError, TypeError) as error:
        return Opinion(accepted=False, errors=(str(error),))
    errors = tuple(error for answer in answers for error in answer.diagnostics.errors)
    named = {name for answer in answers for name in answer.diagnostics.id_annotations_by_reason.values()}
    allowed = sum(answer.decision is cedarpy.Decision.Allow for answer in answers) == len(questions)
    return Opinion(allowed and not errors, tuple(sorted(named - {PERMIT})), errors)


def policies(agreement: Agreement, policy: NodePolicy) -> str:
    """The agreement as this institution's Cedar policies. Raises ValueError for a name that Cedar can't hold."""
    follow = {
        "regrouping": "!resource.divided.contains(context.by) || resource.divisions.contains(context.division)",
        "party difference": f"resource.apart == 0 || resource.apart >= {agreement.min_parties} || "
        "!(resource.parties.containsAll(context.parties) || context.parties.containsAll(resource.parties))",
    }
    return "\n".join(
        [
            _permit("run", f"resource == Agreement::{_text(agreement.reference)}"),
            *(_forbid("run", name, unless) for name, unless in _running(agreement, policy).items()),
            *_readable(agreement, policy.institution),
            _forbid("read", "own data", "resource.held"),
            _permit("follow", "true"),
            *(_forbid("follow", name, unless) for name, unless in follow.items()),
        ]
    )


def _running(agreement: Agreement, policy: NodePolicy) -> dict[str, str]:
    """What must hold of the job as such, by the name of the rule."""
    return _allowing(agreement, policy) | _limiting(agreement)


def _allowing(agreement: Agreement, policy: NodePolicy) -> dict[str, str]:
    return {
        "network": f"context.network == {_text(policy.network)}",
        "only once": "context.fresh",
        "reference": f"context.cited == {_text(agreement.short)}",
        "in force": f"context.state == {_text(ACTIVE)}",
        "period": f"context.now >= {milliseconds(agreement.valid_from)} "
        f"&& context.now < {milliseconds(agreement.valid_until)}",
        "analyst": "principal == context.analyst && "
        + _among("principal", (f"Analyst::{_text(analyst.key)}" for analyst in agreement.analysts)),
        "parties": f"context.parties.contains({_text(policy.institution)}) && "
        + _subset("context.parties", (party.institution for party in agreement.parties)),
        "kind": _among("context.kind", (_text(kind.kind) for kind in agreement.job_kinds)),
        "precision": " && ".join(
            [
                "true",
                *(
                    f"(context.kind != {_text(kind.kind)} || context.precision <= {kind.precision})"
                    for kind in agreement.job_kinds
                ),
            ]
        ),
        "recipients": "!context.keeps || "
        + _among(
            "context.kind",
            (_text(kind.kind) for kind in agreement.job_kinds if {"data_owner", "parties"} & set(kind.recipients)),
        ),
        "purpose": _among("context.purpose", map(_text, agreement.purposes)),
        "min parties": f"!context.sums || context.party_count >= {agreement.min_parties}",
        "min colluding": f"context.colluders < 0 || context.colluders >= {agreement.min_colluding}",
    }


def _limiting(agreement: Agreement) -> dict[str, str]:
    run = {
        "job budget": f"context.jobs_run < {agreement.max_jobs}",
        "score budget": "context.rows_asked == 0 || "
        f"context.rows_scored + context.rows_asked <= {agreement.max_scored_rows}",
        "privacy budget": "context.epsilon_asked == 0"
        + (
            f" || context.epsilon_spent + context.epsilon_asked <= {agreement.dp.epsilon_micro}"
            if agreement.dp
            else ""
        ),
        "repetition": f"context.repeats < {agreement.differencing.max_repeats}",
    }
    if agreement.lawful_basis == "consent" or agreement.consent_required:
        run["consent"] = "!context.reads || context.standing > 0"
    return run


def _readable(agreement: Agreement, institution: str) -> Iterable[str]:
    """What may be read: one policy for each dataset that this institution owns in the agreement."""
    for dataset in agreement.datasets:
        if institution in dataset.owners:
            columns = _among("resource.name", map(_text, dataset.columns))
            yield _permit(
                "read",
                f"resource.dataset == {_text(dataset.name)} && {columns} && resource.grade <= {dataset.max_grade}",
            )


def _questions(request: GateRequest, agreement: Agreement, earlier: Iterable[EarlierJob]) -> list[_Question]:
    spec = request.spec
    reads = spec.parameters.reads(request.policy.institution)
    asked = [_question(request, "run", "Agreement", agreement.reference, _context(request, agreement))]
    asked += [
        _question(request, "read", "Column", f"{one.dataset}/{column}", {})
        for one in reads
        for column in one.columns
    ]
    divisions = spec.parameters.divisions() or (Division("", ()),)
    follow = [
        {"parties": list(spec.parties), "by": division.by, "division": division.text} for division in divisions
    ]
    return asked + [_question(request, "follow", "Job", job.job_id, facts) for job in earlier for facts in follow]


def _context(request: GateRequest, agreement: Agreement) -> dict[str, Any]:
    """The facts about the job as such."""
    spec, budgets = request.spec, request.budgets
    return {
        "network": request.submission.network,
        "fresh": not request.already_decided,
        "cited": spec.agreement,
        "state": request.agreement_state,
        "now": milliseconds(request.now),
        "analyst": {"__entity": {"type": "Analyst", "id": request.submission.analyst}},
        "parties": list(spec.parties),
        "party_count": len(spec.parties),
        "colluders": spec.colluders if spec.parameters.sums() else -1,
        "kind": spec.kind,
        "precision": spec.parameters.precision(),
        "keeps": spec.parameters.keeps(),
        "purpose": spec.purpose,
        "sums": spec.parameters.MIN_PARTIES >= 3,
        "reads": bool(spec.parameters.reads(request.policy.institution)),
        "standing": request.consents.standing,
        "jobs_run": budgets.jobs_run,
        "rows_scored": budgets.rows_scored,
        "rows_asked": spec.parameters.scored_rows(),
        "epsilon_spent": budgets.epsilon_micro,
        "epsilon_asked": spec.parameters.epsilon_micro(),
        "repeats": len(repeats(request, agreement)),
    }


def _question(request: GateRequest, action: str, kind: str, name: str, context: dict[str, Any]) -> _Question:
    return {
        "principal": {"type": "Analyst", "id": request.requester},
        "action": {"type": "Action", "id": action},
        "resource": {"type": kind, "id": name},
        "context": context,
    }


def _entities(request: GateRequest, earlier: Iterable[EarlierJob]) -> list[dict[str, Any]]:
    """The columns that are read, as this node holds them, and the earlier jobs."""
    found = {}
    for reads in request.spec.parameters.reads(request.policy.institution):
        held = request.policy.datasets.get(reads.dataset, {})
        for column in reads.columns:
            grade = held.get(column)
            attributes = {"dataset": reads.dataset, "name": column, "grade": grade or 0, "held": grade is not None}
            found[f"{reads.dataset}/{column}"] = _entity("Column", f"{reads.dataset}/{column}", attributes)
    asked = frozenset(request.spec.parties)
    for job in earlier:
        parties, divisions = frozenset(job.spec.parties), job.spec.parameters.divisions()
        attributes = {
            "parties": sorted(parties),
            "apart": len(asked ^ parties),
            "divided": [division.by for division in divisions],
            "divisions": [division.text for division in divisions],
        }
        found[job.job_id] = _entity("Job", job.job_id, attributes)
    return list(found.values())


def _entity(kind: str, name: str, attributes: dict[str, Any]) -> dict[str, Any]:
    return {"uid": {"type": kind, "id": name}, "attrs": attributes, "parents": []}


def _permit(action: str, when: str) -> str:
    return f'@id("{PERMIT}")\npermit (principal, action == Action::"{action}", resource) when {{ {when} }};'


def _forbid(action: str, name: str, unless: str) -> str:
    return f'@id("{name}")\nforbid (principal, action == Action::"{action}", resource) unless {{ {unless} }};'


def _among(value: str, allowed: Iterable[str]) -> str:
    """That ``value`` is one of these terms; Cedar has no empty sets."""
    terms = list(allowed)
    return f"[{', '.join(terms)}].contains({value})" if terms else "false"


def _subset(values: str, allowed: Iterable[str]) -> str:
    terms = [_text(name) for name in allowed]
    return f"[{', '.join(terms)}].containsAll({values})" if terms else "false"


def _text(value: str) -> str:
    """A string of Cedar's. What the schemas of documents allow needs no escaping; anything else is not written."""
    if not _SAFE.fullmatch(value):
        raise ValueError(f"{value[:60]!r} can't be written in a policy")
    return f'"{value}"'
