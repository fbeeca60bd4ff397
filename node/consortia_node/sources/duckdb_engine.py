"""DuckDB, the embedded engine: no type of it goes out of this module, so another engine can stand beside it.

What goes out are narwhals frames over consented rows. They are lazy: what a step makes of one is evaluated by the
engine in a single pass over the source, in bounded memory, with the filter by consent inside the same query. A
value that breaks what datasets.toml declares stops that query; it is counted then, never shown. What DuckDB says of
a failure is not passed on, as it may quote a row. No SQL comes from outside: names are checked by their pattern.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw
import pyarrow as pa
import pyarrow.compute as pc
from duckdb import CaseExpression as Case
from duckdb import ColumnExpression as Column
from duckdb import ConstantExpression as Constant
from duckdb import Expression
from duckdb import FunctionExpression as Function
from duckdb.sqltypes import BIGINT, VARCHAR

from consortia_node.datasets import DatasetSettings
from consortia_node.errors import SourceError
from consortia_node.sources import duckdb_filter
from consortia_node.sources.conform import UNFIT, require_columns
from consortia_node.sources.duckdb_columns import Faults, converted, parsed, plainly_fit
from consortia_node.sources.places import SUBJECT, form_of, refuse, state_of

MEMORY_MIB = 384
"""Most that the engine takes for one query; what does not fit goes to the folder for spilling."""
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "memory_limit": f"{MEMORY_MIB}MiB",
}
BATCH_ROWS = 65_536
_SOURCE = "source"
Frame = nw.LazyFrame[Any]
"""A narwhals frame, evaluated when it is collected."""


class Engine:
    """One source, opened for reading."""

    def __init__(
        self,
        dataset: DatasetSettings,
        connection: duckdb.DuckDBPyConnection,
        rows: pa.RecordBatchReader | None,
        *,
        guess_types: bool,
    ) -> None:
        self._dataset = dataset
        self._connection = connection
        self._typed = form_of(dataset) != "csv" or guess_types
        self._table = _table(connection, dataset, rows, guess_types=guess_types)
        self._read: list[tuple[Frame, tuple[str, ...]]] = []
        """What was handed out: looked at again when a query fails, to say why."""

    @property
    def schema(self) -> nw.Schema:
        """The source's columns with their types as they are stored."""
        return nw.from_native(self._table).collect_schema()

    def customers(self, columns: Sequence[str] = ()) -> Frame:
        """Each customer number as it is stored, as text (SUBJECT), and the number of rows; one scan of one column.

        Raises SourceError if the source's ``columns`` are not as declared.
        """
        require_columns(self.schema, self._dataset, tuple(columns), typed=self._typed)
        number = nw.col(self._dataset.subject)
        counted = nw.from_native(self._table).group_by(self._dataset.subject).agg(_rows=nw.len())
        customers: Frame = counted.select(number, number.cast(nw.String).alias(SUBJECT), "_rows")
        return customers

    def filter(self, customers: pa.Table) -> pa.Table:
        """What tells the rows of these customers (see ``customers``) from all others."""
        if not self._is_numbered:
            return customers.select([self._dataset.subject])
        return duckdb_filter.bits(self._table, self._dataset.subject, self._connection.from_arrow(customers))

    def rows(self, columns: Sequence[str], chosen: Path | None, *, keep_subject: bool = False) -> Frame:
        """The rows that the filter in the file ``chosen`` names, or all, with ``columns`` as declared.

        With ``keep_subject``, SUBJECT comes first. Raises SourceError.
        """
        require_columns(self.schema, self._dataset, tuple(columns), typed=self._typed)
        frame: Frame = nw.from_native(self._table if chosen is None else self._chosen(columns, chosen))
        self._read.append((frame, tuple(columns)))
        head = [Column(self._dataset.subject).cast(VARCHAR).alias(SUBJECT)] if keep_subject else []
        made: Frame = nw.from_native(frame.to_native().select(*head, *(self._checked(name) for name in columns)))
        return made

    def _chosen(self, columns: Sequence[str], chosen: Path) -> duckdb.DuckDBPyRelation:
        found, number = self._connection.read_parquet(str(chosen)), self._dataset.subject
        if self._is_numbered:
            return duckdb_filter.by_bits(self._table, [number, *columns], found)
        return duckdb_filter.by_customer(self._table, number, found)

    @property
    def _is_numbered(self) -> bool:
        return form_of(self._dataset) in {"parquet", "folder"} and duckdb_filter.has_numbers(self._table)

    def collect(self, frame: Frame) -> pa.Table:
        """Evaluate it."""
        return frame.collect("pyarrow").to_native()

    def parts(self, frame: Frame) -> Iterator[pa.Table]:
        """Evaluate it, a part at a time; at least one."""
        reader = frame.to_native().to_arrow_reader(BATCH_ROWS)
        yield reader.schema.empty_table()
        for batch in reader:
            yield pa.Table.from_batches([batch])

    def faults(self, columns: tuple[str, ...]) -> dict[tuple[str, str], int]:
        """By column and key of UNFIT, how many rows have such a value. Raises SourceError for unfit columns."""
        require_columns(self.schema, self._dataset, columns, typed=self._typed)
        return self._unfit(self.everything(), columns)

    def _unfit(self, frame: Frame, columns: Sequence[str]) -> dict[tuple[str, str], int]:
        """By column and key of UNFIT, how many rows of the source's ``frame`` have such a value; only if any."""
        faults = {(name, words): fault for name in columns for words, fault in self._conformed(name)[1].items()}
        if not faults:
            return {}
        sums = [Function("sum", Case(fault, Constant(1)).otherwise(Constant(0))) for fault in faults.values()]
        named = [expression.cast(BIGINT).alias(f"f{place}") for place, expression in enumerate(sums)]
        (counted,) = frame.to_native().aggregate(named).fetchall()
        return {place: count for place, count in zip(faults, counted, strict=True) if count}

    def everything(self) -> Frame:
        """The source as it is stored, for its owner's eyes."""
        return nw.from_native(self._table)

    def why(self) -> SourceError | None:
        """What is wrong with the values of what was read; None if that is not what made a query fail."""
        for frame, columns in self._read:
            for (name, words), count in self._unfit(frame, columns).items():
                return refuse(
                    self._dataset,
                    f"column {name} has {count} rows whose value {UNFIT[words]}",
                    "correct the table, or the column's entry in datasets.toml",
                )
        return None

    def _checked(self, name: str) -> Expression:
        """The column as declared; a value that is not stops the query."""
        value, faults = self._conformed(name)
        if not faults:
            return value.alias(name)
        first, *more = faults.values()
        for fault in more:
            first = first | fault
        stop = Function("error", Constant("unfit"))
        if self._typed and self._dataset.columns[name].type in {"integer", "number"}:
            whole, fit = plainly_fit(name, self._dataset.columns[name], self.schema[name])
            return Case(fit, whole).when(first, stop).otherwise(value).alias(name)
        return Case(first, stop).otherwise(value).alias(name)

    def _conformed(self, name: str) -> tuple[Expression, Faults]:
        """The column's value as declared, and by key of UNFIT where it can't be had."""
        column = self._dataset.columns[name]
        return converted(name, column, self.schema[name]) if self._typed else parsed(name, column)


@contextmanager
def opened(
    dataset: DatasetSettings,
    spill: Path | None,
    rows: pa.RecordBatchReader | None = None,
    *,
    guess_types: bool = False,
) -> Iterator[Engine]:
    """The source, opened for reading; ``rows``, read once, are its rows where no file holds them.

    What does not fit the memory goes to the folder ``spill``, or nowhere. An error of the engine within becomes a
    SourceError that says what is wrong with the source. Columns of CSV are text unless ``guess_types``.
    """
    if dataset.path is not None:
        state_of(dataset)
    engine: Engine | None = None
    try:
        with _connected(spill) as connection:
            try:
                engine = Engine(dataset, connection, rows, guess_types=guess_types)
                yield engine
            except _FAILURES:
                raise (_why(engine) or _unreadable(dataset)) from None
    except _FAILURES:
        raise _unreadable(dataset) from None


def rehearse() -> None:
    """Have loaded what a first query needs: the engine, narwhals' view of it, Arrow's functions (and pandas, which
    Arrow looks for wherever it is installed)."""
    with _connected(None) as connection:
        frame = nw.from_native(connection.sql("SELECT 1 AS key, 2.5 AS value"))
        made = frame.group_by("key").agg(nw.col("value").sum()).collect("pyarrow").to_native()
        pc.is_valid(made["value"]).to_numpy()


@contextmanager
def copied(dataset: DatasetSettings, rows: Path) -> Iterator[Frame]:
    """The rows in a cohort's file. Raises SourceError."""
    try:
        with _connected(rows.parent) as connection:
            yield nw.from_native(connection.read_parquet(str(rows)))
    except _FAILURES:
        raise _unreadable(dataset) from None


def _connected(spill: Path | None) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:", config=_CONFIG | {"temp_directory": str(spill or "")})
    # A setting of the connection; the bar would be drawn into the node's own output.
    connection.execute("SET enable_progress_bar = false")
    return connection


_FAILURES = (duckdb.Error, nw.exceptions.NarwhalsError, pa.ArrowException, OSError)


def _why(engine: Engine | None) -> SourceError | None:
    try:
        return engine.why() if engine else None
    except _FAILURES:
        return None


def _unreadable(dataset: DatasetSettings) -> SourceError:
    return refuse(
        dataset,
        "it can't be read, or its cohort can't be written",
        "check that it is intact Parquet, CSV or DuckDB and has the table, or that its server is up; and the free"
        " space in the node's folder",
    )


def _table(
    connection: duckdb.DuckDBPyConnection,
    dataset: DatasetSettings,
    rows: pa.RecordBatchReader | None,
    *,
    guess_types: bool,
) -> duckdb.DuckDBPyRelation:
    match form_of(dataset):
        case "postgresql":
            return connection.from_arrow(rows)
        case "csv":
            return connection.read_csv(str(dataset.path), all_varchar=not guess_types, header=True)
        case "duckdb":
            path = str(dataset.path).replace("'", "''")
            connection.execute(f"ATTACH '{path}' AS {_SOURCE} (READ_ONLY)")
            return connection.table(f"{_SOURCE}.{dataset.table_name}")
        case "folder":
            return connection.read_parquet(f"{dataset.path}/**/*.parquet", hive_partitioning=True)
        case _:
            return connection.read_parquet(str(dataset.path))
