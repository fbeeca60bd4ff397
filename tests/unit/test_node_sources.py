"""Datasets become cohorts of consenting subjects only, or errors that name no value and no customer."""

import stat
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from consortia_node.config import ColumnSettings, DatasetSettings
from consortia_node.errors import SourceError
from consortia_node.sources.cohort import read_matrix, read_subjects
from consortia_node.sources.duckdb_source import describe, subjects, write_cohort

COLUMNS = {
    "limit": ColumnSettings(type="number", low=0, high=1000),
    "group": ColumnSettings(type="category"),
    "bad": ColumnSettings(type="label"),
}
TABLE = {"id": [30, 4, 100, 7], "limit": [3.5, 4.0, 1.0, 7.0], "group": [1, 2, 2, 3], "bad": [0, 1, 0, 1]}


def dataset(path: Path, columns: dict[str, ColumnSettings] = COLUMNS, subject: str = "id") -> DatasetSettings:
    return DatasetSettings.model_construct(name="clients", path=path, subject=subject, columns=columns)


def parquet(folder: Path, **changes: Any) -> DatasetSettings:
    path = folder / "clients.parquet"
    pyarrow.parquet.write_table(pa.table(TABLE | changes), path)
    return dataset(path)


def allowed(*names: str) -> pa.Array:
    return pa.array(names, pa.string())


def test_a_cohort_holds_only_rows_with_consent_in_order_of_subject(tmp_path: Path) -> None:
    out = tmp_path / "cohort.parquet"
    cohort = write_cohort(parquet(tmp_path), ["bad", "limit"], allowed("4", "30", "100", "555"), out)
    assert (cohort.rows_used, cohort.rows_left_out) == (3, 1)
    assert cohort.members.tolist() == [0, 1, 2]
    assert pyarrow.parquet.read_schema(out).names == ["bad", "limit"]
    np.testing.assert_array_equal(read_matrix(out, ["limit", "bad"]), [[1, 0], [3.5, 0], [4, 1]])
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_the_subject_is_in_the_file_only_on_request(tmp_path: Path) -> None:
    source, out = parquet(tmp_path), tmp_path / "cohort.parquet"
    write_cohort(source, ["limit"], allowed("4", "7"), out)
    with pytest.raises(SourceError):
        read_subjects(out)
    write_cohort(source, ["limit"], allowed("4", "7"), out, keep_subject=True)
    assert read_subjects(out) == ["4", "7"]


def test_nobody_has_consented(tmp_path: Path) -> None:
    cohort = write_cohort(parquet(tmp_path), ["limit"], allowed(), tmp_path / "cohort.parquet")
    assert (cohort.rows_used, cohort.rows_left_out, len(cohort.members)) == (0, 4, 0)
    assert read_matrix(tmp_path / "cohort.parquet", ["limit"]).shape == (0, 1)


def test_several_rows_of_one_subject(tmp_path: Path) -> None:
    cohort = write_cohort(parquet(tmp_path, id=[4, 4, 4, 7]), ["limit"], allowed("4"), tmp_path / "cohort.parquet")
    assert (cohort.rows_used, cohort.rows_left_out, len(cohort.members)) == (3, 1, 1)


def test_on_another_basis_everybody_s_rows_are_written_and_those_on_record_noted(tmp_path: Path) -> None:
    out = tmp_path / "cohort.parquet"
    cohort = write_cohort(parquet(tmp_path), ["limit"], allowed("555", "4"), out, everybody=True)
    assert (cohort.rows_used, cohort.rows_left_out, cohort.members.tolist()) == (4, 0, [1])
    assert read_matrix(out, ["limit"]).shape == (4, 1)


@pytest.mark.parametrize("suffix", [".csv", ".duckdb"])
def test_csv_and_duckdb_files_read_as_parquet_does(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clients{suffix}"
    if suffix == ".csv":
        pyarrow.csv.write_csv(pa.table(TABLE), path)
    else:
        with duckdb.connect(str(path)) as engine:
            engine.from_arrow(pa.table(TABLE)).create("clients")
    source = dataset(path)
    cohort = write_cohort(source, ["group"], allowed("7", "100"), tmp_path / "cohort.parquet")
    assert (cohort.rows_used, cohort.rows_left_out) == (2, 2)
    assert subjects(source).to_pylist() == ["100", "30", "4", "7"]
    size = describe(source)
    assert (size.rows, size.subjects) == (4, 4)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"limit": [3.5, None, 1.0, 7.0]}, "limit has 1 rows whose value is missing"),
        ({"limit": [3.5, float("nan"), float("inf"), 7.0]}, "limit has 2 rows whose value is missing"),
        ({"limit": [3.5, 1000.5, 1.0, -1.0]}, "limit has 1 rows whose value lies outside"),
        ({"limit": ["a", "b", "c", "d"]}, "limit holds no numbers"),
        ({"group": [1, 2.5, 2, 3]}, "group has 1 rows whose value is not a whole number"),
        ({"bad": [0, 0, 2, 1]}, "bad has 1 rows whose value is neither 0 nor 1"),
        ({"id": [1.0, 2.0, 3.0, 4.0]}, "subject column id is neither"),
    ],
)
def test_unfit_values_are_counted_and_not_shown(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    out = tmp_path / "cohort.parquet"
    with pytest.raises(SourceError, match=why) as refused:
        write_cohort(parquet(tmp_path, **changes), list(COLUMNS), allowed("30", "4", "100"), out)
    assert "1000.5" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert not out.exists()


def test_unfit_values_of_rows_without_consent_are_none_of_our_business(tmp_path: Path) -> None:
    source = parquet(tmp_path, limit=[None, 4.0, 1.0, 7.0])
    assert write_cohort(source, ["limit"], allowed("4", "7"), tmp_path / "cohort.parquet").rows_used == 2


def test_a_missing_file_a_missing_column_and_a_broken_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        describe(dataset(tmp_path / "nowhere.parquet"))
    source = parquet(tmp_path)
    with pytest.raises(SourceError, match="has no column age"):
        describe(dataset(source.path, {"age": ColumnSettings(type="number")}))
    with pytest.raises(SourceError, match="does not offer its column id"):
        write_cohort(source, ["id"], allowed("4"), tmp_path / "cohort.parquet")
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(source.path.read_bytes()[:-40])
    with pytest.raises(SourceError, match="can't be read"):
        describe(dataset(broken))


def test_a_column_name_is_never_read_as_sql(tmp_path: Path) -> None:
    name = 'x" FROM clients; DROP TABLE clients; --'
    with pytest.raises(SourceError, match="no column"):
        write_cohort(parquet(tmp_path), [name], allowed("4"), tmp_path / "cohort.parquet")
