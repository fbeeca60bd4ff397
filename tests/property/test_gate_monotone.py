"""Taking anything out of an agreement never turns a refusal into an acceptance."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from consortia_common.documents.agreement import Agreement, Analyst, Dataset, JobKind, Party
from consortia_common.documents.jobspec import Submission
from consortia_common.gate import GateRequest, decide

BANKS = ["bank-a", "bank-b", "bank-c", "bank-d"]
COLUMNS = ["limit", "education", "age"]
KEYS = ["a" * 64, "b" * 64]
LISTS = ("purposes", "parties", "analysts", "datasets", "job_kinds")


def some(names: list[str], least: int = 1) -> st.SearchStrategy[list[str]]:
    return st.just(names) | st.lists(st.sampled_from(names), min_size=least, unique=True)


datasets = st.builds(
    lambda name, owners, columns: Dataset.model_construct(name=name, owners=tuple(owners), columns=tuple(columns)),
    st.sampled_from(["clients", "loans"]),
    some(BANKS),
    some(COLUMNS),
)


@st.composite
def agreements(draw: st.DrawFn) -> Agreement:
    parties = [Party(institution=bank, key=str(BANKS.index(bank)) * 64) for bank in draw(some(BANKS, 2))]
    return Agreement.model_construct(
        id="risk",
        version=1,
        purposes=tuple(draw(some(["risk", "fraud"]))),
        parties=tuple(parties),
        analysts=tuple(Analyst(institution="bank-a", name="ann", key=key) for key in draw(some(KEYS))),
        datasets=tuple(draw(st.lists(datasets, min_size=1, max_size=3))),
        job_kinds=tuple(
            JobKind(kind=kind, recipients=("analyst",)) for kind in draw(some(["statistics", "train"]))
        ),
        min_parties=draw(st.integers(2, 4)),
        max_jobs=draw(st.integers(1, 3)),
        max_scored_rows=0,
        valid_from=datetime(2025, 1, 1, tzinfo=UTC),
        valid_until=datetime(2026, 1, 1, tzinfo=UTC),
    )


@st.composite
def requests(draw: st.DrawFn) -> GateRequest:
    key = draw(st.sampled_from(KEYS))
    spec = {
        "version": 1,
        "name": "job",
        "kind": "statistics",
        "agreement": "risk@1",
        "purpose": draw(st.sampled_from(["risk", "fraud"])),
        "parties": draw(some(BANKS, 3)),
        "parameters": {"dataset": draw(st.sampled_from(["clients", "loans"])), "columns": draw(some(COLUMNS))},
    }
    value = {"network": "demo", "spec": spec, "nonce": "0" * 32, "submitted_ms": 1, "analyst": key}
    return GateRequest(
        submission=Submission.from_value(value, "the test's submission"),
        requester=key,
        agreement=draw(agreements()),
        agreement_state="active",
        network="demo",
        institution="bank-a",
        datasets={"clients": COLUMNS, "loans": COLUMNS},
        already_decided=False,
        jobs_run=draw(st.integers(0, 2)),
        rows_scored=0,
        now=datetime(2025, 6, 1, tzinfo=UTC),
    )


@st.composite
def reduced(draw: st.DrawFn, agreement: Agreement) -> Agreement:
    """``agreement`` with one thing less: an entry of a list, or a column or an owner of a dataset."""
    field = draw(st.sampled_from([*LISTS, "columns", "owners"]))
    if field in LISTS:
        entries = list(getattr(agreement, field))
        entries.pop(draw(st.integers(0, len(entries) - 1)))
        return agreement.model_copy(update={field: tuple(entries)})
    parts = list(agreement.datasets)
    index = draw(st.integers(0, len(parts) - 1))
    names: list[Any] = list(getattr(parts[index], field))
    names.pop(draw(st.integers(0, len(names) - 1)))
    parts[index] = parts[index].model_copy(update={field: tuple(names)})
    return agreement.model_copy(update={"datasets": tuple(parts)})


@given(st.data(), requests())
def test_a_smaller_agreement_accepts_no_more(data: st.DataObject, request: GateRequest) -> None:
    assert request.agreement
    smaller = replace(request, agreement=data.draw(reduced(request.agreement)))
    assert decide(request).accepted or not decide(smaller).accepted
