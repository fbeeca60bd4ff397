"""What must be true of a demo's summary; a demo that ends otherwise has failed, however well it read."""

from typing import Any

from examples.credit_risk.errors import DemoError
from examples.credit_risk.scene import Summary

AUC_TOLERANCE = 0.005
SCORE_TOLERANCE = 1e-3


def check(summary: Summary) -> None:
    """Return if all is as expected. Raises DemoError naming what is not."""
    missed = [what for what, holds in _expected(summary).items() if not holds]
    if missed:
        raise DemoError(
            "the demo ran to its end, but " + "; ".join(missed),
            blame="this version of Consortia",
            remedy="look into summary.json and logs/ in the demo's folder, and report it",
        )


def _expected(summary: Summary) -> dict[str, bool]:
    """Each expectation, worded as its failure."""
    auc = summary["auc"]
    return {
        "the federated AUC is far from the pooled one": abs(auc["federated"] - auc["pooled"]) <= AUC_TOLERANCE,
        "encrypted scores differ from plain ones": summary["score_max_abs_error"] <= SCORE_TOLERANCE,
        "the job that asks for too much was not refused": bool(summary["refused"]),
        "the withdrawal did not reach what it should": _reached(summary["withdrawal"]),
        "the attack was not stopped by the guard against differencing": summary["attack"]["stopped_by"]
        == ["differencing"],
        "the attack would have shown no customer, or several": summary["attack"]["would_have_shown"] == 1,
        "the customer's report lacks a use or an acknowledgement": _told(summary["customer_report"]),
        "the receipts and the logs tell of different rows": summary["receipts"] == "agree with the logs",
        "a log is not verified": set(summary["audit"].values()) == {"verified"},
        "a log leaves out what another one tells": summary["left_out_of_a_log"] == 0,
        "the export does not verify by itself": summary["standalone_verifier"],
        "the forgery was not found": summary["tampered_copy"].startswith("tampered at entry"),
    }


def _reached(withdrawal: dict[str, Any]) -> bool:
    """The statistics and the training, its model, and both other banks, who have acknowledged it."""
    counted = [len(withdrawal[name]) for name in ("jobs", "models", "recipients")]
    return counted == [2, 1, 2] and withdrawal["acknowledged"] == 2


def _told(report: dict[str, int]) -> bool:
    """The statistics and the training; the attack and the scoring used nothing of this customer."""
    return report == {"uses": 2, "acknowledgements": 2}
