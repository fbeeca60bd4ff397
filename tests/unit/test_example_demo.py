"""The demo's own machinery: folders, processes, forgeries, expectations; without a network."""

import copy
import io
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from consortia_common.audit_log import AuditLog
from consortia_common.audit_reconcile import Lack
from consortia_common.audit_verify import verify_folder
from consortia_crypto.audit.verify import Verdict
from consortia_crypto.keys import PrivateIdentity
from examples.credit_risk import commands, customer, evidence, expectations, network, processes
from examples.credit_risk.errors import DemoError
from examples.credit_risk.story import Story, size

GOOD: dict[str, Any] = {
    "auc": {"federated": 0.7674, "pooled": 0.7676, "alone": {"bank-a": 0.766}},
    "score_max_abs_error": 5e-5,
    "refused": [{"job": "statistics-by-marriage", "clause": "datasets.columns"}],
    "withdrawal": {
        "jobs": ["job-1", "job-2"],
        "models": ["job-2"],
        "recipients": ["bank-b", "bank-c"],
        "acknowledged": 2,
    },
    "attack": {"would_have_shown": 1, "stopped_by": ["differencing"]},
    "customer_report": {"uses": 2, "acknowledgements": 2},
    "receipts": "agree with the logs",
    "left_out_of_a_log": 0,
    "standalone_verifier": True,
    "audit": {"bank-a": "verified", "coordinator": "verified"},
    "tampered_copy": "tampered at entry 9",
}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of three entries, the second about a cohort."""
    folder = tmp_path / "bank-b"
    identity = PrivateIdentity.generate("demo", "bank-b", "node", "node")
    cohort = {"job": "job-1", "purpose": "p", "agreement": "a@1#" + "0" * 64, "dataset": "clients"}
    with AuditLog.open(folder, identity, "bank-b", lambda: datetime(2026, 1, 1, tzinfo=UTC)) as opened:
        opened.append("access.cohort", rows_used=5541, rows_left_out=500, consent_ref="0" * 64, **cohort)
        opened.append("peer.connected", peer="coordinator")
    return folder


def test_a_good_summary_meets_the_expectations() -> None:
    expectations.check(GOOD)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("auc", "federated"), 0.75, "AUC"),
        (("score_max_abs_error",), 0.01, "scores"),
        (("refused",), [], "refused"),
        (("withdrawal", "models"), [], "withdrawal"),
        (("withdrawal", "acknowledged"), 1, "withdrawal"),
        (("attack", "stopped_by"), ["max_jobs"], "differencing"),
        (("attack", "would_have_shown"), 0, "would have shown"),
        (("customer_report", "uses"), 3, "report"),
        (("receipts",), "tell of 5 rows, the logs of 4", "receipts"),
        (("left_out_of_a_log",), 1, "leaves out"),
        (("standalone_verifier",), False, "by itself"),
        (("audit", "bank-a"), "unverifiable", "log"),
        (("tampered_copy",), "verified", "forgery"),
    ],
)
def test_a_demo_that_misses_an_expectation_fails(path: tuple[str, ...], value: object, named: str) -> None:
    summary = copy.deepcopy(GOOD)
    place = summary
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(DemoError, match=named):
        expectations.check(summary)


def test_one_changed_byte_is_found_and_so_is_a_mended_checksum(log: Path, tmp_path: Path) -> None:
    forged = tmp_path / "forged"
    number = evidence.flip(log, forged)
    changed = [
        pair
        for pair in zip(segment(log).read_bytes(), segment(forged).read_bytes(), strict=True)
        if pair[0] != pair[1]
    ]
    assert len(changed) == 1
    for _ in range(2):
        report = verify_folder(forged)
        assert (report.verdict, report.entry) == (Verdict.TAMPERED, number)
        evidence.mend(forged, log, number)
    assert "checksum" not in report.cause


def test_rows_are_counted_from_the_banks_logs(log: Path) -> None:
    folders = dict.fromkeys(("bank-a", "bank-b", "bank-c"), log)
    assert evidence.cohorts(folders, "job-1") == (3 * 5541, 3 * 500)
    assert evidence.cohorts(folders, "job-2") == (0, 0)


def test_only_what_a_log_should_tell_counts_as_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    lacks = [{"lack": lack.value, "sentence": f"it is {lack.value}"} for lack in Lack]
    answer = commands.Outcome(1, json.dumps({"matched": {"a": 2, "b": 3}, "lacks": lacks}), "")
    monkeypatch.setattr(commands, "attempt", lambda *words: answer)
    agreed, left_out = evidence.compare({})
    assert agreed == 5
    assert left_out == ["it is omitted", "it is differs", "it is ends before"]


def test_receipts_are_checked_by_the_agreement_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []
    receipts = [{"cohorts": [{"rows_used": 5}, {"rows_used": 2}]}, {"cohorts": []}]
    monkeypatch.setattr(commands, "ask", lambda *words: asked.append(words) or {"receipts": receipts})
    assert evidence.receipted(Path("p.json"), "a@1#00") == 7
    assert asked == [("job", "verify", Path("p.json"), "--agreement", "a@1#00")]


def test_a_question_is_asked_until_the_answer_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: Iterator[Any] = iter([[], [{"state": "proposed"}], {"state": "active"}])
    monkeypatch.setattr(commands, "ask", lambda *words: next(answers))
    monkeypatch.setattr(commands, "POLL_SECONDS", 0)
    found = commands.until(("agreement", "list"), lambda one: one["state"] == "active", "it never is")
    assert found == {"state": "active"}
    monkeypatch.setattr(commands, "ask", lambda *words: [])
    monkeypatch.setattr(commands, "SECONDS", 0)
    with pytest.raises(DemoError, match="it never is"):
        commands.until(("agreement", "list"), lambda one: True, "it never is")


def test_everybody_has_a_folder_and_every_bank_an_officer() -> None:
    places = network.Places(Path("demo"))
    assert len({places.profile(user) for user in network.USERS}) == len(network.USERS)
    assert tuple(user.institution for user in network.OFFICERS) == network.BANKS


def test_a_customer_s_report_is_told_and_printed_in_two_languages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use = {"job": "job-1", "columns": ["age"], "dataset": "clients", "with": ["bank-a", "bank-b"], "entry": 22}
    versions = [{"state": state, "effective_at": "2026-01-01T08:30:00.000Z"} for state in ("given", "withdrawn")]
    report = {"institution": "bank-a", "uses": [use], "consents": versions, "acknowledgements": [{}]}
    printed: list[str] = []
    monkeypatch.setattr(commands, "ask", lambda *words: report)
    monkeypatch.setattr(commands, "run", lambda *words: printed.append(Path(words[-1]).name))
    output = io.StringIO()
    scene: Any = SimpleNamespace(story=Story(Console(file=output, width=120)), places=network.Places(tmp_path))
    assert customer.run(scene, "C000001") == {"uses": 1, "acknowledgements": 1}
    assert printed == ["customer-report.en.html", "customer-report.zh.html"]
    told = " ".join(output.getvalue().split())
    assert "job-1 1 columns of clients bank-b 22" in told
    assert "given since 2026-01-01 08:30 UTC, then withdrawn since" in told
    assert "C000001" not in told


def test_a_folder_that_no_demo_made_is_not_deleted(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DemoError, match="no demo made"):
        network.clear(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_the_folder_of_an_earlier_demo_is_emptied(tmp_path: Path) -> None:
    root = network.clear(tmp_path / "demo").root
    (root / "old").mkdir()
    assert {path.name for path in network.clear(root).root.iterdir()} == {".consortia-demo"}


def test_a_command_that_prints_no_json_is_an_error() -> None:
    with pytest.raises(DemoError, match="no JSON"):
        commands.Outcome(0, "hello", "").document()


def test_a_command_that_refuses_is_explained() -> None:
    with pytest.raises(DemoError, match="did not do what the demo needs"):
        commands.run("nonsense", "at-all")


def test_processes_are_stopped_however_the_demo_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "PROGRAM", Path(sys.executable))
    started = processes.Processes(tmp_path / "logs")
    with pytest.raises(KeyboardInterrupt):
        interrupted(started)
    assert started.running == {}
    assert processes.listens(processes.free_port()) is False


def test_a_process_that_stops_by_itself_is_reported_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "PROGRAM", Path(sys.executable))
    with processes.Processes(tmp_path / "logs") as started:
        started.start("failing", "-c", "raise SystemExit('no such port')")
        with pytest.raises(DemoError, match="no such port"):
            started.wait("it", lambda: False)


def test_the_story_says_a_stage_once_in_a_plain_log() -> None:
    output = io.StringIO()
    story = Story(Console(file=output, width=80))
    with story.step("train", "Training"), story.working("working") as tell:
        for stage in ("round 1", "round 1", "round 2"):
            tell(stage)
    assert output.getvalue().count("round 1") == 1
    assert "train" in story.seconds


def test_sizes_are_readable() -> None:
    assert [size(count) for count in (12, 3_400, 5_600_000)] == ["12 bytes", "3.4 kB", "5.6 MB"]


def interrupted(started: processes.Processes) -> None:
    """A demo in which somebody presses Ctrl-C."""
    with started:
        started.start("sleeper", "-c", "import time; time.sleep(60)")
        raise KeyboardInterrupt


def segment(folder: Path) -> Path:
    """The one segment of a small log."""
    return next((folder / "segments").iterdir())
