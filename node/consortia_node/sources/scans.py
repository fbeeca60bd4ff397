"""What a worker reads for one step: consented rows and the job's columns, from the source itself or from a copy.

Trusted for: a step that scans the source sees it as it stood when the cohort was formed, or fails. The source is
held against that before it is opened and after the step is through.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from consortia_node.datasets import ColumnSettings
from consortia_node.errors import SourceError
from consortia_node.sources import duckdb_engine
from consortia_node.sources.duckdb_engine import Frame
from consortia_node.sources.places import SUBJECT, Cohort, refuse, state_of


class Scans:
    """The cohorts of one job, open as long as one step."""

    def __init__(self, cohorts: Mapping[str, Cohort]) -> None:
        self._cohorts = cohorts
        self._open = ExitStack()
        self._scanned: list[Cohort] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._open.__exit__(kind, error, trace)
        finally:
            for cohort in self._scanned:
                require_state(cohort)

    def version(self) -> str:
        """Changes whenever a cohort does, though it lie in the same place."""
        files = [file.stat() for cohort in self._cohorts.values() for file in cohort.files if file.exists()]
        states = [cohort.state for cohort in self._cohorts.values()]
        return repr((states, [(one.st_ino, one.st_mtime_ns, one.st_size) for one in files]))

    def frame(self, dataset: str, columns: Sequence[str]) -> Frame:
        """The rows with the types that datasets.toml declares. Raises SourceError, also when it is collected."""
        cohort = self._cohorts[dataset]
        if cohort.rows is not None:
            copy = self._open.enter_context(duckdb_engine.copied(cohort.dataset, cohort.rows))
            return copy.select(*([SUBJECT] if cohort.named else []), *columns)
        require_state(cohort)
        self._scanned.append(cohort)
        engine = self._open.enter_context(duckdb_engine.opened(cohort.dataset, cohort.spill))
        return engine.rows(columns, cohort.chosen, keep_subject=cohort.named)

    def matrix(self, dataset: str, columns: Sequence[str]) -> NDArray[np.float64]:
        """Shape (rows, len(columns)), in the file's order of rows. Raises SourceError where one has no number."""
        cohort = self._cohorts[dataset]
        table = _read(cohort, columns)
        matrix = np.empty((table.num_rows, len(columns)), dtype=np.float64)
        for i, name in enumerate(columns):
            matrix[:, i] = _numbers(table[name], name, cohort)
        return matrix

    def subjects(self, dataset: str) -> list[str]:
        """The customer numbers of a cohort that was written with them, in the file's order. Raises SourceError."""
        numbers: list[str] = _read(self._cohorts[dataset], [SUBJECT])[SUBJECT].to_pylist()
        return numbers

    def column(self, dataset: str, name: str) -> ColumnSettings:
        """What datasets.toml declares of it."""
        return self._cohorts[dataset].dataset.columns[name]


def require_state(cohort: Cohort) -> None:
    """Return if the source stands as it did when the cohort was formed. Raises SourceError."""
    if state_of(cohort.dataset) != cohort.state:
        raise refuse(
            cohort.dataset,
            "its file was changed while a job read it",
            "submit the job again when nothing writes to the file; replace a table by renaming a complete file",
        )


def _read(cohort: Cohort, columns: Sequence[str]) -> pa.Table:
    """The columns; what Arrow says of a failure is not passed on, as it may quote a value."""
    try:
        return pyarrow.parquet.read_table(_file(cohort), columns=list(columns), partitioning=None).select(
            list(columns)
        )
    except (pa.ArrowException, OSError, KeyError):
        raise SourceError(
            f"the job's cohort has no readable columns {', '.join(columns)}",
            blame="this node, which wrote it, or whoever changed its files",
            remedy="run the job again; if it persists, check the disk and report it",
        ) from None


def _file(cohort: Cohort) -> Path:
    if cohort.rows is None:
        raise KeyError
    return cohort.rows


def _numbers(column: pa.ChunkedArray, name: str, cohort: Cohort) -> NDArray[np.float64]:
    remedy = "correct the table, or name another column in the job"
    if column.null_count:
        raise refuse(cohort.dataset, f"column {name} has {column.null_count} rows without a value", remedy)
    if not (_is_number(column.type) or pa.types.is_boolean(column.type)):
        raise refuse(cohort.dataset, f"column {name} holds no numbers, which this kind of job needs", remedy)
    return np.asarray(column.to_numpy(), np.float64)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
