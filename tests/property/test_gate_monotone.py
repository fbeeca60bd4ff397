"""Adding a restriction to an agreement, or to what the node knows, never turns a refusal into an acceptance."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from consortia_common.documents.agreement import Agreement, PrivacyBudget
from consortia_common.gate import decide
from consortia_common.gate.request import Budgets, GateRequest
from consortia_node.cedar import opinion
from tests.support.gate import budgets, requests

LISTS = ("purposes", "parties", "analysts", "datasets", "job_kinds")
NUMBERS: dict[str, Callable[[Any], Any]] = {
    "min_parties": lambda fewest: fewest + 1,
    "min_colluding": lambda fewest: fewest + 1,
    "max_jobs": lambda most: most - 1,
    "max_scored_rows": lambda most: max(0, most - 2048),
    "dp": lambda budget: budget and PrivacyBudget.model_construct(epsilon_micro=0, period_days=365),
    "differencing": lambda guard: guard.model_copy(
        update={"max_repeats": guard.max_repeats - 1, "memory_days": guard.memory_days + 1}
    ),
    "valid_from": lambda moment: moment + timedelta(days=20),
    "valid_until": lambda moment: moment - timedelta(days=20),
    "lawful_basis": lambda _: "consent",
    "consent_required": lambda scopes: (*scopes, "sensitive"),
}
"""How each of the other fields becomes stricter."""


@st.composite
def reduced(draw: st.DrawFn, agreement: Agreement) -> Agreement:
    """``agreement`` with one thing less: an entry of a list, a part of a dataset, a number."""
    field = draw(st.sampled_from([*LISTS, *NUMBERS, "columns", "owners", "max_grade", "precision"]))
    if field in NUMBERS:
        return agreement.model_copy(update={field: NUMBERS[field](getattr(agreement, field))})
    if field in LISTS:
        entries = list(getattr(agreement, field))
        entries.pop(draw(st.integers(0, len(entries) - 1)))
        return agreement.model_copy(update={field: tuple(entries)})
    if field == "precision":
        coarser = [kind.model_copy(update={"precision": kind.precision - 1}) for kind in agreement.job_kinds]
        return agreement.model_copy(update={"job_kinds": tuple(coarser)})
    parts = list(agreement.datasets)
    index = draw(st.integers(0, len(parts) - 1))
    value: Any = getattr(parts[index], field)
    if field == "max_grade":
        value -= 1
    else:
        left = list(value)
        left.pop(draw(st.integers(0, len(left) - 1)))
        value = tuple(left)
    parts[index] = parts[index].model_copy(update={field: value})
    return agreement.model_copy(update={"datasets": tuple(parts)})


@given(st.data(), requests())
def test_a_smaller_agreement_accepts_no_more(data: st.DataObject, request: GateRequest) -> None:
    assert request.agreement
    smaller = replace(request, agreement=data.draw(reduced(request.agreement)))
    assert decide(request).accepted or not decide(smaller).accepted


@given(st.data(), requests())
def test_nor_does_cedar(data: st.DataObject, request: GateRequest) -> None:
    assert request.agreement
    smaller = data.draw(reduced(request.agreement))
    asked = replace(request, agreement=smaller)
    assert opinion(request, request.agreement).accepted or not opinion(asked, smaller).accepted


@given(requests(), budgets())
def test_nor_does_what_was_used_up_besides(request: GateRequest, more: Budgets) -> None:
    known = request.budgets
    spent = Budgets(
        known.jobs_run + more.jobs_run,
        known.rows_scored + more.rows_scored,
        known.epsilon_micro + more.epsilon_micro,
        known.earlier + tuple(replace(job, job_id=f"more-{job.job_id}") for job in more.earlier),
    )
    assert decide(request).accepted or not decide(replace(request, budgets=spent)).accepted
