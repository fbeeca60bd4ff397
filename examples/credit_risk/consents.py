"""The consent tables that the banks' own systems would hold: one record per client, for one purpose.

About 92 of 100 clients have said yes; the others refused, withdrew, or said yes for a time that is over. Which
client did what follows from a hash of the client's number, so every run sees the same people.
"""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from examples.credit_risk.split import SUBJECT, draws

PURPOSE = "credit-risk-model"
NOTICE = "credit-risk@2"
"""What clients were shown; ``specs/notice.yaml``."""
TEMPLATE = Path(__file__).parent / "specs" / "notice.yaml"
GIVEN, REFUSED, WITHDRAWN, EXPIRED = "given", "refused", "withdrawn", "expired"
_SHARES = ((GIVEN, 0.92), (REFUSED, 0.03), (WITHDRAWN, 0.03), (EXPIRED, 0.02))
_EFFECTIVE = datetime(2024, 3, 1, tzinfo=UTC)
_ENDED = datetime(2025, 3, 1, tzinfo=UTC)
_OPEN = datetime(2099, 12, 31, tzinfo=UTC)
_SCHEMA = pa.schema(
    [
        ("subject", pa.string()),
        ("purpose", pa.string()),
        ("state", pa.string()),
        ("effective_at", pa.timestamp("ms", "UTC")),
        ("valid_until", pa.timestamp("ms", "UTC")),
        ("notice", pa.string()),
    ]
)


def standing(subjects: list[str]) -> list[str]:
    """Where each client stands today: given, refused, withdrawn, or expired."""
    edges = np.cumsum([share for _, share in _SHARES])[:-1]
    numbers = (int(subject.lstrip("C")) for subject in subjects)
    chosen = np.searchsorted(edges, draws(numbers, "consent"), side="right")
    return [_SHARES[index][0] for index in chosen]


def table(subjects: list[str]) -> pa.Table:
    """The consent records. An expired consent is recorded as given, with an end that is past."""
    states = standing(subjects)
    rows = len(subjects)
    columns = [
        pa.array(subjects, pa.string()),
        pa.array([PURPOSE] * rows),
        pa.array([GIVEN if state == EXPIRED else state for state in states]),
        pa.array([_EFFECTIVE] * rows, pa.timestamp("ms", "UTC")),
        pa.array([_ENDED if state == EXPIRED else _OPEN for state in states], pa.timestamp("ms", "UTC")),
        pa.array([NOTICE] * rows),
    ]
    return pa.Table.from_arrays(columns, schema=_SCHEMA)


def write(tables: list[pa.Table], path: Path) -> Counter[str]:
    """Write one bank's consent table for the clients in ``tables``; return how many stand where."""
    subjects = sorted(subject for part in tables for subject in part[SUBJECT].to_pylist())
    pq.write_table(table(subjects), path)
    return Counter(standing(subjects))
