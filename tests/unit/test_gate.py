"""The gate: one accepted job, and every way in which it is not quite that job."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from consortia_common.documents.agreement import Agreement
from consortia_common.documents.jobspec import Submission
from consortia_common.gate import RULES, Decision, GateRequest, decide, decide_rows

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
        network="demo",
        institution="bank-a",
        datasets={"clients": {"limit", "education", "default", "age"}, "branches": {"rent"}},
        already_decided=False,
        jobs_run=0,
        rows_scored=0,
        now=datetime(2025, 6, 1, tzinfo=UTC),
    )
    return replace(usual, **changes)


def statistics_of(**parameters: Any) -> dict[str, Any]:
    return STATISTICS | {"parameters": parameters}


def amended(**changes: Any) -> Agreement:
    return Agreement.from_value(AGREEMENT.model_dump(mode="json") | changes, "the test's agreement")


def test_what_the_agreement_names_is_accepted() -> None:
    assert decide(request()) == Decision(accepted=True)
    assert decide(request(SCORE, rows_scored=700)).accepted
    assert decide(request(SCORE, institution="bank-b", datasets={})).accepted


REFUSED: list[tuple[GateRequest, str, str]] = [
    (request(agreement=None), "agreement", "cites agreement risk@1; this institution has none"),
    (request(STATISTICS | {"agreement": "risk@2"}), "agreement", "cites agreement risk@2; .* is risk@1"),
    (request(network="other"), "network", "for network demo; this institution is in other"),
    (request(already_decided=True), "submission", "decided before"),
    (request(agreement_state="proposed"), "signatures", "not yet signed by every party"),
    (request(agreement_state="suspended"), "state", "which is suspended"),
    (request(agreement_state="expired"), "state", "which is expired"),
    (request(now=datetime(2024, 12, 31, tzinfo=UTC)), "valid_from", "begins on 2025-01-01T00:00:00.000Z"),
    (request(now=datetime(2026, 1, 1, tzinfo=UTC)), "valid_until", "ended on 2026-01-01T00:00:00.000Z"),
    (request(requester=STRANGER), "analysts", "names one analyst and is signed with the key of another"),
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
    (request(institution="bank-x"), "parties", "bank-x is not among them"),
    (request(agreement=amended(job_kinds=[{"kind": "score", "recipients": ["parties"]}])), "job_kinds", "score"),
    (request(STATISTICS | {"purpose": "marketing"}), "purposes", "is marketing; the agreement allows credit-risk"),
    (request(agreement=amended(min_parties=4)), "min_parties", "over 3 institutions; the agreement asks for 4"),
    (request(agreement=amended(min_colluding=2)), "min_colluding", "withstand 1 institutions .* asks for 2"),
    (request(statistics_of(dataset="loans", columns=["limit"])), "datasets", "loans; .* clients, branches"),
    (request(statistics_of(dataset="branches", columns=["rent"])), "datasets.owners", "only at bank-b"),
    (
        request(statistics_of(dataset="clients", columns=["limit", "age"])),
        "datasets.columns",
        "reads age of clients",
    ),
    (request(datasets={}), "node.datasets", "may read clients, but the node of bank-a is not configured"),
    (request(datasets={"clients": {"limit"}}), "node.datasets", "may read default of clients, but"),
    (request(jobs_run=10), "max_jobs", "10 jobs have run; the agreement allows 10"),
    (request(SCORE, rows_scored=701), "max_scored_rows", "room for 2048 customers, after 701 before it; .* 2748"),
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
    assert objecting == set(RULES)


def test_a_long_list_of_columns_is_cut_short() -> None:
    columns = [f"column{i}" for i in range(9)]
    assert "and 4 more" in decide(request(statistics_of(dataset="clients", columns=columns))).sentence


def test_too_few_rows_are_refused_without_saying_how_few() -> None:
    assert decide_rows(AGREEMENT, 50).accepted
    decision = decide_rows(AGREEMENT, 49)
    assert (decision.accepted, decision.clause) == (False, "min_rows")
    assert "49" not in decision.sentence


def test_the_manual_explains_every_clause() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "agreements.md").read_text()
    clauses = {clause for _, clause, _ in REFUSED} | {decide_rows(AGREEMENT, 0).clause}
    assert {clause for clause in clauses if f"`{clause}`" not in manual} == set()
