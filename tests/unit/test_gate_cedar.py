"""The second evaluator: as strict as the first, and silent about nothing."""

from dataclasses import replace

import cedarpy
import pytest

from consortia_common.documents.agreement import Agreement
from consortia_common.gate.request import GateRequest
from consortia_node import cedar
from consortia_node.cedar import SCHEMA, opinion, policies
from tests.unit.test_gate import (
    AGREEMENT,
    GROUPED,
    REFUSED,
    SCORE,
    STATISTICS,
    after,
    policy,
    request,
    spending,
    spent,
)


def test_what_the_rules_accept_cedar_accepts() -> None:
    scoring, again = request(SCORE, budgets=spent(rows_scored=700)), request(GROUPED, budgets=after(GROUPED))
    for asked in (request(), scoring, again):
        assert opinion(asked, AGREEMENT) == cedar.Opinion(accepted=True)


@pytest.mark.parametrize("asked", [row[0] for row in REFUSED if row[0].agreement])
def test_what_the_rules_refuse_cedar_refuses_without_an_error(asked: GateRequest) -> None:
    assert asked.agreement
    found = opinion(asked, asked.agreement)
    assert (found.accepted, found.errors) == (False, ())


def test_privacy_budget_is_judged_by_both() -> None:
    assert not opinion(spending(1), AGREEMENT).accepted
    budget = Agreement.from_value(AGREEMENT.model_dump(mode="json") | {"dp": {"epsilon_micro": 5}}, "it")
    assert opinion(spending(5, agreement=budget), budget).accepted
    assert opinion(spending(5, agreement=budget, budgets=spent(epsilon_micro=1)), budget).objections == (
        "privacy budget",
    )


def test_conspirators_are_judged_by_both() -> None:
    asked = request(STATISTICS | {"colluding": 0})
    assert opinion(asked, AGREEMENT).objections == ("min colluding",)
    none = Agreement.from_value(AGREEMENT.model_dump(mode="json") | {"min_colluding": 0}, "it")
    assert opinion(replace(asked, agreement=none), none).accepted
    most = Agreement.from_value(AGREEMENT.model_dump(mode="json") | {"min_colluding": 9}, "it")
    assert opinion(request(SCORE, agreement=most), most).accepted  # it sums nothing


def test_the_policies_fit_the_schema_and_name_every_rule() -> None:
    text = policies(AGREEMENT, policy())
    assert cedarpy.validate_policies(text, SCHEMA).validation_passed
    assert all(f'@id("{name}")' in text for name in ("in force", "analyst", "purpose", "regrouping", "own data"))


def test_a_policy_that_errs_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cedar itself would skip it, and so allow."""
    most = (1 << 63) - 1
    overflowing = f'forbid (principal, action == Action::"run", resource) when {{ {most} + context.now > 0 }};'
    usual = policies
    monkeypatch.setattr(cedar, "policies", lambda *given: f"{usual(*given)}\n{overflowing}")
    found = opinion(request(), AGREEMENT)
    assert not found.accepted
    assert "overflow" in found.errors[0]


@pytest.mark.parametrize(
    "spoilt", ["permit (", "permit (principal, action, resource) when { context.nothing };", ""]
)
def test_policies_that_are_broken_or_do_not_fit_the_schema_refuse(
    spoilt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cedar, "policies", lambda *_: spoilt)
    assert not opinion(request(), AGREEMENT).accepted


@pytest.mark.parametrize("name", ['risk" || true || "', "", "ris\nk", "x" * 300])
def test_a_name_that_could_leave_its_quotes_refuses(name: str) -> None:
    spoilt = AGREEMENT.model_copy(update={"purposes": (name,)})
    found = opinion(request(), spoilt)
    assert not found.accepted
    assert "can't be written in a policy" in found.errors[0]


def test_a_fact_of_the_wrong_type_refuses() -> None:
    asked = request(budgets=replace(spent(), jobs_run="few"))  # type: ignore[arg-type]
    found = opinion(asked, AGREEMENT)
    assert not found.accepted
    assert found.errors
