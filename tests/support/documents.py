"""Documents that are as they should be, for tests to spoil."""

from typing import Any

from consortia_common.documents.agreement import Agreement

AGREEMENT: dict[str, Any] = {
    "schema_version": 1,
    "id": "credit-risk",
    "version": 1,
    "title": "A test agreement",
    "purposes": ["credit-risk-model"],
    "parties": [{"institution": f"bank-{name}", "key": name * 64} for name in "abc"],
    "analysts": [{"institution": "bank-a", "name": "ana", "key": "d" * 64}],
    "datasets": [{"name": "clients", "owners": ["bank-a", "bank-b"], "columns": ["income"]}],
    "job_kinds": [{"kind": "train", "recipients": ["analyst"]}],
    "min_rows": 20,
    "max_jobs": 5,
    "valid_from": "2026-01-01T00:00:00Z",
    "valid_until": "2027-01-01T00:00:00Z",
}


def agreement(**changes: Any) -> Agreement:
    """The agreement with these fields changed. Raises DocumentError if that makes none."""
    return Agreement.from_value(AGREEMENT | changes, "agreement.yaml")
