"""Consent tables: read whole or refused whole, with the row's number and never its subject."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from consortia_node.errors import SourceError
from consortia_node.sources.consent_file import BATCH_ROWS, ConsentRow, read_consents

HEADER = "subject,purpose,state,effective_at,valid_until,notice"
GOOD = "SECRET-7,risk,given,2024-01-01,,n1"


def csv(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "consents.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def rows(path: Path) -> list[ConsentRow]:
    return [row for batch in read_consents(path) for row in batch]


def test_csv_and_parquet_give_the_same_rows(tmp_path: Path) -> None:
    start, end = datetime(2024, 1, 1, tzinfo=UTC), datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
    expected = ConsentRow("12", "risk", "given", 1_704_067_200_000, 1_777_863_721_000, "n1")
    table = {
        "subject": [12],
        "purpose": ["risk"],
        "state": ["given"],
        "effective_at": [start],
        "valid_until": [end],
        "notice": ["n1"],
    }
    pyarrow.parquet.write_table(pa.table(table), tmp_path / "consents.parquet")
    assert rows(tmp_path / "consents.parquet") == [expected]
    assert rows(csv(tmp_path, "12,risk,given,2024-01-01T08:00:00+08:00,2026-05-04 03:02:01,n1")) == [expected]


def test_an_empty_valid_until_means_no_end(tmp_path: Path) -> None:
    assert rows(csv(tmp_path, GOOD))[0].valid_until_ms is None
    table: dict[str, Any] = {
        name: [value or None] for name, value in zip(HEADER.split(","), GOOD.split(","), strict=True)
    }
    pyarrow.parquet.write_table(pa.table(table), tmp_path / "consents.parquet")
    assert rows(tmp_path / "consents.parquet")[0].valid_until_ms is None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("SECRET-8,risk,agreed,2024-01-01,,n1", "row 2 has a state"),
        ("SECRET-7,risk,refused,2024-01-01,,n1", "row 2 repeats"),
        ("SECRET-8,Risk!,given,2024-01-01,,n1", "row 2 has a purpose"),
        ("SECRET-8,risk,given,yesterday,,n1", "in row 2 effective_at"),
        ("SECRET-8,risk,given,,,n1", "in row 2 effective_at"),
        ("SECRET-8,risk,given,2024-01-01,2024-13-01,n1", "in row 2 valid_until"),
        (",risk,given,2024-01-01,,n1", "row 2 has no subject"),
        ("SECRET-8,risk,given,2024-01-01,,", "row 2 names no notice"),
        ("SECRET-8,risk,given,2024-01-01,,n1,more", "can't be read"),
    ],
)
def test_a_mistake_refuses_the_table_by_row_and_without_the_subject(tmp_path: Path, line: str, why: str) -> None:
    with pytest.raises(SourceError, match=why) as refused:
        rows(csv(tmp_path, GOOD, line))
    assert "SECRET" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_the_same_subject_in_a_later_batch_is_found(tmp_path: Path) -> None:
    many = [f"{i},risk,given,2024-01-01,,n1" for i in range(BATCH_ROWS)]
    with pytest.raises(SourceError, match=f"row {BATCH_ROWS + 1} repeats"):
        rows(csv(tmp_path, *many, many[3]))


def test_columns_must_be_exactly_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="columns must be exactly"):
        rows(csv(tmp_path, GOOD + ",marketing", header=HEADER + ",scope"))
    with pytest.raises(SourceError, match="columns must be exactly"):
        rows(csv(tmp_path, GOOD.removesuffix(",n1"), header=HEADER.removesuffix(",notice")))


def test_files_that_are_no_table(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        rows(tmp_path / "consents.parquet")
    (tmp_path / "consents.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(SourceError, match="can't be read"):
        rows(tmp_path / "consents.parquet")
    (tmp_path / "latin.csv").write_bytes((HEADER + "\n").encode() + GOOD.replace("n1", "é").encode("latin-1"))
    with pytest.raises(SourceError, match="can't be read"):
        rows(tmp_path / "latin.csv")


def test_numbers_with_a_fraction_are_no_subjects(tmp_path: Path) -> None:
    table: dict[str, Any] = {name: [value] for name, value in zip(HEADER.split(","), GOOD.split(","), strict=True)}
    pyarrow.parquet.write_table(pa.table(table | {"subject": [1.5]}), tmp_path / "consents.parquet")
    with pytest.raises(SourceError, match="column subject has type double"):
        rows(tmp_path / "consents.parquet")
