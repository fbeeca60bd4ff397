"""A cohort's filter chooses the rows of its customers, and no others, whatever else a query asks for."""

from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
import pytest

from consortia_node.datasets import ColumnSettings
from consortia_node.sources import duckdb_filter
from consortia_node.sources.duckdb_engine import Engine
from consortia_node.sources.forming import Known, form
from consortia_node.sources.places import Cohort
from consortia_node.sources.scans import Scans
from tests.support.tables import allowed, cohort, dataset, formed, parquet

ROWS, CUSTOMERS = 150_000, 400
"""More than two stretches of rows in a file, in groups of a few thousand."""
COLUMNS = {"amount": ColumnSettings(type="integer"), "year": ColumnSettings(type="integer")}
NAMES = [str(number) for number in range(CUSTOMERS) if number % 7 != 3]


def table(year: int) -> pa.Table:
    """In order of amount, so that the groups of rows that a condition on it needs are few."""
    numbers = np.random.default_rng(year).integers(0, CUSTOMERS, ROWS)
    return pa.table({"id": numbers, "amount": np.arange(ROWS), "year": np.full(ROWS, year)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three years, each in a partition of its own."""
    root = tmp_path_factory.mktemp("years")
    for year in (2024, 2025, 2026):
        part = root / "clients.folder" / f"year={year}"
        part.mkdir(parents=True)
        pyarrow.parquet.write_table(table(year).drop(["year"]), part / "part.parquet", row_group_size=5_000)
    return root


def expected(where: Any) -> list[tuple[int, int]]:
    """Year and amount of the chosen customers' rows for which ``where`` holds, by pyarrow."""
    everything = pa.concat_tables(map(table, (2024, 2025, 2026))).filter(where)
    chosen = everything.filter(pc.is_in(everything["id"], pa.array(map(int, NAMES))))
    return sorted(zip(chosen["year"].to_pylist(), chosen["amount"].to_pylist(), strict=True))


def read(place: Cohort, where: nw.Expr, *columns: str) -> pa.Table:
    with Scans({"clients": place}) as scans:
        rows: pa.Table = scans.frame("clients", columns).filter(where).collect("pyarrow").to_native()
    return rows


def found(place: Cohort, where: nw.Expr) -> list[tuple[int, int]]:
    rows = read(place, where, "amount", "year")
    return sorted(zip(rows["year"].to_pylist(), rows["amount"].to_pylist(), strict=True))


@pytest.mark.parametrize("year", [2024, 2025, 2026])
def test_files_and_groups_of_rows_left_out_by_a_query_shift_no_bit(folder: Path, tmp_path: Path, year: int) -> None:
    place = cohort(dataset(folder / "clients.folder", COLUMNS), tmp_path, "amount", "year")
    formed(place, *NAMES)
    assert found(place, nw.col("year") == year) == expected(pc.field("year") == year)
    late = (pc.field("amount") > 70_000) & (pc.field("amount") < 72_000) & (pc.field("year") >= year)
    assert found(place, nw.col("amount").is_between(70_001, 71_999) & (nw.col("year") >= year)) == expected(late)


def test_both_ways_choose_the_same_rows(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = cohort(dataset(folder / "clients.folder", COLUMNS), tmp_path, "amount", "year")
    by_bits = formed(place, *NAMES)
    rows = found(place, nw.col("amount") >= 0)
    assert len(rows) == by_bits.rows_used
    monkeypatch.setattr(duckdb_filter, "has_numbers", lambda _: False)
    by_customer = formed(place, *NAMES)
    assert (by_customer.rows_used, by_customer.rows_left_out) == (by_bits.rows_used, by_bits.rows_left_out)
    assert found(place, nw.col("amount") >= 0) == rows


@pytest.mark.parametrize("name", ["file_row_number", "filename", "FileName"])
def test_a_column_named_like_the_engine_s_numbers_misleads_nobody(tmp_path: Path, name: str) -> None:
    source = parquet(tmp_path, **{name: [1, 0, 3, 2]})
    place = cohort(source, tmp_path, "limit")
    formed(place, "30", "100")
    assert sorted(read(place, nw.col("limit") >= 0, "limit")["limit"].to_pylist()) == [1.0, 3.5]


def test_rows_are_looked_up_once_for_the_same_customers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[list[str]] = []
    honest = Engine.filter

    def looking(self: Engine, customers: pa.Table) -> pa.Table:
        looked.append(customers["id"].to_pylist())
        return honest(self, customers)

    monkeypatch.setattr(Engine, "filter", looking)
    place, known = cohort(parquet(tmp_path), tmp_path, "limit"), Known()
    for names in (["4", "7"], ["7", "4", "555"], ["4"]):
        form(place, allowed(*names), known)
    assert [sorted(ids) for ids in looked] == [[4, 7], [4]]
