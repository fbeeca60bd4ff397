"""Files that jobs left for this institution alone, one folder a job: scores by customer number.

They are the institution's to take away and keep; while they lie here, an erased customer leaves them too.
"""

import io
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from consortia_common import keyfiles
from consortia_node.errors import SourceError

SUBJECT = "subject"
"""The column with the customer number."""


def folder_of(node: Path, job_id: str) -> Path:
    """Where the files of a job lie."""
    return node / "results" / job_id


def forget(node: Path, jobs: Iterable[str], number: str) -> None:
    """Take the customer's rows out of the files that these jobs left. Raises SourceError."""
    for path in [path for job_id in jobs for path in sorted(folder_of(node, job_id).glob("*.parquet"))]:
        try:
            table = pq.read_table(path, partitioning=None)
        except (pa.ArrowException, OSError):
            raise SourceError(
                f"{path} can't be read, so nobody can tell whether the customer is in it",
                blame="whoever changed the file",
                remedy="take the file away, then give the command again: it finishes what was begun",
            ) from None
        if SUBJECT in table.column_names:
            buffer = io.BytesIO()
            pq.write_table(table.filter(pc.not_equal(table[SUBJECT], number)), buffer)
            keyfiles.write_file(path, buffer.getvalue())
