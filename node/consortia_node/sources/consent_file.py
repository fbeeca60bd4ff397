"""A consent table from the institution's own system (Parquet or CSV), read into typed rows.

Columns, all required, no others: subject, purpose, state, effective_at, valid_until (may be empty), notice.
Moments are ISO 8601 or timestamps; without an offset they are UTC. A column that is not known is refused,
because it may hold a restriction that would be lost. Mistakes are cited by row number, counted from 1.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from consortia_node.consent import STATES, milliseconds
from consortia_node.errors import SourceError

COLUMNS = ("subject", "purpose", "state", "effective_at", "valid_until", "notice")
BATCH_ROWS = 5_000
_PURPOSE = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_TEXT = re.compile(r"[^\x00-\x1f\x7f]{1,128}")


class ConsentRow(NamedTuple):
    """One record as the institution's system has it; ``subject`` is the customer number."""

    subject: str
    purpose: str
    state: str
    effective_ms: int
    valid_until_ms: int | None
    notice: str


def read_consents(path: Path) -> Iterator[list[ConsentRow]]:
    """The table's rows in batches. Raises SourceError at the first mistake or repeated (subject, purpose)."""
    table = _table(path)
    seen: set[tuple[str, str]] = set()
    for start in range(0, table.num_rows, BATCH_ROWS):
        columns = [_values(table[name].slice(start, BATCH_ROWS), path, name) for name in COLUMNS]
        rows = [_row(path, start + i + 1, values) for i, values in enumerate(zip(*columns, strict=True))]
        for i, row in enumerate(rows):
            if (row.subject, row.purpose) in seen:
                raise _refuse(path, f"row {start + i + 1} repeats the subject and purpose of an earlier row")
            seen.add((row.subject, row.purpose))
        yield rows


def _table(path: Path) -> pa.Table:
    """The file with every column as text. What Arrow says is not passed on: it may quote a row."""
    try:
        if path.suffix.lower() == ".csv":
            options = pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(COLUMNS, pa.string()), strings_can_be_null=True, null_values=[""]
            )
            table = pyarrow.csv.read_csv(path, convert_options=options)
        else:
            table = pyarrow.parquet.read_table(path, partitioning=None)
    except FileNotFoundError:
        raise _refuse(path, "there is no such file") from None
    except (pa.ArrowException, OSError, ValueError):
        raise _refuse(path, "it can't be read as Parquet, or as CSV if its name ends in .csv") from None
    if set(table.column_names) != set(COLUMNS) or len(table.column_names) != len(COLUMNS):
        raise _refuse(path, f"its columns must be exactly {', '.join(COLUMNS)}")
    return table


def _values(column: pa.ChunkedArray, path: Path, name: str) -> Sequence[str | None]:
    kind = column.type
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)
    elif pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_nested(kind):
        raise _refuse(path, f"column {name} has type {kind}, and can't")
    try:
        values: list[str | None] = column.cast(pa.string()).to_pylist()
    except (pa.ArrowException, ValueError):
        raise _refuse(path, f"column {name} can't be read as text") from None
    return values


def _row(path: Path, number: int, values: Sequence[str | None]) -> ConsentRow:
    subject, purpose, state, effective_at, valid_until, notice = values
    if not _TEXT.fullmatch(subject or ""):
        raise _refuse(path, f"row {number} has no subject, or one that is too long or not printable")
    if not _PURPOSE.fullmatch(purpose or ""):
        raise _refuse(path, f"row {number} has a purpose that is not a plain lower-case name")
    if state not in STATES:
        raise _refuse(path, f"row {number} has a state that is none of {', '.join(sorted(STATES))}")
    if not _TEXT.fullmatch(notice or ""):
        raise _refuse(path, f"row {number} names no notice, or one that is too long or not printable")
    effective_ms = _moment(effective_at, path, number, "effective_at")
    until_ms = _moment(valid_until, path, number, "valid_until") if valid_until else None
    return ConsentRow(subject or "", purpose or "", state or "", effective_ms, until_ms, notice or "")


def _moment(text: str | None, path: Path, number: int, name: str) -> int:
    try:
        moment = datetime.fromisoformat(text or "")
        return milliseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except ValueError:
        raise _refuse(path, f"in row {number} {name} is not a date or time in ISO 8601") from None


def _refuse(path: Path, why: str) -> SourceError:
    return SourceError(
        f"the consent table {path.name} was refused as a whole: {why}",
        blame="the system that wrote it",
        remedy="correct the table and import it again; docs/consent.md describes it",
    )
