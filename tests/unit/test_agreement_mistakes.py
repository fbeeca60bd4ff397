"""Agreements and receipts: each mistake is told; moments and numbers stay where a canonical form exists."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import yaml

from consortia_common.documents.agreement import Agreement
from consortia_common.documents.base import utc
from consortia_common.documents.receipt import Receipt
from consortia_common.errors import DocumentError
from consortia_crypto import canonical
from tests.support.documents import AGREEMENT, agreement


def test_a_good_agreement_has_one_form() -> None:
    good = Agreement.from_yaml(yaml.safe_dump(AGREEMENT), "agreement.yaml")
    assert Agreement.from_canonical(good.canonical(), "a copy") == good == agreement()
    assert good.reference == f"credit-risk@1#{good.hash()}"
    assert good.short == "credit-risk@1"
    assert (good.party("bank-b"), good.party("bank-z")) == (good.parties[1], None)


def test_a_moment_has_one_form_whatever_its_zone() -> None:
    here = timezone(timedelta(hours=8))
    moments = ["2026-01-01T00:00:00Z", "2026-01-01T08:00:00+08:00", datetime(2026, 1, 1, 8, tzinfo=here)]
    forms = {agreement(valid_from=moment).hash() for moment in moments}
    assert len(forms) == 1
    assert utc(datetime(2026, 1, 31, 20, 0, 0, 7999, tzinfo=here)) == "2026-01-31T12:00:00.007Z"
    assert agreement().valid_from == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema_version": 2}, "schema_version: must be 1"),
        ({"id": "Credit"}, "id: must be lower-case"),
        ({"version": 0}, "version: must be greater"),
        ({"version": 2}, "parent: the first version has none, every later one names"),
        ({"parent": "e" * 64}, "parent: the first version has none"),
        ({"title": ""}, "title: must have at least 1 character"),
        ({"title": "\ud800"}, "title: must be text"),
        ({"purposes": []}, "purposes: must have at least 1 item"),
        ({"parties": AGREEMENT["parties"][:1]}, "parties: must have at least 2 items"),
        (
            {"parties": [AGREEMENT["parties"][0]] * 2},
            "parties: an institution is named twice; parties: two parties have",
        ),
        ({"parties": [{"institution": "bank-a", "key": "A" * 64}] * 2}, "parties.0.key: must be 64 digits"),
        (
            {"datasets": [AGREEMENT["datasets"][0] | {"owners": ["bank-z"]}]},
            "datasets: bank-z owns a dataset but is no",
        ),
        (
            {"datasets": [AGREEMENT["datasets"][0] | {"columns": ['x"']}]},
            "datasets.0.columns.0: must be letters",
        ),
        ({"datasets": [AGREEMENT["datasets"][0] | {"rows": 1}]}, "datasets.0.rows: there is no such field"),
        ({"job_kinds": AGREEMENT["job_kinds"] * 2}, "job_kinds: a kind is named twice"),
        ({"job_kinds": [{"kind": "train", "recipients": ["everybody"]}]}, "job_kinds.0.recipients.0: must"),
        ({"lawful_basis": "because"}, "lawful_basis: must be"),
        ({"min_parties": 1}, "min_parties: must be greater"),
        ({"min_rows": 0}, "min_rows: must be greater"),
        ({"max_jobs": 2**53}, "max_jobs: must be less"),
        ({"max_scored_rows": -1}, "max_scored_rows: must be greater"),
        ({"valid_until": "2026-01-01T00:00:00Z"}, "valid_until: not after valid_from"),
        ({"valid_until": "2027-01-01"}, "valid_until: must have timezone info"),
        ({"valid_until": "2027-01-01T00:00:00"}, "valid_until: must have timezone info"),
        ({"valid_until": "soon"}, "valid_until: must be a valid datetime"),
        ({"valid_from": "0001-01-01T00:00:00+14:00"}, "valid_from: must be greater"),
        ({"valid_until": "9999-12-31T23:59:59-14:00"}, "valid_until: must be less"),
        ({"colour": "red"}, "colour: there is no such field"),
    ],
)
def test_each_mistake_is_told(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DocumentError) as refused:
        agreement(**changes)
    assert said in refused.value.what
    assert refused.value.what.startswith("agreement.yaml was refused: ")


@pytest.mark.parametrize(
    "moment", ["2026-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "2026-01-01T08:00:00.000+08:00"]
)
def test_bytes_in_another_form_are_refused(moment: str) -> None:
    value = agreement().model_dump(mode="json") | {"valid_from": moment}
    with pytest.raises(DocumentError):
        Agreement.from_canonical(canonical.encode(value), "a copy")


RECEIPT: dict[str, Any] = {
    "network": "lab",
    "institution": "bank-a",
    "job": "job-1",
    "kind": "train",
    "spec": "a" * 64,
    "agreement": "credit-risk@1#" + "b" * 64,
    "parties": ["bank-a", "bank-b", "bank-c"],
    "sums": None,
    "cohorts": [{"dataset": "clients", "rows_used": 5, "rows_left_out": 1, "consent_root": "c" * 64}],
    "result": None,
    "took": {"bytes_up": 1, "bytes_down": 1, "elapsed_ms": 1, "memory_mib": 1, "planned_ms": 1, "planned_mib": 1},
    "closed_ms": 1,
}


def test_a_receipt_has_one_form() -> None:
    receipt = Receipt.from_value(RECEIPT, "a receipt")
    assert Receipt.from_canonical(receipt.canonical(), "a receipt") == receipt


@pytest.mark.parametrize(
    "changes",
    [
        {"closed_ms": -1},
        {"closed_ms": 2**53},
        {"cohorts": [RECEIPT["cohorts"][0] | {"rows_used": -1}]},
        {"cohorts": [RECEIPT["cohorts"][0] | {"consent_root": ""}]},
        {"result": "none"},
        {"v": 2},
        {"signature": "x"},
    ],
)
def test_what_no_institution_would_state_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(DocumentError):
        Receipt.from_value(RECEIPT | changes, "a receipt")
