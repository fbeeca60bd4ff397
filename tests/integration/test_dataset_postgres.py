"""A dataset in PostgreSQL: the same cohort as from a file, and no error that quotes a row."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consortia_node.datasets import ColumnSettings, DatasetSettings
from consortia_node.errors import SourceError
from consortia_node.sources.places import Cohort
from consortia_node.sources.profile import passes, profile
from consortia_node.sources.scans import Scans
from tests.support import postgres
from tests.support.tables import COLUMNS, formed

pytest.importorskip("adbc_driver_postgresql", reason="the PostgreSQL driver is not installed")
TABLE = """
CREATE SCHEMA bank;
CREATE TABLE bank.clients
    (id bigint, "limit" numeric(12, 2), "group" smallint, bad boolean, opened date, note text);
INSERT INTO bank.clients VALUES
    (30, 3.5, 1, false, '2026-01-01', 'a'), (4, 4.0, 2, true, '2026-01-02', 'b'), (100, 1.0, 2, false, NULL, 'c'),
    (7, NULL, 3, true, '2026-01-03', 'd'), (8, 5000, 3, true, '2026-01-03', 'd');
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres.server(tmp_path_factory.mktemp("postgres"), TABLE) as found:
        yield found


def clients(address: str, table: str = "bank.clients") -> DatasetSettings:
    columns = {**COLUMNS, "opened": ColumnSettings(type="date")}
    return DatasetSettings(
        name="clients",
        postgresql=address,
        table=table,
        columns={"id": ColumnSettings(type="integer", role="id"), **columns},
    )


def place(dataset: DatasetSettings, folder: Path, *columns: str) -> Cohort:
    return Cohort(dataset, columns, folder / "rows.parquet", folder / "chosen.parquet")


def test_a_table_gives_the_rows_of_those_who_consented(address: str, tmp_path: Path) -> None:
    cohort = place(clients(address), tmp_path, *COLUMNS, "opened")
    found = formed(cohort, "100", "30", "7", "555")
    assert (found.rows_used, found.rows_left_out, found.members.tolist()) == (3, 2, [0, 1, 2])
    with Scans({"clients": cohort}) as scans:
        table = scans.frame("clients", ["limit", "bad", "group"]).sort("group", "limit").collect("pyarrow")
    assert table.to_native().to_pydict() == {
        "limit": [3.5, 1.0, None],
        "bad": [False, False, True],
        "group": [1, 2, 3],
    }


def test_values_that_break_the_declaration_are_refused_and_not_shown(address: str, tmp_path: Path) -> None:
    cohort = place(clients(address), tmp_path, "limit")
    with pytest.raises(SourceError) as refused:
        formed(cohort, "8")
    assert "5000" not in str(refused.value)
    assert not any(path.exists() for path in cohort.files)


def test_what_is_not_there_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"does not let a table bank\.nobody be read"):
        formed(place(clients(address, "bank.nobody"), tmp_path, "limit"), "8")
    short = clients(address).model_copy(
        update={"columns": {**clients(address).columns, "x": ColumnSettings(type="date")}}
    )
    with pytest.raises(SourceError, match="has no column x"):
        formed(place(short, tmp_path, "x"), "8")
    gone = clients("postgresql://bank@127.0.0.1:1/postgres")
    with pytest.raises(SourceError, match="server can't be reached"):
        formed(place(gone, tmp_path, "limit"), "8")


def test_its_owner_can_look_at_it(address: str) -> None:
    dataset = clients(address)
    with passes(dataset) as open_:
        found = profile(dataset, open_)
    assert (found.rows, found.customers, found.repeated, found.nameless) == (5, 5, 0, 0)
    assert {column.name: (column.missing, column.distinct) for column in found.columns} == {
        "limit": (1, 4), "group": (0, 3), "bad": (0, 2), "opened": (1, 3), "note": (0, 4),
    }  # fmt: skip
