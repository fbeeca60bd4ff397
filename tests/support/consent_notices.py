"""A notice that customers were shown, for tests to register and to spoil."""

from collections.abc import Sequence
from typing import Any

from consortia_common.documents.consent_notice import ConsentNotice

NOTICE: dict[str, Any] = {
    "schema_version": 1,
    "id": "notice",
    "version": 1,
    "language": "en",
    "text_sha256": "a" * 64,
    "controller": "Bank A",
    "lawful_basis": ["GDPR 6(1)(a)", "PIPL 13(1)"],
    "scopes": ["general", "recipient"],
    "purposes": [
        {"name": "risk", "iri": "https://w3id.org/dpv#CreditRiskAssessment", "description": "Credit risk"}
    ],
    "data": [{"dataset": "clients", "columns": ["limit", "group"], "categories": ["account"]}],
    "storage": "at the bank",
    "retention": "until withdrawn",
    "jurisdictions": ["EU", "CN"],
    "withdrawal": "at any branch",
}


def recipient(institution: str) -> dict[str, Any]:
    """What a customer is told of a recipient."""
    return {
        "institution": institution,
        "name": institution.upper(),
        "contact": f"privacy@{institution}.example",
        "purpose": "joint credit risk model",
        "method": "sealed sums, which show no single customer",
        "categories": ["aggregates"],
    }


def make_notice(
    purpose: str = "risk",
    data: dict[str, Sequence[str]] | None = None,
    recipients: Sequence[str] = (),
    **changes: Any,
) -> ConsentNotice:
    """The notice for that purpose, data and recipients, with these fields changed."""
    value = NOTICE | {"purposes": [NOTICE["purposes"][0] | {"name": purpose}]}
    if data is not None:
        value["data"] = [
            {"dataset": name, "columns": list(columns), "categories": ["account"]} for name, columns in data.items()
        ]
    value["recipients"] = [recipient(institution) for institution in recipients]
    return ConsentNotice.from_value(value | changes, "notice.yaml")
