"""Consent rows out of an Arrow table, whichever system it came from: columns checked, mistakes cited by row.

Columns: subject, purpose, state, effective_at, valid_until (may be empty), notice (id@version), and evidence
(SHA-256) if there is any. No others: one that is not known may hold a restriction that would be lost. Moments are
ISO 8601 or timestamps; without an offset they are UTC. Rows are counted from 1.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pyarrow as pa

from consortia_node.consent import STATES, milliseconds
from consortia_node.consent_import import ConsentRow, Findings
from consortia_node.errors import SourceError

REQUIRED = ("subject", "purpose", "state", "effective_at", "valid_until", "notice")
COLUMNS = (*REQUIRED, "evidence")
BATCH_ROWS = 50_000
_TEXT = re.compile(r"[^\x00-\x1f\x7f]{1,128}")
_PURPOSE = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_NOTICE = re.compile(r"[a-z][a-z0-9_-]{0,62}@[1-9][0-9]{0,5}")
_EVIDENCE = re.compile(r"([0-9a-f]{64})?")


def rows_of(table: pa.Table, source: str, findings: Findings) -> list[ConsentRow]:
    """The table's rows; what is wrong with one is added to ``findings``, and it is left out.

    Raises SourceError for a table that has other columns, or types that can't hold what they should.
    """
    names = table.column_names
    if len(set(names)) != len(names) or not set(REQUIRED) <= set(names) <= set(COLUMNS):
        raise refuse(source, f"its columns must be exactly {', '.join(REQUIRED)}, and evidence if there is any")
    if "evidence" not in names:
        table = table.append_column("evidence", pa.nulls(len(table), pa.string()))
    texts = {name: _texts(table[name], source, name) for name in COLUMNS}
    rows: list[ConsentRow] = []
    for start in range(0, len(table), BATCH_ROWS):
        rows += _batch({name: column.slice(start, BATCH_ROWS) for name, column in texts.items()}, start, findings)
    return rows


def _batch(columns: dict[str, pa.ChunkedArray], start: int, findings: Findings) -> Iterator[ConsentRow]:
    checked = [_checked(columns[name], _CHECKS[name][0]) for name in COLUMNS]
    if not any(_WRONG in column for column in checked):
        yield from map(ConsentRow._make, zip(*checked, strict=True))
        return
    for number, values in enumerate(zip(*checked, strict=True), start + 1):
        wrong = next((name for name, value in zip(COLUMNS, values, strict=True) if value is _WRONG), None)
        if wrong is None:
            yield ConsentRow._make(values)
        else:
            findings.wrong(number, _CHECKS[wrong][1])


_WRONG = object()


def _checked(column: pa.ChunkedArray, check: Callable[[str], object]) -> list[object]:
    """Each value as ``check`` makes it, or _WRONG; a value that repeats is judged once."""
    encoded = column.combine_chunks().dictionary_encode()
    encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
    judged = [check(value) for value in encoded.dictionary.to_pylist()]
    absent = check("")
    return [absent if code is None else judged[code] for code in encoded.indices.to_pylist()]


def _fits(pattern: re.Pattern[str]) -> Callable[[str], object]:
    return lambda text: text if pattern.fullmatch(text) else _WRONG


def _moment(text: str) -> object:
    try:
        moment = datetime.fromisoformat(text)
        return milliseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return _WRONG


_CHECKS: dict[str, tuple[Callable[[str], object], str]] = {
    "subject": (_fits(_TEXT), "has no subject, or one that is too long or not printable"),
    "purpose": (_fits(_PURPOSE), "has a purpose that is not a plain lower-case name"),
    "state": (lambda text: text if text in STATES else _WRONG, f"has a state that is none of {', '.join(STATES)}"),
    "effective_at": (_moment, "has an effective_at that is not a date or time in ISO 8601"),
    "valid_until": (
        lambda text: _moment(text) if text else None,
        "has a valid_until that is not a date or time in ISO 8601",
    ),
    "notice": (_fits(_NOTICE), "names no notice as id@version"),
    "evidence": (_fits(_EVIDENCE), "has an evidence that is no SHA-256"),
}
"""What makes a column's value of its text, and what is wrong where that can't be done."""


def _texts(column: pa.ChunkedArray, source: str, name: str) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)
    elif pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_nested(kind):
        raise refuse(source, f"column {name} has type {kind}, and can't")
    try:
        return column.cast(pa.string())
    except (pa.ArrowException, ValueError):
        raise refuse(source, f"column {name} can't be read as text") from None


def refuse(source: str, why: str) -> SourceError:
    """The error for a consent table that is refused."""
    return SourceError(
        f"the consent table {source} was refused as a whole: {why}",
        blame="the system that wrote it",
        remedy="correct the table and import it again; `--dry-run` tells what is wrong; see docs/consent.md",
    )
