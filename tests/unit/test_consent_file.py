"""Consent tables: every mistake by its row's number, never by its subject; several sources, the same rows."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from consortia_node.consent_import import ConsentRow, Findings
from consortia_node.errors import SourceError
from consortia_node.sources import consent_rows
from consortia_node.sources.consent_file import read_file
from consortia_node.sources.consent_rows import rows_of

HEADER = "subject,purpose,state,effective_at,valid_until,notice"
GOOD = "SECRET-7,risk,given,2024-01-01,,n@1"


def csv(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "consents.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def rows(path: Path, findings: Findings | None = None) -> list[ConsentRow]:
    return rows_of(read_file(path), path.name, Findings() if findings is None else findings)


def test_csv_and_parquet_give_the_same_rows(tmp_path: Path) -> None:
    start, end = datetime(2024, 1, 1, tzinfo=UTC), datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
    expected = ConsentRow("12", "risk", "given", 1_704_067_200_000, 1_777_863_721_000, "n@1")
    table = {
        "subject": [12],
        "purpose": ["risk"],
        "state": ["given"],
        "effective_at": [start],
        "valid_until": [end],
        "notice": ["n@1"],
    }
    pyarrow.parquet.write_table(pa.table(table), tmp_path / "consents.parquet")
    assert rows(tmp_path / "consents.parquet") == [expected]
    assert rows(csv(tmp_path, "12,risk,given,2024-01-01T08:00:00+08:00,2026-05-04 03:02:01,n@1")) == [expected]


def test_an_empty_valid_until_means_no_end_and_evidence_may_be_there(tmp_path: Path) -> None:
    assert rows(csv(tmp_path, GOOD))[0].valid_until_ms is None
    table: dict[str, Any] = {
        name: [value or None] for name, value in zip(HEADER.split(","), GOOD.split(","), strict=True)
    }
    pyarrow.parquet.write_table(pa.table(table | {"evidence": ["e" * 64]}), tmp_path / "consents.parquet")
    (row,) = rows(tmp_path / "consents.parquet")
    assert (row.valid_until_ms, row.evidence) == (None, "e" * 64)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("SECRET-8,risk,agreed,2024-01-01,,n@1", "row 2 has a state"),
        ("SECRET-8,Risk!,given,2024-01-01,,n@1", "row 2 has a purpose"),
        ("SECRET-8,risk,given,yesterday,,n@1", "row 2 has an effective_at"),
        ("SECRET-8,risk,given,,,n@1", "row 2 has an effective_at"),
        ("SECRET-8,risk,given,2024-01-01,never,n@1", "row 2 has a valid_until"),
        (",risk,given,2024-01-01,,n@1", "row 2 has no subject"),
        ("SECRET-8,risk,given,2024-01-01,,", "row 2 names no notice"),
        ("SECRET-8,risk,given,2024-01-01,,n1", "row 2 names no notice"),
        (f"{'S' * 129},risk,given,2024-01-01,,n@1", "row 2 has no subject"),
        ("SECRET-8,risk,given,9999-12-31T23:00:00-14:00,,n@1", ""),
    ],
)
def test_a_mistake_is_cited_by_row_and_never_by_subject(line: str, why: str, tmp_path: Path) -> None:
    findings = Findings()
    found = rows(csv(tmp_path, GOOD, line), findings)
    if not why:
        assert len(found) == 2
        return
    assert len(found) == findings.mistaken == 1
    assert findings.mistakes[0].startswith(why)
    assert "SECRET" not in findings.mistakes[0]


def test_many_mistakes_are_counted_and_ten_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consent_rows, "BATCH_ROWS", 7)
    findings = Findings()
    lines = [GOOD if number % 2 else "SECRET-8,risk,maybe,2024-01-01,,n@1" for number in range(40)]
    assert len(rows(csv(tmp_path, *lines), findings)) == 20
    assert (findings.mistaken, len(findings.mistakes)) == (20, 10)
    assert [text.split()[1] for text in findings.mistakes] == [str(number) for number in range(1, 21, 2)]


@pytest.mark.parametrize(
    ("header", "line"),
    [
        (HEADER.replace(",notice", ""), "1,risk,given,2024-01-01,"),
        (HEADER + ",except_bank", GOOD + ",bank-b"),
        (HEADER + ",notice", GOOD + ",n@2"),
    ],
)
def test_other_columns_are_refused(header: str, line: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="columns must be exactly"):
        rows(csv(tmp_path, line, header=header))


def test_what_is_no_table_is_refused_without_quoting_it(tmp_path: Path) -> None:
    broken = tmp_path / "consents.parquet"
    broken.write_bytes(b"SECRET" * 100)
    for path in (broken, tmp_path / "absent.csv"):
        with pytest.raises(SourceError) as refused:
            rows(path)
        assert "SECRET" not in str(refused.value)
    pyarrow.parquet.write_table(pa.table({name: [1.5] for name in HEADER.split(",")}), broken)
    with pytest.raises(SourceError, match="has type double"):
        rows(broken)
