"""The gate: one accepted job, and every way in which it is not quite that job."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from consortia_common.documents.agreement import Agreement
from consortia_common.documents.jobspec import Submission
from consortia_common.gate import RULES, decide
from consortia_common.gate.guards import _privacy_budget, decide_cohort
from consortia_common.gate.request import Budgets, ConsentSummary, Decision, EarlierJob, GateRequest, NodePolicy

NOW = datetime(2025, 6, 1, tzinfo=UTC)
ANALYST, STRANGER = "a" * 64, "b" * 64
BANKS = ("bank-a", "bank-b", "bank-c")
AGREEMENT = Agreement.from_value(
    {
        "schema_version": 1,
        "id": "risk",
        "version": 1,
        "title": "A shared view of credit risk",
        "purposes": ["credit-risk"],
        "parties": [{"institution": bank, "key": str(i) * 64} for i, bank in enumerate(BANKS)],
        "analysts": [{"institution": "bank-a", "name": "ann", "key": ANALYST}],
        "datasets": [
            {"name": "clients", "owners": BANKS, "columns": ["limit", "education", "default"]},
            {"name": "branches", "owners": ["bank-b"], "columns": ["rent"]},
        ],
        "job_kinds": [
            {"kind": "statistics", "recipients": ["analyst"]},
            {"kind": "score", "recipients": ["data_owner"]},
        ],
        "min_rows": 50,
        "max_jobs": 10,
        "max_scored_rows": 2748,
        "valid_from": "2025-01-01T00:00:00Z",
        "valid_until": "2026-01-01T00:00:00Z",
    },
    "the test's agreement",
)
STATISTICS = {
    "version": 1,
    "name": "by-education",
    "kind": "statistics",
    "agreement": "risk@1",
    "purpose": "credit-risk",
    "parties": BANKS,
    "parameters": {"dataset": "clients", "columns": ["limit"], "label": "default"},
}
SCORE_PARAMETERS = {
    "data_owner": "bank-a",
    "dataset": "clients",
    "features": ["limit"],
    "model_owner": "bank-b",
    "model": "scorecard",
    "max_rows": 300,
}
SCORE = STATISTICS | {"kind": "score", "parties": BANKS[:2], "parameters": SCORE_PARAMETERS}


def submission(spec: dict[str, Any], **changes: Any) -> Submission:
    value = {"network": "demo", "spec": spec, "nonce": "0" * 32, "submitted_ms": 1, "analyst": ANALYST}
    return Submission.from_value(value | changes, "the test's submission")


def request(spec: dict[str, Any] = STATISTICS, **changes: Any) -> GateRequest:
    usual = GateRequest(
        submission=submission(spec),
        requester=ANALYST,
        agreement=AGREEMENT,
        agreement_state="active",
        policy=policy(),
        already_decided=False,
        now=NOW,
        consents=ConsentSummary(100),
    )
    return replace(usual, **changes)


def policy(**changes: Any) -> NodePolicy:
    grades = {"clients": {"limit": 3, "education": 2, "default": 3, "age": 4}, "branches": {"rent": 1}}
    return replace(NodePolicy("demo", "bank-a", grades), **changes)


def spent(**used: int) -> Budgets:
    return Budgets(**used)


def after(*specs: dict[str, Any], days: int = 1) -> Budgets:
    """That these jobs were accepted so many days ago."""
    at = NOW - timedelta(days=days)
    return Budgets(
        earlier=tuple(
            EarlierJob(f"job-{number}", submission(spec).spec, at) for number, spec in enumerate(specs, start=1)
        )
    )


def statistics_of(**parameters: Any) -> dict[str, Any]:
    return STATISTICS | {"parameters": parameters}


def amended(**changes: Any) -> Agreement:
    return Agreement.from_value(AGREEMENT.model_dump(mode="json") | changes, "the test's agreement")


def test_what_the_agreement_names_is_accepted() -> None:
    assert decide(request()) == Decision(accepted=True)
    assert decide(request(SCORE, budgets=spent(rows_scored=700))).accepted
    assert decide(request(SCORE, policy=policy(institution="bank-b", datasets={}), consents=NOBODY)).accepted


TWO = [{"institution": "bank-a", "name": name, "key": key} for name, key in (("ann", ANALYST), ("bob", STRANGER))]
NOBODY = ConsentSummary(0)
EMPTY, POOR = policy(datasets={}), policy(datasets={"clients": {"limit": 1}})
GROUPED = STATISTICS | {
    "parameters": STATISTICS["parameters"] | {"by": ["education"], "categories": {"education": [1, 2]}}
}
REGROUPED = STATISTICS | {
    "parameters": STATISTICS["parameters"] | {"by": ["education"], "categories": {"education": [1]}}
}
PLACED = STATISTICS | {"parameters": STATISTICS["parameters"] | {"place": True}}
FOUR = (*BANKS, "bank-d")
FIVE_PARTIES = [{"institution": bank, "key": str(i) * 64} for i, bank in enumerate((*FOUR, "bank-e"))]


REFUSED: list[tuple[GateRequest, str, str]] = [
    (request(agreement=None), "agreement", "cites agreement risk@1; this institution has none"),
    (request(STATISTICS | {"agreement": "risk@2"}), "agreement", "cites agreement risk@2; .* is risk@1"),
    (request(policy=policy(network="other")), "network", "for network demo; this institution is in other"),
    (request(already_decided=True), "submission", "decided before"),
    (request(agreement_state="proposed"), "signatures", "not yet signed by every party"),
    (request(agreement_state="suspended"), "state", "which is suspended"),
    (request(agreement_state="expired"), "state", "which is expired"),
    (request(now=datetime(2024, 12, 31, tzinfo=UTC)), "valid_from", "begins on 2025-01-01T00:00:00.000Z"),
    (request(now=datetime(2026, 1, 1, tzinfo=UTC)), "valid_until", "ended on 2026-01-01T00:00:00.000Z"),
    (request(requester=STRANGER), "analysts", "names one analyst and is signed with the key of another"),
    (
        request(requester=STRANGER, agreement=amended(analysts=TWO)),
        "analysts",
        "names one analyst and is signed with the key of another",
    ),
    (
        request(requester=STRANGER, submission=submission(STATISTICS, analyst=STRANGER)),
        "analysts",
        r"key bbbbbbbbbbbbbbbb, .* \(bank-a/ann\)",
    ),
    (
        request(STATISTICS | {"parties": [*BANKS, "bank-x"]}),
        "parties",
        "includes bank-x; .* bank-a, bank-b, bank-c",
    ),
    (request(policy=policy(institution="bank-x")), "parties", "bank-x is not among them"),
    (request(agreement=amended(job_kinds=[{"kind": "score", "recipients": ["parties"]}])), "job_kinds", "score"),
    (
        request(agreement=amended(job_kinds=[{"kind": "statistics", "recipients": ["analyst"], "precision": 1}])),
        "job_kinds.precision",
        "to 2 decimals; the agreement allows 1 for statistics",
    ),
    (
        request(PLACED, agreement=amended(job_kinds=[{"kind": "statistics", "recipients": ["analyst"]}])),
        "job_kinds.recipients",
        "leaves the data owner a file; the agreement lets analyst have a statistics result",
    ),
    (request(STATISTICS | {"purpose": "marketing"}), "purposes", "is marketing; the agreement allows credit-risk"),
    (request(agreement=amended(min_parties=4)), "min_parties", "over 3 institutions; the agreement asks for 4"),
    (request(agreement=amended(min_colluding=2)), "min_colluding", "withstand 1 institutions .* asks for 2"),
    (
        request(STATISTICS | {"colluding": 0}),
        "min_colluding",
        "withstand 0 institutions that conspire with the coordinator; the agreement asks for 1",
    ),
    (request(statistics_of(dataset="loans", columns=["limit"])), "datasets", "loans; .* clients, branches"),
    (request(statistics_of(dataset="branches", columns=["rent"])), "datasets.owners", "only at bank-b"),
    (
        request(statistics_of(dataset="clients", columns=["limit", "age"])),
        "datasets.columns",
        "reads age of clients",
    ),
    (request(policy=EMPTY), "node.datasets", "may read clients, but the node of bank-a is not configured"),
    (request(policy=POOR), "node.datasets", "may read default of clients, but"),
    (request(budgets=spent(jobs_run=10)), "max_jobs", "10 jobs have run; the agreement allows 10"),
    (
        request(SCORE, budgets=spent(rows_scored=701)),
        "max_scored_rows",
        "room for 2048 customers, after 701 before it; .* 2748",
    ),
    (
        request(policy=policy(datasets={"clients": {"limit": 4, "default": 3}})),
        "datasets.max_grade",
        "limit of clients, which bank-a holds at grade 4; the agreement goes up to 3",
    ),
    (request(consents=NOBODY), "lawful_basis", "no customer here has consented to credit-risk"),
    (
        request(agreement=amended(differencing={"max_repeats": 2}), budgets=after(STATISTICS, STATISTICS)),
        "differencing.max_repeats",
        "asked 2 times, last by job-2; the agreement allows 2 within 365 days",
    ),
    (
        request(REGROUPED, budgets=after(GROUPED)),
        "differencing",
        "job-1 divided the same rows into other groups",
    ),
    (
        request(agreement=amended(parties=FIVE_PARTIES), budgets=after(STATISTICS | {"parties": FOUR})),
        "differencing",
        "job-1 asked it of other parties; the difference would show the part of fewer than 3",
    ),
]


@pytest.mark.parametrize(
    ("asked", "clause", "words"), REFUSED, ids=[f"{i}-{row[1]}" for i, row in enumerate(REFUSED)]
)
def test_anything_else_is_refused_by_its_clause(asked: GateRequest, clause: str, words: str) -> None:
    decision = decide(asked)
    assert not decision.accepted
    assert decision.clause == clause
    assert re.search(words, decision.sentence), decision.sentence


def test_every_rule_has_refused_something_above() -> None:
    objecting = {
        rule for asked, _, _ in REFUSED for rule in RULES if asked.agreement and rule(asked, asked.agreement)
    }
    assert objecting == set(RULES) - {_privacy_budget}  # no kind of today spends it; see below


def spending(epsilon_micro: int, **changes: Any) -> GateRequest:
    """A job of a kind that spends privacy budget."""
    asked = request(**changes)
    parameters = asked.spec.parameters

    class Spending(type(parameters)):  # type: ignore[misc]
        def epsilon_micro(self) -> int:
            return epsilon_micro

    noisy = Spending.model_construct(**dict(parameters))
    spec = asked.spec.model_copy(update={"parameters": noisy})
    return replace(asked, submission=asked.submission.model_copy(update={"spec": spec}))


def test_privacy_budget_is_spent_down_to_nothing_and_never_below() -> None:
    budget = amended(dp={"epsilon_micro": 1_000_000, "period_days": 30})
    refused = decide(spending(1))
    assert (refused.clause, refused.accepted) == ("dp", False)
    assert "gives none" in refused.sentence
    assert decide(spending(1_000_000, agreement=budget)).accepted
    assert decide(spending(400_000, agreement=budget, budgets=spent(epsilon_micro=600_000))).accepted
    refused = decide(spending(400_001, agreement=budget, budgets=spent(epsilon_micro=600_000)))
    assert "spend 400001 millionths of ε after 600000 in the last 30 days" in refused.sentence
    assert decide(request(agreement=budget, budgets=spent(epsilon_micro=2_000_000))).accepted


def test_what_was_asked_long_ago_or_of_other_columns_is_no_objection() -> None:
    assert not decide(request(REGROUPED, budgets=after(GROUPED, days=364))).accepted
    assert decide(request(REGROUPED, budgets=after(GROUPED, days=366))).accepted
    elsewhere = statistics_of(dataset="clients", columns=["age"], by=["age"], categories={"age": [1]})
    assert decide(request(REGROUPED, budgets=after(elsewhere))).accepted
    assert decide(request(budgets=after(SCORE))).accepted


def test_other_bins_of_the_same_column_are_another_division() -> None:
    def binned(bins: int) -> dict[str, Any]:
        asked = {"histograms": ["limit"], "ranges": {"limit": [0, 100]}, "bins": bins}
        return STATISTICS | {"parameters": STATISTICS["parameters"] | asked}

    refused = decide(request(binned(20), budgets=after(binned(21))))
    assert (refused.clause, refused.accepted) == ("differencing", False)
    assert decide(request(binned(20), budgets=after(binned(20)))).accepted


def test_groups_in_another_order_are_the_same_groups() -> None:
    turned = STATISTICS | {"parameters": GROUPED["parameters"] | {"categories": {"education": [2, 1]}}}
    assert decide(request(turned, budgets=after(GROUPED))).accepted


def test_two_halves_of_the_parties_are_no_difference_but_one_more_party_is() -> None:
    six = [{"institution": f"bank-{x}", "key": x * 64} for x in "abcdef"]
    agreement = amended(parties=six)
    asked = request(STATISTICS | {"parties": ("bank-a", "bank-d", "bank-e")}, agreement=agreement)
    assert decide(replace(asked, budgets=after(STATISTICS))).accepted
    everybody = after(STATISTICS | {"parties": [f"bank-{x}" for x in "abcdef"]})
    assert decide(request(agreement=agreement, budgets=everybody)).accepted
    five = after(STATISTICS | {"parties": [f"bank-{x}" for x in "abcde"]})
    assert decide(request(agreement=agreement, budgets=five)).clause == "differencing"


def test_a_sum_may_withstand_more_conspirators_than_the_agreement_asks_but_not_fewer() -> None:
    agreement = amended(parties=FIVE_PARTIES, min_colluding=2)
    five = STATISTICS | {"parties": (*FOUR, "bank-e")}
    for colluding, accepted in ((None, False), (1, False), (2, True), (3, True)):
        assert decide(request(five | {"colluding": colluding}, agreement=agreement)).accepted == accepted
    assert decide(request(STATISTICS | {"colluding": 0}, agreement=amended(min_colluding=0))).accepted
    assert decide(request(SCORE, agreement=amended(min_colluding=9))).accepted  # it sums nothing


def test_another_lawful_basis_needs_no_consent_but_must_be_named() -> None:
    assert decide(request(agreement=amended(lawful_basis="legal_obligation"), consents=NOBODY)).accepted
    besides = amended(lawful_basis="legal_obligation", consent_required=["cross_border"])
    assert decide(request(agreement=besides, consents=NOBODY)).clause == "lawful_basis"


def test_a_column_is_read_at_the_highest_grade_of_the_entries_that_name_it() -> None:
    entries = [entry.model_dump(mode="json") for entry in AGREEMENT.datasets]
    entries.append({"name": "clients", "owners": ["bank-a"], "columns": ["limit"], "max_grade": 4})
    graded = policy(datasets={"clients": {"limit": 4, "default": 3}})
    assert decide(request(agreement=amended(datasets=entries), policy=graded)).accepted
    entries[-1]["owners"] = ["bank-b"]
    assert decide(request(agreement=amended(datasets=entries), policy=graded)).clause == "datasets.max_grade"


def test_a_cohort_that_collides_with_an_earlier_one_names_it() -> None:
    decision = decide_cohort(AGREEMENT, 50, ["job-7"])
    assert (decision.accepted, decision.clause) == (False, "differencing")
    assert "With the answer of job-7, this one would show fewer than 10 customers" in decision.sentence


def test_a_long_list_of_columns_is_cut_short() -> None:
    columns = [f"column{i}" for i in range(9)]
    assert "and 4 more" in decide(request(statistics_of(dataset="clients", columns=columns))).sentence


def test_too_few_rows_are_refused_without_saying_how_few() -> None:
    assert decide_cohort(AGREEMENT, 50).accepted
    decision = decide_cohort(AGREEMENT, 49)
    assert (decision.accepted, decision.clause) == (False, "min_rows")
    assert "49" not in decision.sentence


def test_the_manual_explains_every_clause() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "agreements.md").read_text()
    clauses = {clause for _, clause, _ in REFUSED} | {decide_cohort(AGREEMENT, 0).clause, "gate"}
    assert {clause for clause in clauses if f"`{clause}`" not in manual} == set()
