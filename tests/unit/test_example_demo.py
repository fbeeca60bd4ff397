"""The demo's own machinery: folders, processes, forgeries, expectations; without a network."""

import copy
import io
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from consortia_common.audit_log import AuditLog
from consortia_common.audit_verify import verify_folder
from consortia_crypto.audit.verify import Verdict
from consortia_crypto.keys import PrivateIdentity
from examples.credit_risk import commands, evidence, expectations, network, processes
from examples.credit_risk.errors import DemoError
from examples.credit_risk.story import Story, size

GOOD: dict[str, Any] = {
    "auc": {"federated": 0.7674, "pooled": 0.7676, "alone": {"bank-a": 0.766}},
    "score_max_abs_error": 5e-5,
    "refused": [{"job": "statistics-by-marriage", "clause": "datasets.columns"}],
    "withdrawn_rows": 1,
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
        (("withdrawn_rows",), 0, "withdrawal"),
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
