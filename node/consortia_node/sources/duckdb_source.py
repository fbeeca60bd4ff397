"""Reads a dataset with DuckDB, through narwhals' expressions; no SQL text comes from outside or is written here.

Rows are joined with the allowed subjects inside the engine, so that a row without consent never leaves it. The
cohort file is written for its owner's eyes only, holds just the columns asked for, as float64 in the order asked,
and is checked before anybody computes on it: an absent number, or one that breaks what node.toml declares of the
column, is the institution's to correct.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb
import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from consortia_node.config import ColumnSettings, DatasetSettings
from consortia_node.errors import SourceError
from consortia_node.sources.cohort import SUBJECT

BATCH_ROWS = 65_536
_OFFLINE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
_ALLOWED, _PLACE = "_allowed", "_place"
Frame = nw.LazyFrame[duckdb.DuckDBPyRelation]


@dataclass(frozen=True)
class Description:
    """How large a dataset is: its rows, and the customers that they are about."""

    rows: int
    subjects: int


@dataclass(frozen=True)
class Cohort:
    """A written cohort. ``members``: the places in ``allowed`` of the customers whose rows it holds."""

    rows_used: int
    rows_left_out: int
    members: NDArray[np.int64]


def describe(dataset: DatasetSettings) -> Description:
    """The dataset's size. Raises SourceError, also if a configured column is absent or has an unfit type."""
    with _engine(dataset) as engine:
        frame = _frame(engine, dataset, tuple(dataset.columns))
        return Description(_count(frame), _count(frame.select(SUBJECT).drop_nulls().unique()))


def subjects(dataset: DatasetSettings) -> pa.ChunkedArray:
    """The customer numbers in the dataset, each once, sorted as text. Raises SourceError."""
    with _engine(dataset) as engine:
        return _arrow(_frame(engine, dataset, ()).drop_nulls().unique().sort(SUBJECT))[SUBJECT]


def write_cohort(
    dataset: DatasetSettings,
    columns: Sequence[str],
    allowed: pa.Array,
    out: Path,
    *,
    keep_subject: bool = False,
    everybody: bool = False,
) -> Cohort:
    """Write the rows of the ``allowed`` subjects to ``out`` (Parquet, mode 0600), ordered by subject.

    ``allowed`` has each customer number once, as text. With ``keep_subject`` the customer number comes first in the
    file, as SUBJECT. With ``everybody`` all rows are written, where consent is not the basis; ``allowed`` then only
    tells whose they are. Raises SourceError, and leaves no file then.
    """
    chosen = [SUBJECT, *columns] if keep_subject else [*columns]
    with _engine(dataset, spill=out.parent) as engine:
        frame = _frame(engine, dataset, columns)
        rows = _placed(engine, frame, allowed, "left" if everybody else "inner")
        total = _count(frame)
        try:
            used, members = _write(rows.sort(SUBJECT, *columns), chosen, out, count=len(allowed))
            _check_values(nw.from_native(engine.read_parquet(str(out))), dataset, columns)
        except BaseException:
            out.unlink(missing_ok=True)
            raise
    return Cohort(used, total - used, members)


def _placed(
    engine: duckdb.DuckDBPyConnection, frame: Frame, allowed: pa.Array, how: Literal["inner", "left"]
) -> Frame:
    """The rows of the allowed subjects (or all), with where in ``allowed`` each is found."""
    places = pa.array(np.arange(len(allowed)))
    consented = nw.from_native(engine.from_arrow(pa.table({_ALLOWED: allowed, _PLACE: places})))
    return frame.join(consented, left_on=SUBJECT, right_on=_ALLOWED, how=how)


@contextmanager
def _engine(dataset: DatasetSettings, spill: Path | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB of its own; what does not fit its memory goes to the folder ``spill``, or nowhere.

    What DuckDB says of a failure is not passed on: it may quote a row.
    """
    file = str(dataset.path) if dataset.path.suffix in {".duckdb", ".db"} else ":memory:"
    if not dataset.path.is_file():
        raise _refuse(dataset, "its file does not exist", "correct the path in node.toml, or put the file there")
    config = _OFFLINE | {"temp_directory": str(spill or "")}
    try:
        with duckdb.connect(file, read_only=file != ":memory:", config=config) as engine:
            yield engine
    except (duckdb.Error, nw.exceptions.NarwhalsError, pa.ArrowException, OSError):
        raise _refuse(
            dataset,
            "its file can't be read, or the cohort can't be written",
            "check that it is an intact Parquet, CSV or DuckDB file, and the free space in the node's folder",
        ) from None


def _frame(engine: duckdb.DuckDBPyConnection, dataset: DatasetSettings, columns: Sequence[str]) -> Frame:
    """The subject as text and ``columns`` as float64, once names and types are found to be as configured."""
    match dataset.path.suffix.lower():
        case ".csv":
            table = engine.read_csv(str(dataset.path))
        case ".duckdb" | ".db":
            table = engine.table(dataset.name)
        case _:
            table = engine.read_parquet(str(dataset.path))
    frame = nw.from_native(table)
    _check_types(frame.collect_schema(), dataset, columns)
    subject = nw.col(dataset.subject).cast(nw.String).alias(SUBJECT)
    return frame.select(subject, *(nw.col(name).cast(nw.Float64) for name in columns))


def _check_types(schema: nw.Schema, dataset: DatasetSettings, columns: Sequence[str]) -> None:
    remedy = "correct the dataset's entry in node.toml, or the table"
    absent = [name for name in (dataset.subject, *columns) if name not in schema]
    if absent:
        raise _refuse(dataset, f"it has no column {', '.join(absent)}", remedy)
    if not (schema[dataset.subject].is_integer() or schema[dataset.subject] == nw.String):
        raise _refuse(dataset, f"its subject column {dataset.subject} is neither text nor whole numbers", remedy)
    for name in columns:
        if name not in dataset.columns:
            raise _refuse(dataset, f"node.toml does not offer its column {name}", remedy)
        if not (schema[name].is_numeric() or schema[name] == nw.Boolean):
            raise _refuse(dataset, f"its column {name} holds no numbers", remedy)


def _check_values(cohort: Frame, dataset: DatasetSettings, columns: Sequence[str]) -> None:
    """Raises SourceError with the first column that has unfit values, and how many; never which or whose."""
    faults = {
        (name, words): unfit.cast(nw.Int64).sum()
        for name in columns
        for words, unfit in _faults(nw.col(name), dataset.columns[name]).items()
    }
    counted = cohort.select(**{str(i): expression for i, expression in enumerate(faults.values())})
    for (name, words), count in zip(faults, _arrow(counted).to_pylist()[0].values(), strict=True):
        if count:
            raise _refuse(
                dataset,
                f"column {name} has {count} rows whose value {words}",
                "correct the table, or the column's entry in node.toml",
            )


def _faults(value: nw.Expr, column: ColumnSettings) -> dict[str, nw.Expr]:
    """What can be wrong with a value, in words, and where it is."""
    faults = {"is missing or not a finite number": value.is_null() | ~value.is_finite()}
    if column.type == "category":
        faults["is not a whole number"] = value != value.round()
    if column.type == "label":
        faults["is neither 0 nor 1"] = ~value.is_in([0.0, 1.0])
    if column.low is not None and column.high is not None:
        faults["lies outside the range in node.toml"] = (value < column.low) | (value > column.high)
    return faults


def _write(rows: Frame, chosen: Sequence[str], out: Path, *, count: int) -> tuple[int, NDArray[np.int64]]:
    """Stream the chosen columns into a new file for its owner's eyes: how many rows, and whose of ``count``."""
    out.unlink(missing_ok=True)
    found = np.zeros(count, bool)
    reader = rows.select(_PLACE, *chosen).to_native().to_arrow_reader(BATCH_ROWS)
    schema = pa.schema([reader.schema.field(name) for name in chosen])
    used = 0
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file, pyarrow.parquet.ParquetWriter(file, schema) as writer:
        for batch in reader:
            writer.write_batch(batch.select(list(chosen)))
            used += batch.num_rows
            found[batch.column(_PLACE).drop_null().to_numpy()] = True
    return used, np.flatnonzero(found)


def _count(frame: Frame) -> int:
    counted: int = _arrow(frame.select(rows=nw.len()))["rows"][0].as_py()
    return counted


def _arrow(frame: Frame) -> pa.Table:
    return frame.collect("pyarrow").to_native()


def _refuse(dataset: DatasetSettings, why: str, remedy: str) -> SourceError:
    return SourceError(
        f"dataset {dataset.name} can't be used: {why}",
        blame="the institution that configured it",
        remedy=remedy,
    )
