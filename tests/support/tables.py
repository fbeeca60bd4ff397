"""A made-up table in a file, what datasets.toml would say of it, and a cohort of it as the node forms one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from consortia_node.datasets import ColumnSettings, DatasetSettings
from consortia_node.sources.forming import Formed, Known, form
from consortia_node.sources.places import Cohort, state_of

COLUMNS = {
    "limit": ColumnSettings(type="number", low=0, high=1000),
    "group": ColumnSettings(type="category", values=(1, 2, 3)),
    "bad": ColumnSettings(type="boolean", role="label"),
}
TABLE = {"id": [30, 4, 100, 7], "limit": [3.5, 4.0, 1.0, 7.0], "group": [1, 2, 2, 3], "bad": [0, 1, 0, 1]}


def dataset(path: Path, columns: Mapping[str, ColumnSettings] = COLUMNS, **more: Any) -> DatasetSettings:
    """The dataset "clients", whose customer number is the column id."""
    number = ColumnSettings(type="text", role="id")
    settings = {"one_row_each": False, "postgresql": None, "table": None} | more
    return DatasetSettings.model_construct(name="clients", path=path, columns={"id": number, **columns}, **settings)


def write(folder: Path, form: str, table: pa.Table) -> Path:
    """The table in a file of that form; the path for datasets.toml."""
    path = folder / f"clients.{form}"
    match form:
        case "csv":
            pyarrow.csv.write_csv(table, path)
        case "duckdb":
            with duckdb.connect(str(path)) as engine:
                engine.from_arrow(table).create("clients")
        case "folder":
            half = len(table) // 2
            for year, part in ((2025, table.slice(0, half)), (2026, table.slice(half))):
                (path / f"year={year}").mkdir(parents=True)
                pyarrow.parquet.write_table(part, path / f"year={year}" / "part.parquet")
        case _:
            pyarrow.parquet.write_table(table, path)
    return path


def parquet(folder: Path, **changes: Any) -> DatasetSettings:
    """TABLE with ``changes`` as a Parquet file."""
    return dataset(write(folder, "parquet", pa.table(TABLE | changes)))


def allowed(*names: str) -> pa.Array:
    """Customers who consented."""
    return pa.array(names, pa.string())


def cohort(
    source: DatasetSettings,
    folder: Path,
    *columns: str,
    copy: bool = False,
    everybody: bool = False,
    named: bool = False,
) -> Cohort:
    """Where the cohort's files are to be."""
    return Cohort(
        source,
        columns,
        folder / "rows.parquet" if copy else None,
        None if everybody else folder / "chosen.parquet",
        state_of(source),
        named,
        folder,
    )


def formed(place: Cohort, *names: str) -> Formed:
    """The cohort of these customers, formed."""
    return form(place, allowed(*names), Known())
