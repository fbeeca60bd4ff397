"""What a worker reads: a cohort file, which holds only rows with consent and only the job's columns."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from consortia_node.errors import SourceError

SUBJECT = "_subject"
"""The customer number's column in a cohort file; no column that a job may name begins so."""


def read_matrix(path: Path, columns: Sequence[str]) -> NDArray[np.float64]:
    """Shape (rows, len(columns)), in the file's order of rows and this order of columns. Raises SourceError."""
    table = _read(path, columns)
    matrix = np.empty((table.num_rows, len(columns)), dtype=np.float64)
    for i, name in enumerate(columns):
        matrix[:, i] = table[name].to_numpy()
    return matrix


def read_subjects(path: Path) -> list[str]:
    """The customer numbers of a cohort that was written with them, in the file's order. Raises SourceError."""
    subjects: list[str] = _read(path, [SUBJECT])[SUBJECT].to_pylist()
    return subjects


def _read(path: Path, columns: Sequence[str]) -> pa.Table:
    """The columns; what Arrow says of a failure is not passed on, as it may quote a value."""
    try:
        return pyarrow.parquet.read_table(path, columns=list(columns), partitioning=None).select(list(columns))
    except (pa.ArrowException, OSError, KeyError):
        raise SourceError(
            f"the job's cohort has no readable columns {', '.join(columns)}",
            blame="this node, which wrote it, or whoever changed its files",
            remedy="run the job again; if it persists, check the disk and report it",
        ) from None
