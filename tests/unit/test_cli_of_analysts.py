"""`consortia job`: what an analyst sees of specs, jobs and results; exit codes and JSON for programs."""

import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from rich.console import Console

from consortia_client import progress
from consortia_client.believed import JobResult
from consortia_client.curves import Point, points
from consortia_client.progress import follow
from consortia_common import terminal
from consortia_common.documents.receipt import Receipt
from consortia_proto.v1 import exchange_pb2
from consortia_proto.v1 import network_pb2 as pb
from tests.support.cli import as_json, consortia, fits, use_session
from tests.support.specs import spec

RESULT = {"kind": "statistics", "overall": {"count": 810, "note": "[bold]not markup[/]"}}
RECEIPT = Receipt.from_value(
    {
        "network": "lab",
        "institution": "bank-a",
        "job": "job-0123456789abcdef",
        "kind": "statistics",
        "spec": "a" * 64,
        "agreement": "credit-risk@1#" + "b" * 64,
        "parties": ["bank-a", "bank-b", "bank-c"],
        "sums": None,
        "cohorts": [],
        "result": None,
        "took": dict.fromkeys(
            ("bytes_up", "bytes_down", "elapsed_ms", "memory_mib", "planned_ms", "planned_mib"), 1
        ),
        "closed_ms": 1,
    },
    "the test's receipt",
)
REFUSAL = pb.Refusal(
    institution="bank-b",
    failure=exchange_pb2.Failure(
        code="refused",
        clause="datasets.columns",
        what="The agreement does not name the column marriage.\x1b[31m",
        blame="the job",
        remedy="change the job spec",
    ),
)


def status(state: str, **fields: Any) -> pb.JobStatus:
    values = {"job_id": "job-0123456789abcdef", "name": "statistics-by-education", "kind": "statistics"}
    numbers = {"submitted_ms": 5, "bytes_up": 1234567}
    return pb.JobStatus(**({**values, **numbers, "state": state, "stage": state} | fields))


class StubSession:
    """Stands for the coordinator; the job ends in ``state``."""

    def __init__(self, state: str = "finished", **fields: Any) -> None:
        self.last = status(state, **fields)
        self.submitted: list[Any] = []

    def submit(self, asked: Any, now_ms: int) -> pb.JobStatus:
        assert now_ms > 0
        self.submitted.append(asked)
        return status("submitted")

    def job(self, job_id: str) -> pb.JobStatus:
        return self.last

    def jobs(self) -> list[pb.JobStatus]:
        return [status("submitted"), self.last]

    def watch(self, job_id: str) -> Iterator[pb.JobStatus]:
        yield status("running", stage="[/]\x1b[31m", steps_done=1, steps_total=3)
        yield self.last

    def curve(self, status: pb.JobStatus) -> tuple[Point, ...]:
        told = [
            {"round": round_, "loss": 0.7 - round_ / 10, "validation_loss": None, "validation_auc": None}
            for round_ in range(3)
        ]
        return points({"curve": told}) if status.state == "running" else ()

    def result(self, job_id: str) -> JobResult:
        return JobResult(job_id, spec("statistics"), RESULT, (RECEIPT,))


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(spec("statistics").model_dump(mode="json")))
    return path


def test_a_spec_is_checked_without_anybody(spec_file: Path) -> None:
    checked = consortia("job", "check", spec_file)
    assert checked.exit_code == 0
    assert "well-formed statistics job" in checked.stdout
    spec_file.write_text(spec_file.read_text() + "name: again\n")
    checked = consortia("job", "check", spec_file)
    assert checked.exit_code == 1
    assert "name is given twice" in checked.stdout
    assert str(spec_file) in checked.stdout.replace("\n", "")


def test_a_job_is_submitted(tmp_path: Path, spec_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = StubSession()
    use_session(monkeypatch, session)
    shown = consortia("job", "submit", spec_file, "--profile", tmp_path)
    assert shown.exit_code == 0, shown.output
    assert session.submitted == [spec("statistics")]
    assert "job-0123456789abcdef" in shown.stdout
    assert "1,234,567 bytes up" in shown.stdout
    told = as_json(consortia("job", "submit", spec_file, "--profile", tmp_path, "--json"))
    fields = "job_id name kind state stage submitted_ms finished_ms bytes_up bytes_down refusals"
    assert set(told) == set(fields.split())
    assert told["finished_ms"] is None


def test_a_finished_job_shows_its_result(tmp_path: Path, spec_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_session(monkeypatch, StubSession(finished_ms=9))
    for command in (("submit", spec_file), ("result", "job-0123456789abcdef")):
        shown = consortia("job", *command, "--profile", tmp_path, "--wait")
        assert shown.exit_code == 0, shown.output
        assert "the result is the one for which bank-a signed receipts" in shown.stdout
        assert "│ 810   │" in shown.stdout
        assert re.search(r"bytes +1 up and 1 down before receipts; planned \d\d,\d{3} and \d\d,\d{3}", shown.stdout)
        assert "[bold]not markup[/]" in shown.stdout
        told = as_json(consortia("job", *command, "--profile", tmp_path, "--wait", "--json"))
        assert (told["result"], told["finished_ms"]) == (RESULT, 9)
        assert told["receipts"][0]["institution"] == "bank-a"


def test_a_job_is_watched_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_session(monkeypatch, StubSession("finished"))
    shown = consortia("job", "watch", "job-0123456789abcdef", "--profile", tmp_path)
    assert shown.exit_code == 0
    assert "finished" in shown.stdout
    use_session(monkeypatch, StubSession("failed"))
    assert consortia("job", "watch", "job-0123456789abcdef", "--profile", tmp_path, "--json").exit_code == 1


def test_what_is_watched_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Console(file=StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr(terminal, "err", lambda: seen)
    follow(StubSession("finished"), "job-0123456789abcdef", quiet=False)  # type: ignore[arg-type]
    assert "0.50000  █▅▁  lowest 0.50000 after 2" in seen.file.getvalue()  # type: ignore[attr-defined]


def test_a_notebook_s_progress_is_one_output_without_markup_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[str] = []
    display = SimpleNamespace(update=pages.append)
    monkeypatch.setattr(terminal, "err", lambda: Console(file=StringIO(), force_jupyter=True))
    monkeypatch.setattr(progress, "load", lambda *_: SimpleNamespace(HTML=str, display=lambda *_, **__: display))
    follow(StubSession("<b>finished</b>"), "job-0123456789abcdef", quiet=False)  # type: ignore[arg-type]
    assert "<progress value=" in pages[0]
    assert "lowest 0.50000 after 2" in pages[0]
    assert not any("<b>" in page for page in pages)
    assert pages[-1] == ""


@pytest.mark.parametrize("state", ["refused", "failed"])
def test_a_job_that_was_refused_says_by_whom_and_exits_with_1(
    tmp_path: Path, spec_file: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    use_session(monkeypatch, StubSession(state, refusals=[REFUSAL]))
    shown = consortia("job", "submit", spec_file, "--profile", tmp_path, "--wait")
    assert shown.exit_code == 1
    for word in ("bank-b", "datasets.columns", "does not name the column", "change the job spec"):
        assert word in shown.stdout
    assert "\x1b" not in shown.stdout
    told = consortia("job", "result", "job-0123456789abcdef", "--profile", tmp_path, "--json")
    assert told.exit_code == 1
    assert as_json(told)["result"] is None
    assert as_json(told)["refusals"][0]["clause"] == "datasets.columns"


def test_a_running_job_is_shown_without_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_session(monkeypatch, StubSession("running"))
    for command in ("show", "result"):
        shown = consortia("job", command, "job-0123456789abcdef", "--profile", tmp_path)
        assert shown.exit_code == 0
        assert "running" in shown.stdout
    assert as_json(consortia("job", "show", "job-0", "--profile", tmp_path, "--json"))["state"] == "running"


def test_jobs_are_listed_in_80_columns_with_their_ids_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_session(monkeypatch, StubSession("failed", stage="bank-b: the worker took longer than 3600 s " * 5))
    listed = consortia("job", "list", "--profile", tmp_path)
    assert fits(listed)
    assert "job-0123456789abcdef" in listed.stdout
    told = as_json(consortia("job", "list", "--profile", tmp_path, "--json"))
    assert [item["state"] for item in told] == ["submitted", "failed"]


def test_a_folder_that_is_no_profile_is_said_so(tmp_path: Path) -> None:
    shown = consortia("job", "list", "--profile", tmp_path)
    assert shown.exit_code == 1
    assert "profile.toml" in shown.stderr
    assert consortia("job", "list", "--profile", tmp_path / "absent").exit_code == 2
