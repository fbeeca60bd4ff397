"""Random requests for the gate: one that is accepted, of which a few things at a time are otherwise."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from consortia_common.documents.agreement import (
    Agreement,
    Analyst,
    Dataset,
    Differencing,
    JobKind,
    Party,
    PrivacyBudget,
)
from consortia_common.documents.jobspec import Submission
from consortia_common.gate.request import Budgets, ConsentSummary, EarlierJob, GateRequest, NodePolicy

BANKS = ["bank-a", "bank-b", "bank-c", "bank-d"]
COLUMNS = ["limit", "education", "age"]
KEYS = ["a" * 64, "b" * 64]
NOW = datetime(2025, 6, 1, tzinfo=UTC)


Pick = Callable[[str, Any, st.SearchStrategy[Any]], Any]
"""The usual value of a thing, or a random one if that thing was chosen to be otherwise."""


def some(names: list[str], least: int = 1) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), min_size=least, unique=True)


datasets = st.builds(
    lambda name, owners, columns, grade: Dataset.model_construct(
        name=name, owners=tuple(owners), columns=tuple(columns), max_grade=grade
    ),
    st.sampled_from(["clients", "loans"]),
    some(BANKS),
    some(COLUMNS),
    st.integers(1, 5),
)
USUAL = Dataset.model_construct(name="clients", owners=tuple(BANKS), columns=tuple(COLUMNS), max_grade=3)
KINDS = ["statistics", "train", "score"]


def agreement(pick: Pick) -> Agreement:
    days = st.integers(-9, 9)
    repeats = st.builds(Differencing, memory_days=st.integers(1, 9), max_repeats=st.integers(1, 3))
    parties = pick("parties", BANKS, some(BANKS, 2))
    precision = pick("precision", 2, st.integers(1, 3))
    receiving = pick("recipients", ("analyst", "data_owner"), st.sampled_from([("analyst",), ("parties",)]))
    return Agreement.model_construct(
        schema_version=1,
        id="risk",
        version=1,
        parent=None,
        title="A random agreement",
        purposes=tuple(pick("purposes", ["risk", "fraud"], some(["risk", "fraud"]))),
        parties=tuple(Party(institution=bank, key=str(BANKS.index(bank)) * 64) for bank in parties),
        analysts=tuple(
            Analyst(institution="bank-a", name="ann", key=key) for key in pick("analysts", KEYS[:1], some(KEYS))
        ),
        datasets=tuple(pick("datasets", [USUAL], st.lists(datasets, min_size=1, max_size=3))),
        job_kinds=tuple(
            JobKind(kind=kind, recipients=receiving, precision=precision)
            for kind in pick("kinds", KINDS, some(KINDS))
        ),
        lawful_basis=pick("basis", "consent", st.sampled_from(["consent", "contract"])),
        consent_required=pick("required", (), st.just(("cross_border",))),
        min_parties=pick("min_parties", 3, st.integers(2, 5)),
        min_colluding=pick("min_colluding", 1, st.integers(0, 3)),
        min_rows=1,
        min_cell=10,
        max_jobs=pick("max_jobs", 3, st.integers(1, 3)),
        max_scored_rows=pick("max_scored", 4096, st.sampled_from([0, 2048, 4096])),
        dp=pick("dp", None, st.builds(PrivacyBudget, epsilon_micro=st.integers(1, 3))),
        differencing=pick("differencing", Differencing(), repeats),
        valid_from=NOW + timedelta(days=pick("from", -9, days)),
        valid_until=NOW + timedelta(days=pick("until", 9, days)),
    )


def spec(pick: Pick) -> dict[str, Any]:
    dataset, parties = pick("dataset", "clients", st.just("loans")), pick("asked", BANKS, some(BANKS, 3))
    columns = pick("columns", COLUMNS[:2], some(COLUMNS))
    kind = pick("kind", "statistics", st.just("score"))
    parameters: dict[str, Any] = {"dataset": dataset, "columns": columns}
    if kind == "score":
        parties = pick("asked", BANKS, st.permutations(BANKS))[:2]
        parameters = {"dataset": dataset, "features": columns, "model": "card", "max_rows": 2048}
        parameters |= {"data_owner": parties[0], "model_owner": parties[-1]}
    elif by := pick("by", "education", st.sampled_from(["education", "age", None])):
        groups = pick("groups", [1, 2], st.lists(st.integers(1, 3), min_size=1, max_size=2, unique=True))
        parameters |= {"by": [by], "categories": {by: groups}, "place": pick("place", False, st.just(True))}
    colluding = pick("colluding", None, st.integers(0, len(parties) - 2))
    return {
        "version": 1,
        "name": "job",
        "kind": kind,
        "agreement": pick("cited", "risk@1", st.just("risk@2")),
        "purpose": pick("purpose", "risk", st.just("fraud")),
        "parties": parties,
        "colluding": colluding,
        "parameters": parameters,
    }


def submission(asked: dict[str, Any], key: str, network: str = "demo") -> Submission:
    value = {"network": network, "spec": asked, "nonce": "0" * 32, "submitted_ms": 1, "analyst": key}
    return Submission.from_value(value, "the test's submission")


@st.composite
def picks(draw: st.DrawFn) -> Pick:
    chosen = draw(st.sets(st.sampled_from(THINGS), max_size=3))
    return lambda thing, usual, otherwise: draw(otherwise) if thing in chosen else usual


@st.composite
def budgets(draw: st.DrawFn) -> Budgets:
    """What has been used up by up to three jobs, each much like the usual one."""
    earlier = [
        EarlierJob(f"job-{place}", submission(spec(pick), KEYS[0]).spec, NOW - timedelta(days=days))
        for place, (pick, days) in enumerate(draw(st.lists(st.tuples(picks(), st.integers(0, 9)), max_size=3)))
    ]
    return Budgets(
        draw(st.integers(0, 2)), draw(st.sampled_from([0, 2048])), draw(st.integers(0, 3)), tuple(earlier)
    )


@st.composite
def requests(draw: st.DrawFn) -> GateRequest:
    pick = draw(picks())
    key = pick("key", KEYS[0], st.just(KEYS[1]))
    grades = pick("grades", (3, 2, 3), st.tuples(*[st.integers(1, 5)] * 3))
    held = pick("held", COLUMNS, some(COLUMNS))
    columns = {name: grade for name, grade in zip(COLUMNS, grades, strict=True) if name in held}
    return GateRequest(
        submission=submission(spec(pick), key, pick("network", "demo", st.just("other"))),
        requester=pick("requester", key, st.sampled_from(KEYS)),
        agreement=agreement(pick),
        agreement_state=pick("state", "active", st.sampled_from(["proposed", "suspended"])),
        policy=NodePolicy("demo", pick("here", "bank-a", st.sampled_from(BANKS)), {"clients": columns}),
        already_decided=pick("decided", False, st.just(True)),
        now=NOW,
        consents=ConsentSummary(pick("standing", 5, st.just(0))),
        budgets=pick("budgets", Budgets(), budgets()),
    )


THINGS = (
    *(
        "parties",
        "purposes",
        "analysts",
        "datasets",
        "kinds",
        "precision",
        "basis",
        "required",
        "min_parties",
        "min_colluding",
        "colluding",
        "max_jobs",
    ),
    *("max_scored", "dp", "differencing", "from", "until", "dataset", "asked", "columns", "kind", "by", "groups"),
    *("cited", "purpose", "key", "grades", "held", "network", "requester", "state", "here", "decided", "standing"),
    *("budgets", "budgets", "budgets", "asked", "differencing", "groups"),
    *("place", "recipients", "recipients"),
)
"""What can be otherwise; what only shows together with something else, more than once."""
