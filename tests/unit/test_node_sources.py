"""Datasets become cohorts of consenting subjects only, or errors that name no value and no customer."""

import os
import stat
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from consortia_node.datasets import ColumnSettings
from consortia_node.errors import SourceError
from consortia_node.sources.duckdb_engine import Engine, Frame
from consortia_node.sources.forming import Formed, Known, form
from consortia_node.sources.places import SUBJECT, Cohort
from consortia_node.sources.scans import Scans
from tests.support.tables import COLUMNS, TABLE, allowed, cohort, dataset, formed, parquet, write

WAYS = pytest.mark.parametrize("copy", [False, True])


def collected(frame: Frame) -> dict[str, list[Any]]:
    table: pa.Table = frame.collect("pyarrow").to_native()
    return dict(table.to_pydict())


def rows(place: Cohort, *columns: str) -> dict[str, list[Any]]:
    with Scans({"clients": place}) as scans:
        return collected(scans.frame("clients", columns).sort(*columns))


def read(place: Cohort, *names: str) -> None:
    formed(place, *names)
    rows(place, *place.columns)


def counts(found: Formed) -> tuple[int, int, list[int]]:
    return found.rows_used, found.rows_left_out, found.members.tolist()


@WAYS
def test_a_cohort_holds_only_rows_with_consent(tmp_path: Path, copy: bool) -> None:
    place = cohort(parquet(tmp_path), tmp_path, "bad", "limit", copy=copy)
    assert counts(formed(place, "4", "30", "100", "555")) == (3, 1, [0, 1, 2])
    assert rows(place, "limit", "bad") == {"limit": [1.0, 3.5, 4.0], "bad": [False, False, True]}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in place.files)


def test_a_copy_is_in_order_of_subject_and_gives_a_matrix(tmp_path: Path) -> None:
    place = cohort(parquet(tmp_path), tmp_path, "bad", "limit", copy=True)
    formed(place, "4", "30", "100")
    assert place.rows
    assert pyarrow.parquet.read_schema(place.rows).names == ["bad", "limit"]
    with Scans({"clients": place}) as scans:
        np.testing.assert_array_equal(scans.matrix("clients", ["limit", "bad"]), [[1, 0], [3.5, 0], [4, 1]])


@WAYS
def test_the_customer_number_is_there_only_on_request(tmp_path: Path, copy: bool) -> None:
    place = cohort(parquet(tmp_path), tmp_path, "limit", copy=copy, named=True)
    formed(place, "4", "7")
    with Scans({"clients": place}) as scans:
        assert sorted(collected(scans.frame("clients", ["limit"]))[SUBJECT]) == ["4", "7"]
    unnamed = cohort(parquet(tmp_path), tmp_path, "limit", copy=copy)
    formed(unnamed, "4", "7")
    with Scans({"clients": unnamed}) as scans:
        assert collected(scans.frame("clients", ["limit"])).keys() == {"limit"}
        with pytest.raises(SourceError):
            scans.subjects("clients")


@WAYS
def test_nobody_has_consented(tmp_path: Path, copy: bool) -> None:
    place = cohort(parquet(tmp_path), tmp_path, "limit", copy=copy)
    assert counts(formed(place)) == (0, 4, [])
    assert rows(place, "limit") == {"limit": []}


@WAYS
def test_an_empty_table(tmp_path: Path, copy: bool) -> None:
    empty = pa.table(TABLE).slice(0, 0)
    place = cohort(dataset(write(tmp_path, "parquet", empty)), tmp_path, *COLUMNS, copy=copy)
    assert counts(formed(place, "4")) == (0, 0, [])
    assert rows(place, *COLUMNS) == {"limit": [], "group": [], "bad": []}


def test_several_rows_of_one_customer_are_used_unless_datasets_toml_forbids_it(tmp_path: Path) -> None:
    source = parquet(tmp_path, id=[4, 4, 4, 7])
    assert counts(formed(cohort(source, tmp_path, "limit"), "4")) == (3, 1, [0])
    single = source.model_copy(update={"one_row_each": True})
    with pytest.raises(SourceError, match="1 customers have more than one row"):
        formed(cohort(single, tmp_path, "limit"), "4")
    assert counts(formed(cohort(single, tmp_path, "limit"), "7")) == (1, 3, [0])


@WAYS
def test_on_another_basis_everybody_s_rows_are_used_and_those_on_record_noted(tmp_path: Path, copy: bool) -> None:
    place = cohort(parquet(tmp_path, id=[30, 4, None, 7]), tmp_path, "limit", copy=copy, everybody=True)
    assert counts(formed(place, "555", "4")) == (4, 0, [1])
    assert len(rows(place, "limit")["limit"]) == 4


@WAYS
@pytest.mark.parametrize("form", ["csv", "duckdb", "folder"])
def test_other_files_read_as_parquet_does(tmp_path: Path, form: str, copy: bool) -> None:
    source = dataset(write(tmp_path, form, pa.table(TABLE)))
    place = cohort(source, tmp_path, *COLUMNS, copy=copy)
    assert counts(formed(place, "7", "100")) == (2, 2, [0, 1])
    assert rows(place, *COLUMNS) == {"limit": [1.0, 7.0], "group": [2, 3], "bad": [False, True]}


def test_a_folder_s_partitions_are_columns(tmp_path: Path) -> None:
    source = dataset(write(tmp_path, "folder", pa.table(TABLE)), {"year": ColumnSettings(type="integer")})
    place = cohort(source, tmp_path, "year")
    formed(place, "30", "7")
    assert rows(place, "year") == {"year": [2025, 2026]}


def test_customer_numbers_in_csv_keep_their_zeros(tmp_path: Path) -> None:
    source = dataset(write(tmp_path, "csv", pa.table(TABLE | {"id": ["007", "7", "0", "1"]})))
    assert counts(formed(cohort(source, tmp_path, "limit"), "007")) == (1, 3, [0])


def test_types_are_kept(tmp_path: Path) -> None:
    columns = {
        "whole": ColumnSettings(type="integer"),
        "real": ColumnSettings(type="number"),
        "word": ColumnSettings(type="category"),
        "code": ColumnSettings(type="category"),
        "flag": ColumnSettings(type="boolean"),
        "day": ColumnSettings(type="date", role="time"),
    }
    days = pa.array([0, 86_400_000], pa.timestamp("ms"))
    table = {"whole": pa.array([1, None], pa.int16()), "real": pa.array([1.5, float("nan")], pa.float32())}
    table |= {"word": pa.array(["a", "b"]).dictionary_encode(), "code": [1, 2], "flag": [True, None], "day": days}
    place = cohort(
        dataset(write(tmp_path, "parquet", pa.table({"id": ["x", "y"], **table})), columns), tmp_path, *columns
    )
    formed(place, "x", "y")
    with Scans({"clients": place}) as scans:
        frame = scans.frame("clients", list(columns))
        assert list(frame.collect_schema().dtypes()) == [
            nw.Int64(), nw.Float64(), nw.String(), nw.Int64(), nw.Boolean(), nw.Date(),
        ]  # fmt: skip
        nulls = collected(frame.select(nw.all().null_count()))
        assert {name for name, (count,) in nulls.items() if count} == {"whole", "real", "flag"}


UNFIT: list[tuple[dict[str, Any], str]] = [
    ({"limit": [3.5, float("nan"), float("inf"), 7.0]}, "limit has 1 rows whose value is infinite"),
    ({"limit": [3.5, 1000.5, 1.0, -1.0]}, "limit has 1 rows whose value lies outside the range in datasets.toml"),
    ({"bad": [0, 0, 2, 1]}, "bad has 1 rows whose value is neither 0 nor 1"),
]
MISTYPED: list[tuple[dict[str, Any], str]] = [
    ({"limit": ["a", "b", "c", "d"]}, "limit does not hold numbers"),
    ({"group": [1, 2.5, 2, 3]}, "group does not hold text or whole numbers"),
    ({"group": ["a", "b", "c", "d"]}, "group holds no whole numbers, as its declared values are"),
    ({"bad": ["yes", "no", "no", "no"]}, "bad does not hold truth values, 0 or 1"),
    ({"id": [1.0, 2.0, 3.0, 4.0]}, "customer number id is neither"),
]


@WAYS
@pytest.mark.parametrize(("changes", "why"), UNFIT + MISTYPED)
def test_unfit_values_are_counted_and_not_shown(
    tmp_path: Path, changes: dict[str, Any], why: str, copy: bool
) -> None:
    place = cohort(parquet(tmp_path, **changes), tmp_path, *COLUMNS, copy=copy)
    with pytest.raises(SourceError, match=why) as refused:
        read(place, "30", "4", "100")
    assert "1000.5" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert not (copy or (changes, why) in MISTYPED) or not any(path.exists() for path in place.files)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"limit": ["3.5", "many", "1", "7"]}, "limit has 1 rows whose value is not of the type"),
        ({"limit": ["3.5", "inf", "1", "7"]}, "limit has 1 rows whose value is infinite"),
        ({"limit": ["3.5", "4000", "1", "7"]}, "limit has 1 rows whose value lies outside"),
        ({"group": ["1", "x", "2.5", "3"]}, "group has 1 rows whose value is not of the type"),
        ({"bad": ["0", "7", "maybe", "1"]}, "bad has 1 rows whose value is not of the type"),
    ],
)
def test_unfit_values_in_csv(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    place = cohort(dataset(write(tmp_path, "csv", pa.table(TABLE | changes))), tmp_path, *COLUMNS)
    formed(place, "30", "4")
    with pytest.raises(SourceError, match=why):
        rows(place, *COLUMNS)


@WAYS
def test_unfit_values_of_rows_without_consent_are_none_of_our_business(tmp_path: Path, copy: bool) -> None:
    place = cohort(parquet(tmp_path, limit=[-5.0, 4.0, 1.0, 7.0]), tmp_path, "limit", copy=copy)
    assert formed(place, "4", "7").rows_used == 2
    assert rows(place, "limit") == {"limit": [4.0, 7.0]}


@WAYS
def test_not_a_number_is_no_value_whatever_the_file_s_statistics_say(tmp_path: Path, copy: bool) -> None:
    place = cohort(parquet(tmp_path, limit=[5.0, float("nan"), 1.0, 7.0]), tmp_path, "limit", copy=copy)
    formed(place, "30", "4")
    with Scans({"clients": place}) as scans:
        found = scans.frame("clients", ["limit"])
        assert collected(found.select(nw.col("limit").null_count(), n=nw.len())) == {"limit": [1], "n": [2]}


def test_a_column_that_is_not_asked_for_is_not_looked_at(tmp_path: Path) -> None:
    place = cohort(parquet(tmp_path, limit=[-5.0, 4.0, 1.0, 7.0]), tmp_path, *COLUMNS)
    formed(place, "30", "4")
    assert rows(place, "group") == {"group": [1, 2]}


def test_a_matrix_needs_a_number_in_every_place(tmp_path: Path) -> None:
    place = cohort(parquet(tmp_path, limit=[None, 4.0, 1.0, 7.0]), tmp_path, "limit", copy=True)
    formed(place, "30", "4")
    with Scans({"clients": place}) as scans, pytest.raises(SourceError, match="limit has 1 rows without a value"):
        scans.matrix("clients", ["limit"])
    words = cohort(
        dataset(parquet(tmp_path, group=list("abcd")).path or tmp_path, {"group": ColumnSettings(type="category")}),
        tmp_path,
        "group",
        copy=True,
    )
    formed(words, "30", "4")
    with Scans({"clients": words}) as scans, pytest.raises(SourceError, match="group holds no numbers"):
        scans.matrix("clients", ["group"])


def test_a_missing_file_a_missing_column_and_a_broken_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        cohort(dataset(tmp_path / "nowhere.parquet"), tmp_path)
    source = parquet(tmp_path)
    assert source.path
    with pytest.raises(SourceError, match="has no column age"):
        formed(cohort(dataset(source.path, {"age": ColumnSettings(type="number")}), tmp_path, "age"), "4")
    with pytest.raises(SourceError, match="does not offer its column id"):
        formed(cohort(source, tmp_path, "id"), "4")
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(source.path.read_bytes()[:-40])
    with pytest.raises(SourceError, match="can't be read"):
        formed(cohort(dataset(broken), tmp_path, "limit"), "4")


def test_a_source_that_changes_or_vanishes_in_mid_job_is_refused(tmp_path: Path) -> None:
    source = parquet(tmp_path)
    assert source.path
    place = cohort(source, tmp_path, "limit")
    formed(place, "4", "7")
    assert rows(place, "limit") == {"limit": [4.0, 7.0]}
    scans = Scans({"clients": place})
    scans.frame("clients", ["limit"]).collect()
    os.utime(source.path, ns=(0, 0))
    with pytest.raises(SourceError, match="changed while a job read it"):
        scans.__exit__(None, None, None)
    with pytest.raises(SourceError, match="changed while a job read it"):
        rows(place, "limit")
    source.path.unlink()
    with pytest.raises(SourceError, match="does not exist"):
        rows(place, "limit")


def test_customers_are_counted_once_for_as_long_as_the_source_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanned: list[Frame] = []
    honest = Engine.collect
    monkeypatch.setattr(Engine, "collect", lambda self, frame: scanned.append(frame) or honest(self, frame))
    known, source = Known(), parquet(tmp_path)
    place = cohort(source, tmp_path, "limit")
    assert counts(form(place, allowed("4", "7"), known)) == (2, 2, [0, 1])
    assert counts(form(place, allowed("30"), known)) == (1, 3, [0])
    assert len(scanned) == 1
    with pytest.raises(SourceError, match="does not offer"):
        form(cohort(source, tmp_path, "id"), allowed("30"), known)
    changed = cohort(parquet(tmp_path, id=[4, 5, 6, 7]), tmp_path, "limit")
    assert counts(form(changed, allowed("5", "30"), known)) == (1, 3, [0])
    assert len(scanned) == 2
    few = Known(most=100)
    for _ in range(2):
        form(changed, allowed("5"), few)
    assert len(scanned) == 4


def test_a_column_name_is_never_read_as_sql(tmp_path: Path) -> None:
    name = 'x" FROM clients; DROP TABLE clients; --'
    with pytest.raises(SourceError, match="does not offer"):
        formed(cohort(parquet(tmp_path), tmp_path, name), "4")


def test_a_path_is_never_read_as_sql(tmp_path: Path) -> None:
    path = write(tmp_path, "duckdb", pa.table(TABLE))
    odd = path.rename(tmp_path / "it's; x.duckdb")
    assert formed(cohort(dataset(odd), tmp_path, "limit"), "4").rows_used == 1
