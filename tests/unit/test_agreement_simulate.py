"""Simulate: past decisions under a proposed version, from the log alone."""

import json

import pytest
import yaml
from click.testing import CliRunner

from consortia_client.cli.main import main
from consortia_common.audit_segments import LogFolder, records
from consortia_common.audit_verify import attached
from consortia_common.documents.agreement import Agreement
from consortia_common.gate.simulation import Simulation
from consortia_crypto.audit.entry import Entry
from tests.support.decisions import AGREEMENT, activate, decide, open_log, submission


@pytest.fixture
def log(tmp_path):
    with open_log(tmp_path) as log:
        activate(log)
        yield log


def proposal(**changes):
    later = {"version": 2, "parent": AGREEMENT.hash(), "valid_from": "2030-01-01T00:00:00Z",
             "valid_until": "2031-01-01T00:00:00Z"}  # fmt: skip
    return Agreement.from_value(AGREEMENT.model_dump(mode="json") | later | changes, "the proposal")


def simulated(log, proposed):
    told = Simulation(proposed, "demo", "bank-a", lambda name: attached(log.folder, name))
    for raw in records(LogFolder(log.folder.path)):
        told.see(Entry.parse(raw))
    return told.document()


def outcomes(told):
    return [(job["recorded"], job["proposed"], job["changed"]) for job in told["jobs"]]


def cohort(log, asked, rows):
    log.append("access.cohort", job=asked.job_id, purpose="risk", agreement=AGREEMENT.reference, rows_used=rows,
               dataset="clients", rows_left_out=1, consent_ref="9" * 64)  # fmt: skip


def test_the_same_terms_decide_the_same_whatever_their_period(log):
    decide(log, submission(0))
    decide(log, submission(1, purpose="marketing"), "refuse", clause="purposes")
    told = simulated(log, proposal())
    assert outcomes(told) == [("accept", "accept", False), ("purposes", "purposes", False)]
    assert (told["decisions"], told["changed"], told["by_clause"]) == (2, 0, {})


def test_what_is_newly_refused_and_newly_accepted_is_counted_by_clause(log):
    decide(log, submission(0))
    decide(log, submission(1, purpose="marketing"), "refuse", clause="purposes")
    told = simulated(log, proposal(purposes=["marketing"]))
    assert outcomes(told) == [("accept", "purposes", True), ("purposes", "accept", True)]
    assert told["by_clause"] == {"purposes": {"newly refused": 1, "newly accepted": 1}}


def test_budgets_follow_the_decisions_that_would_have_been_made(log):
    decide(log, submission(0, purpose="marketing"), "refuse", clause="purposes")
    decide(log, submission(1))
    decide(log, submission(2))
    told = simulated(log, proposal(purposes=["risk", "marketing"]))
    assert [job["proposed"] for job in told["jobs"]] == ["accept", "accept", "max_jobs"]
    assert told["by_clause"] == {"purposes": {"newly accepted": 1}, "max_jobs": {"newly refused": 1}}
    assert outcomes(simulated(log, proposal(max_jobs=1)))[2] == ("accept", "max_jobs", True)


def test_guards_follow_too(log):
    decide(log, submission(0))
    decide(log, submission(1))
    told = simulated(log, proposal(differencing={"max_repeats": 1}))
    assert [job["proposed"] for job in told["jobs"]] == ["accept", "differencing.max_repeats"]
    assert submission(0).job_id in told["jobs"][1]["sentence"]


def test_a_job_that_ended_without_using_rows_is_forgotten(log):
    first = submission(0)
    decide(log, first)
    log.append("job.failed", job=first.job_id, reason="another party refused")
    decide(log, submission(1))
    told = simulated(log, proposal(differencing={"max_repeats": 1}))
    assert [job["proposed"] for job in told["jobs"]] == ["accept", "accept"]


def test_a_job_that_people_refused_gives_its_budget_back(log):
    first = submission(0)
    decide(log, first)
    log.append("job.disapproved", job=first.job_id, reason="an officer refused it")
    decide(log, submission(1))
    told = simulated(log, proposal(max_jobs=1))
    assert [job["proposed"] for job in told["jobs"]] == ["accept", "accept"]


def test_more_rows_asked_for_than_a_cohort_had(log):
    asked = submission(0)
    decide(log, asked)
    cohort(log, asked, 7)
    assert outcomes(simulated(log, proposal(min_rows=7))) == [("accept", "accept", False)]
    assert outcomes(simulated(log, proposal(min_rows=8))) == [("accept", "min_rows", True)]


def test_what_is_not_on_the_log_is_not_guessed(log):
    decide(log, submission(0), "refuse", clause="node.datasets")
    log.append("job.decided", job="job-bare", decision="accept", kind="statistics", agreement=AGREEMENT.reference)
    told = simulated(log, proposal())
    assert (told["unknown"], told["changed"]) == (2, 0)


def test_jobs_under_other_agreements_are_not_decided_again_but_are_remembered(log):
    other = submission(0, agreement="other@1")
    decide(log, other, agreement="other@1")
    decide(log, submission(1))
    told = simulated(log, proposal(differencing={"max_repeats": 1}))
    assert [job["proposed"] for job in told["jobs"]] == ["differencing.max_repeats"]


def test_the_command_reads_a_verified_log_and_explains_itself(log, tmp_path):
    decide(log, submission(0))
    log.checkpoint()
    file = tmp_path / "proposal.yaml"
    file.write_text(yaml.safe_dump(proposal(purposes=["marketing"]).model_dump(mode="json")))
    arguments = ["agreement", "simulate", str(file), str(log.folder.path)]
    shown = CliRunner().invoke(main, arguments)
    assert shown.exit_code == 0, shown.output
    assert "1 decisions, 1 would be others under credit@2" in shown.output
    assert "accept → purposes" in shown.output
    answer = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).output)
    assert answer["simulations"][0]["by_clause"] == {"purposes": {"newly refused": 1}}
