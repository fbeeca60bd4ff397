"""What must be true of a demo's summary; a demo that ends otherwise has failed, however well it read."""

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
        "the withdrawal did not take one row away": summary["withdrawn_rows"] == 1,
        "a log is not verified": set(summary["audit"].values()) == {"verified"},
        "a log leaves out what another one tells": summary["left_out_of_a_log"] == 0,
        "the export does not verify by itself": summary["standalone_verifier"],
        "the forgery was not found": summary["tampered_copy"].startswith("tampered at entry"),
    }
