"""The process log: catalogued fields only, one JSON object a line."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from consortia_common import logs
from consortia_common.errors import ExchangeError, SettingsError


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "log" / "node.log"
    logs.configure("node", path)
    yield path
    logs.configure("consortia")


def _lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_says_what_when_and_who(file: Path):
    logs.event("peer.connected", peer="bank-a", bytes=12)
    (line,) = _lines(file)
    assert line.pop("ts")
    assert line == {
        "event": "peer.connected", "component": "node", "level": "info", "peer": "bank-a", "bytes": 12
    }  # fmt: skip
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["subject", "customer", "row", "value", "key", "secret", "exc_info", "columns"])
def test_a_field_that_is_not_listed_is_dropped_and_counted(file: Path, name: str):
    assert name not in logs.FIELDS
    logs.event("consent.changed", peer="bank-a", **{name: "canary-4711"})
    (line,) = _lines(file)
    assert line["dropped_fields"] == 1
    assert "canary" not in file.read_text()


def test_only_plain_values_are_written_and_long_ones_are_cut(file: Path):
    logs.event("x", reason="y" * 10_000, count=[1, 2], rows={"a": 1}, error=b"bytes")
    (line,) = _lines(file)
    assert line["reason"] == "y" * logs.MAX_TEXT
    assert line["dropped_fields"] == 3


def test_a_value_cannot_start_a_line_of_its_own(file: Path):
    logs.event("x", reason='\n{"event":"forged"}')
    assert len(_lines(file)) == 1


def test_our_errors_are_explained_and_others_only_placed(file: Path):
    try:
        raise ValueError("income of customer 4711")
    except ValueError as error:
        logs.failure("call.failed", error, method="List")
    logs.failure("call.refused", ExchangeError("what", blame="who", remedy="how"))
    foreign, own = _lines(file)
    assert foreign["error"] == "ValueError"
    assert str(foreign["where"]).startswith(__name__)
    assert "4711" not in file.read_text()
    assert (own["reason"], own["blame"], own["remedy"]) == ("what", "who", "how")


def test_without_a_file_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]):
    logs.configure("coordinator")
    logs.event("started", subject="canary")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["dropped_fields"] == 1


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="can't be written"):
        logs.configure("node", tmp_path / "file" / "node.log")
