"""Timelines: everything about a customer or a job, in order, and what it means for them."""

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from consortia_common.audit_log import AuditLog
from consortia_common.audit_segments import LogFolder, records
from consortia_common.audit_timeline import Timeline
from consortia_crypto.audit.entry import Entry
from consortia_crypto.keys import PrivateIdentity

OWNER = PrivateIdentity.generate("demo", "bank-a", "node", "n1")
ANN, BOB = "a" * 64, "b" * 64
ROOT = "9" * 64


@pytest.fixture
def told(tmp_path):
    """Tells the timeline of somebody in a log of two customers and three cohorts."""
    seconds = count()
    clock = lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(seconds))  # noqa: E731
    cohort = {"job": "job-1", "agreement": "a@1", "dataset": "d", "consent_ref": ROOT, "rows_left_out": 0}
    with AuditLog.open(tmp_path, OWNER, "bank-a", clock) as log:
        log.append("access.cohort", purpose="risk", rows_used=1, **cohort)
        for subject, decision in ((ANN, "given"), (BOB, "given"), (ANN, "withdrawn")):
            log.append("consent.changed", subject=subject, purpose="risk", decision=decision, payload_commit=ROOT)
            log.append("access.cohort", purpose="risk", rows_used=2, **cohort)
        log.append("access.cohort", purpose="research", rows_used=3, **cohort)

    def tell(whom):
        timeline = Timeline(whom)
        for raw in records(LogFolder(tmp_path)):
            timeline.see("bank-a", Entry.parse(raw))
        return timeline.moments()

    return tell


def test_a_customers_timeline_says_what_each_cohort_means_for_them(told):
    lines = [(moment.event, moment.bearing.partition(":")[0]) for moment in told(ANN)]
    may, did_not = "may have used this customer's row", "did not use this customer's row"
    assert lines == [
        ("access.cohort", may + ", if consent had been imported"),
        ("consent.changed", ""),
        ("access.cohort", may),
        ("access.cohort", may),
        ("consent.changed", ""),
        ("access.cohort", did_not),
    ]


def test_nobody_else_and_no_other_purpose_is_in_it(told):
    assert all("research" not in moment.text for moment in told(ANN))
    assert [moment.event for moment in told(BOB)].count("consent.changed") == 1
    assert told("c" * 64) == []


def test_a_jobs_timeline_has_its_entries_only(told):
    moments = told("job-1")
    assert {moment.event for moment in moments} == {"access.cohort"}
    assert [moment.entry for moment in moments] == sorted(moment.entry for moment in moments)
    assert moments[0].document()["institution"] == "bank-a"
    assert told("job-2") == []
