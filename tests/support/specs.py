"""Job specs that the agreement of the tests' consortium allows, one of each kind, to be changed by parameters."""

from collections.abc import Sequence
from typing import Any

from consortia_common.documents.jobspec import JobSpec

BANKS = ("bank-a", "bank-b", "bank-c")
PURPOSE = "credit-risk-model"


def spec(
    kind: str,
    *,
    parties: Sequence[str] = BANKS,
    colluding: int | None = None,
    engine: str = "masked",
    **parameters: Any,
) -> JobSpec:
    """A job spec that the agreement allows; ``parameters`` change its parameters."""
    value = {
        "version": 1,
        "name": f"a-{kind}-job",
        "kind": kind,
        "agreement": "credit-risk@1",
        "purpose": PURPOSE,
        "parties": list(parties[:2] if kind == "score" else parties),
        "engine": engine,
        "colluding": colluding,
        "parameters": _PARAMETERS[kind] | parameters,
    }
    return JobSpec.from_value(value, "the test's spec")


def averaging(**settings: Any) -> dict[str, Any]:
    """The model of a short ``train`` job, a logistic regression by federated averaging, with these settings."""
    return _AVERAGING | settings


_AVERAGING: dict[str, Any] = {
    "type": "neural_network",
    "hidden": [],
    "rounds": 4,
    "epochs": 3,
    "batch": None,
    "learning_rate": "0.5",
}
_PARAMETERS: dict[str, dict[str, Any]] = {
    "statistics": {
        "dataset": "clients",
        "columns": ["income", "age"],
        "label": "default",
        "by": ["region"],
        "categories": {"region": [1, 2]},
    },
    "train": {
        "dataset": "clients",
        "test_dataset": "clients_test",
        "features": ["income", "age"],
        "label": "default",
        "max_rows": 1000,
        "model": _AVERAGING,
    },
    "evaluate": {
        "dataset": "clients",
        "model": "job-0123456789abcdef",
        "model_digest": "0" * 64,
        "features": ["income", "age"],
        "label": "default",
    },
    "score": {
        "data_owner": "bank-a",
        "model_owner": "bank-b",
        "dataset": "clients_test",
        "features": ["income", "age"],
        "model": "scorecard",
    },
}
