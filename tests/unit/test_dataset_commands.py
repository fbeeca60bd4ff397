"""``consortia dataset`` as whoever runs a node uses it: a draft that can be loaded, faults found in counts."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from consortia_crypto.errors import ConsortiaError
from consortia_node import datasets, enrolment
from consortia_node.cli_dataset import dataset
from consortia_node.errors import SourceError
from tests.support.tables import TABLE, write

ROWS = 40
GOOD = {
    "id": [f"C-{number}" for number in range(ROWS)],
    "income": [100.5 + number for number in range(ROWS)],
    "cards": [number % 4 for number in range(ROWS)],
    "region": ["north" if number % 2 else "south" for number in range(ROWS - 1)] + ["a-rare-place"],
    "late": [number % 2 for number in range(ROWS)],
    "said": [f"words-{number}" for number in range(ROWS)],
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    enrolment.create(tmp_path / "node", "bank-a")
    return tmp_path / "node"


def ran(home: Path, *words: str | Path) -> Result:
    return CliRunner().invoke(dataset, [*map(str, words), "--config", str(home / "node.toml")])


def added(home: Path, **changes: Any) -> Path:
    table = home / "data" / "clients.parquet"
    pq.write_table(pa.table(GOOD | changes), table)
    result = ran(home, "add", "clients", table, "--id", "id")
    assert result.exit_code == 0, result.output
    return home / "datasets.toml"


def findings(home: Path) -> tuple[int, set[tuple[str, str, bool]]]:
    result = ran(home, "check", "--json")
    (report,) = json.loads(result.stdout)
    return result.exit_code, {(item["column"], item["what"], item["fault"]) for item in report["findings"]}


def test_a_draft_can_be_loaded_and_holds_nothing_that_few_rows_have(home: Path) -> None:
    (found,) = datasets.load(added(home))
    assert {name: column.type for name, column in found.offered.items()} == {
        "income": "number", "cards": "integer", "region": "category", "late": "boolean",
    }  # fmt: skip
    assert found.columns["region"].values == ("north", "south")
    text = (home / "datasets.toml").read_text()
    assert "a-rare-place" not in text
    assert "words-1" not in text
    assert "100.5" not in text
    assert (home / "datasets.toml").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("form", ["csv", "duckdb", "folder"])
def test_other_files_can_be_drafted_too(home: Path, form: str) -> None:
    source = write(home / "data", form, pa.table(TABLE))
    result = ran(home, "add", "clients", source, "--id", "id")
    assert result.exit_code == 0, result.output
    (found,) = datasets.load(home / "datasets.toml")
    assert found.columns["id"].type == ("text" if form == "csv" else "integer")
    assert found.columns["bad"].type == "boolean"
    assert ran(home, "check").exit_code == 0


def test_what_can_t_be_drafted_is_refused(home: Path) -> None:
    added(home)
    for words, why in (
        (("add", "clients", home / "data" / "clients.parquet", "--id", "id"), "described already"),
        (("add", "more", home / "data" / "clients.parquet", "--id", "nope"), "has no column nope"),
        (("add", "more", home / "nowhere.csv", "--id", "id"), "does not exist"),
        (("describe", "more"), "describes no dataset more"),
    ):
        refused = ran(home, *words).exception
        assert isinstance(refused, SourceError), words
        assert why in refused.what


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("empty", "id,income\n", "no column that could be offered"),
        ("semicolons", "id;income\nA;1,5\n", "no column that could be offered"),
        ("Capital", "id,income\nA,1\n", "name"),
        ("blanks", "id,a b\nA,1\n", "no column that could be offered"),
    ],
)
def test_what_would_not_be_read_again_is_never_written(home: Path, name: str, text: str, why: str) -> None:
    added(home)
    before = (home / "datasets.toml").read_text()
    (home / "data" / "t.csv").write_text(text)
    refused = ran(home, "add", name, home / "data" / "t.csv", "--id", "id").exception
    assert isinstance(refused, ConsortiaError)
    assert why in refused.what
    assert (home / "datasets.toml").read_text() == before
    assert [file.name for file in home.glob("datasets*")] == ["datasets.toml"]


def test_a_good_table_passes_with_notes(home: Path) -> None:
    added(home)
    code, found = findings(home)
    assert code == 0
    assert ("region", '1 rows whose category is not declared: they count as "other"', False) in found
    assert "✓ clients: 40 rows of 40 customers" in ran(home, "check").stdout


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"income": [float("inf")] * 2 + GOOD["income"][2:]}, ("income", "2 rows whose value is infinite", True)),
        ({"late": [5, *GOOD["late"][1:]]}, ("late", "1 rows whose value is neither 0 nor 1", True)),
        ({"income": ["odd"] * ROWS}, ("", "its column income does not hold numbers", True)),
        ({"cards": [None, *GOOD["cards"][1:]]}, ("cards", "1 rows without a value", False)),
        ({"cards": [3] * ROWS}, ("cards", "the same value in all rows", False)),
        ({"id": ["C-1", "C-1", None, *GOOD["id"][3:]]}, ("id", "1 customers have more than one row", True)),
        ({"id": [None, *GOOD["id"][1:]]}, ("id", "1 rows without a customer number", False)),
        (
            {name: pa.array(values).slice(0, 0) for name, values in GOOD.items()},
            ("", "the table has no rows", True),
        ),
    ],
)
def test_faults_are_found_before_a_job_meets_them(
    home: Path, changes: dict[str, Any], expected: tuple[str, str, bool]
) -> None:
    added(home)
    pq.write_table(pa.table(GOOD | changes), home / "data" / "clients.parquet")
    code, found = findings(home)
    column, what, is_fault = expected
    assert any((column, is_fault) == (c, f) and what in w for c, w, f in found), found
    assert code == int(is_fault)


def test_a_table_that_is_gone_or_torn_is_a_fault(home: Path) -> None:
    added(home)
    table = home / "data" / "clients.parquet"
    table.write_bytes(table.read_bytes()[:-100])
    assert "can't be read" in str(findings(home))
    table.unlink()
    code, found = findings(home)
    assert code == 1
    assert "its file does not exist" in str(found)


def test_a_profile_shows_gaps_and_ranges(home: Path) -> None:
    added(home, income=[float("nan"), *GOOD["income"][1:]])
    found = json.loads(ran(home, "describe", "clients", "--json").stdout)
    assert (found["rows"], found["customers"], found["repeated"]) == (40, 40, 0)
    income = next(column for column in found["columns"] if column["name"] == "income")
    assert (income["missing"], income["least"]) == (1, "101.5")
    shown = ran(home, "describe", "clients").stdout
    assert "101.5" in shown
