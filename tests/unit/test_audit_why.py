"""Why: the gate's decision made again from the log alone, and found out if it was another one."""

import pytest

from consortia_common.audit_segments import LogFolder, records
from consortia_common.audit_verify import attached
from consortia_common.audit_why import Why
from consortia_crypto.audit.entry import Entry
from tests.support.decisions import AGREEMENT, ANALYST, DECISION, activate, decide, open_log, submission


@pytest.fixture
def log(tmp_path):
    with open_log(tmp_path) as log:
        yield log


def why(log, asked):
    told = Why(asked.job_id, "demo", "bank-a", lambda name: attached(log.folder, name))
    for raw in records(LogFolder(log.folder.path)):
        told.see(Entry.parse(raw))
    return told.explanations


def test_an_accepted_job_is_accepted_again_with_every_rule_named(log):
    activate(log)
    asked = submission()
    decide(log, asked)
    cohort = {"dataset": "clients", "rows_left_out": 1, "consent_ref": "9" * 64, "columns": ["age"]}
    log.append(
        "access.cohort", job=asked.job_id, purpose="risk", agreement=AGREEMENT.reference, rows_used=5, **cohort
    )
    log.append("job.finished", job=asked.job_id)
    (told,) = why(log, asked)
    assert (told.replayed, told.agrees, told.analyst) == ("accept", True, ANALYST)
    assert {"datasets", "purpose", "period"} <= {ruling.rule for ruling in told.rulings}
    assert all(not ruling.objection for ruling in told.rulings)
    assert (told.accesses[0]["rows_used"], told.accesses[0]["allowed"]) == (5, True)
    assert told.ending.startswith("finished in entry")
    assert told.document()["agrees"] is True


def test_a_refusal_is_refused_again_by_the_same_clause(log):
    activate(log)
    asked = submission(purpose="marketing")
    decide(log, asked, "refuse", clause="purposes", reason="not allowed")
    (told,) = why(log, asked)
    assert (told.replayed, told.agrees) == ("refuse: purposes", True)
    assert [ruling.clause for ruling in told.rulings if ruling.objection] == ["purposes"]


@pytest.mark.parametrize(
    ("changes", "decision", "clause"),
    [
        ({"purpose": "marketing"}, "accept", ""),
        ({}, "refuse", "purposes"),
        ({"purpose": "x"}, "refuse", "datasets"),
    ],
)
def test_a_decision_that_the_rules_would_not_have_made_is_found_out(log, changes, decision, clause):
    activate(log)
    asked = submission(**changes)
    decide(log, asked, decision, clause=clause)
    (told,) = why(log, asked)
    assert told.agrees is False


def test_budgets_are_counted_from_the_log(log):
    activate(log)
    for number in range(2):
        decide(log, submission(number))
    third = submission(2)
    decide(log, third, "refuse", clause="max_jobs")
    assert why(log, third)[0].agrees
    assert why(log, submission(1))[0].agrees


def test_a_job_that_people_refused_counts_no_more(log):
    activate(log)
    for number in range(2):
        decide(log, submission(number))
    log.append("job.disapproved", job=submission(1).job_id, reason="an officer refused it")
    third = submission(2)
    decide(log, third)
    assert why(log, third)[0].agrees


def test_too_few_rows_under_an_accepted_job_are_found_out(log):
    activate(log)
    asked = submission()
    decide(log, asked)
    cohort = {"dataset": "clients", "rows_left_out": 1, "consent_ref": "9" * 64}
    log.append(
        "access.cohort", job=asked.job_id, purpose="risk", agreement=AGREEMENT.reference, rows_used=4, **cohort
    )
    (told,) = why(log, asked)
    assert told.replayed == "accept"
    assert told.agrees is False


def test_what_is_not_on_the_log_is_said_to_be_so(log):
    asked = submission()
    decide(log, asked, "refuse", clause="agreement")
    assert why(log, asked)[0].agrees
    activate(log)
    other = submission(1)
    decide(log, other, "refuse", clause="node.datasets")
    assert why(log, other)[0].agrees is None
    bare = submission(2)
    log.append("job.decided", job=bare.job_id, decision="accept", **DECISION)
    (told,) = why(log, bare)
    assert (told.agrees, told.replayed) == (None, "")
    assert "submission" in told.why_not
    assert why(log, submission(9)) == []


def test_an_agreement_that_was_ended_or_not_yet_signed_was_no_ground(log):
    commit = log.attach(AGREEMENT.canonical())
    log.append("agreement.proposed", agreement=AGREEMENT.reference, payload_commit=commit, institution="bank-a")
    early = submission(0)
    decide(log, early, "refuse", clause="signatures")
    activate(log)
    log.append("agreement.suspended", agreement=AGREEMENT.reference, institution="bank-b")
    late = submission(1)
    decide(log, late)
    assert why(log, early)[0].agrees
    assert (why(log, late)[0].replayed, why(log, late)[0].agrees) == ("refuse: state", False)


def test_the_coordinators_log_refers_to_the_parties(log):
    asked = submission()
    log.append("job.decided", job=asked.job_id, decision="accept", kind="statistics", institution="bank-b")
    (told,) = why(log, asked)
    assert (told.institution, told.agrees) == ("bank-b", None)
    assert "bank-b" in told.why_not
