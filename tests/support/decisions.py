"""Decisions on a node's log, for tests to replay."""

from datetime import UTC, datetime

from consortia_common.audit_log import AuditLog
from consortia_common.documents.agreement import Agreement
from consortia_common.documents.jobspec import JobSpec, Submission
from consortia_crypto.keys import PrivateIdentity

OWNER = PrivateIdentity.generate("demo", "bank-a", "node", "n1")
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ANALYST = "d" * 64
AGREEMENT = Agreement.from_value(
    {
        "schema_version": 1, "id": "credit", "version": 1, "title": "Joint model", "purposes": ["risk"],
        "parties": [{"institution": f"bank-{x}", "key": x * 64} for x in "abc"],
        "analysts": [{"institution": "bank-a", "name": "ann", "key": ANALYST}],
        "datasets": [
            {"name": "clients", "owners": ["bank-a", "bank-b", "bank-c"], "columns": ["age", "region", "bad"]}
        ],
        "job_kinds": [{"kind": "statistics", "recipients": ["analyst"]}],
        "min_rows": 5, "max_jobs": 2, "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2027-01-01T00:00:00Z",
    },
    "the test's agreement",
)  # fmt: skip
DECISION = {"kind": "statistics", "purpose": "risk", "agreement": AGREEMENT.reference}


def submission(number=0, **changes):
    spec = {
        "version": 1, "name": "a-job", "kind": "statistics", "agreement": "credit@1", "purpose": "risk",
        "parties": ["bank-a", "bank-b", "bank-c"],
        "parameters": {
            "dataset": "clients",
            "columns": ["age"],
            "label": "bad",
            "by": ["region"],
            "categories": {"region": [1, 2]},
        },
    }  # fmt: skip
    return Submission(
        network="demo", spec=JobSpec.from_value(spec | changes, "the spec"), nonce=f"{number:032x}",
        submitted_ms=0, analyst=ANALYST,
    )  # fmt: skip


def activate(log):
    commit = log.attach(AGREEMENT.canonical())
    log.append("agreement.proposed", agreement=AGREEMENT.reference, payload_commit=commit, institution="bank-a")
    log.append("agreement.activated", agreement=AGREEMENT.reference, payload_commit=commit)


def submit(log, asked):
    commit = log.attach(asked.canonical())
    log.append("job.submitted", job=asked.job_id, kind=asked.spec.kind, payload_commit=commit)


def decide(log, asked, decision="accept", **fields):
    submit(log, asked)
    log.append("job.decided", job=asked.job_id, decision=decision, **DECISION | fields)


def open_log(folder):
    """A node's empty log."""
    return AuditLog.open(folder, OWNER, "bank-a", lambda: NOW)
