"""A node that does its work and "forgets" one log entry: its own log verifies, and the others' convict it."""

import json

import pytest
from click.testing import CliRunner

from consortia_client.cli.audit import audit
from consortia_common.audit_log import AuditLog
from consortia_crypto.audit.entry import Entry
from tests.support.consortium import build, prepare, running
from tests.support.specs import BANKS, spec

EVERYBODY = ("coordinator", *BANKS)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The logs of three jobs; in the second one, bank-b forgets that it opened a sum."""
    consortium = build(tmp_path_factory.mktemp("forgetful"))
    append = AuditLog.append

    def forgetful(self, event, /, **fields):
        forgets = self.identity.institution == "bank-b" and event == "sum.opened"
        return Entry.parse(next(self.read(self.size - 1))) if forgets else append(self, event, **fields)

    with running(consortium), pytest.MonkeyPatch.context() as patch:
        prepare(consortium)
        jobs = [consortium.run(spec("statistics")).job_id]
        patch.setattr(AuditLog, "append", forgetful)
        jobs.append(consortium.run(spec("statistics")).job_id)
        patch.undo()
        jobs.append(consortium.run(spec("statistics", columns=["salary_note"])).job_id)
    return consortium.root, jobs


def ask(*arguments):
    result = CliRunner().invoke(audit, [*map(str, arguments), "--json"])
    return result.exit_code, json.loads(result.stdout)


def test_every_log_by_itself_is_verified(root):
    folder, _ = root
    code, answer = ask("verify", *(folder / who for who in EVERYBODY))
    assert code == 0
    assert all(log["checkpoint"] == log["entries"] for log in answer["logs"])


def test_reconcile_names_the_forgotten_entry_and_nothing_else(root):
    folder, (_, forgotten, _) = root
    code, answer = ask("reconcile", *(folder / who for who in EVERYBODY))
    charged = [item for item in answer["lacks"] if item["lack"] in ("omitted", "differs")]
    assert code == 1
    (lack,) = charged
    assert (lack["institution"], lack["exchange"], lack["subject"]) == ("bank-b", "total", [forgotten])
    assert [mention["event"] for mention in lack["evidence"]] == ["sum.added"]
    before, after = lack["between"]
    assert after == before + 1


def test_whoever_forgot_nothing_is_not_charged(root):
    folder, _ = root
    for bank in ("bank-a", "bank-c"):
        code, answer = ask("reconcile", folder / "coordinator", folder / bank)
        assert code == 0, answer["lacks"]
        assert answer["matched"]["total"] == 2


def test_a_person_reads_who_left_out_what(root):
    folder, (_, forgotten, _) = root
    result = CliRunner().invoke(audit, ["reconcile", str(folder / "coordinator"), str(folder / "bank-b")])
    assert "✗ bank-b left out between its entries" in result.stdout
    assert forgotten in result.stdout


def test_why_decides_again_as_the_nodes_did(root):
    folder, jobs = root
    for job, decision in zip(jobs, ("accept", "accept", "refuse: datasets.columns"), strict=True):
        code, answer = ask("why", job, *(folder / bank for bank in BANKS))
        assert code == 0
        assert [item["replayed"] for item in answer["decisions"]] == [decision] * 3


def test_a_timeline_of_a_job_has_every_partys_entries_in_order(root):
    folder, (job, *_) = root
    code, answer = ask("timeline", job, *(folder / who for who in EVERYBODY))
    times = [moment["time"] for moment in answer["moments"]]
    assert code == 0
    assert times == sorted(times)
    assert {moment["institution"] for moment in answer["moments"]} == set(EVERYBODY)


def test_the_logs_have_no_gaps_of_their_own(root):
    folder, _ = root
    for who in EVERYBODY:
        code, answer = ask("gaps", folder / who)
        assert (code, answer["gaps"]) == (0, []), who
