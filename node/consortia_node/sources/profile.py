"""What is in a table, for its owner's eyes: types, gaps, how many different values, least and greatest.

Nothing of this leaves the node; ``consortia dataset`` prints it on the terminal of whoever runs the node.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import narwhals as nw

from consortia_node.datasets import DatasetSettings
from consortia_node.sources import duckdb_engine, postgres
from consortia_node.sources.duckdb_engine import Engine, Frame
from consortia_node.sources.places import SUBJECT

_ROWS = "_rows"


Passes = Callable[[], AbstractContextManager[Engine]]
"""Opens the source for one pass over it."""


@dataclass(frozen=True)
class ColumnProfile:
    """One column as it is stored. ``missing`` counts NaN too; ``least`` and ``greatest`` are text."""

    name: str
    stored: str
    missing: int
    distinct: int
    least: str
    greatest: str


@dataclass(frozen=True)
class Profile:
    """A table. ``repeated``: customers with more than one row; ``nameless``: rows without a customer number."""

    rows: int
    customers: int
    repeated: int
    nameless: int
    columns: tuple[ColumnProfile, ...]


@contextmanager
def passes(dataset: DatasetSettings, *, guess_types: bool = False) -> Iterator[Passes]:
    """The source, to be read as often as need be; what does not fit memory goes to a folder that is then removed.

    With ``guess_types`` the columns of a CSV file are not all text. Raises SourceError.
    """
    with (
        postgres.opened(dataset) if dataset.postgresql else nullcontext() as server,
        TemporaryDirectory(prefix="consortia-") as spill,
    ):
        yield lambda: duckdb_engine.opened(
            dataset, Path(spill), server and server.everything(), guess_types=guess_types
        )


def profile(dataset: DatasetSettings, open_: Passes) -> Profile:
    """The table's profile. Raises SourceError."""
    with open_() as engine:
        frame = engine.customers()
        counted = engine.collect(
            frame.select(
                rows=nw.col(_ROWS).sum(),
                customers=nw.col(SUBJECT).count(),
                repeated=((nw.col(_ROWS) > 1) & ~nw.col(SUBJECT).is_null()).cast(nw.Int64).sum(),
                nameless=nw.when(nw.col(SUBJECT).is_null()).then(nw.col(_ROWS)).otherwise(0).sum(),
            )
        )
    totals = {name: int(values[0] or 0) for name, values in counted.to_pydict().items()}
    with open_() as engine:
        columns = tuple(_columns(engine, [name for name in engine.schema.names() if name != dataset.subject]))
    return Profile(**totals, columns=columns)


def count_rows(dataset: DatasetSettings) -> int:
    """How many rows the table has. Raises SourceError."""
    with passes(dataset) as open_, open_() as engine:
        (counted,) = engine.collect(engine.everything().select(rows=nw.len()))["rows"].to_pylist()
    return int(counted)


def common_values(open_: Passes, column: str, at_least: int, most: int) -> tuple[list[object], int]:
    """The values that so many rows have, if there are not more than ``most``; and how many others there are."""
    with open_() as engine:
        frame: Frame = engine.everything().filter(~nw.col(column).is_null())
        counted = engine.collect(frame.group_by(column).agg(n=nw.len()).sort("n", descending=True).head(most + 1))
    values = [row[column] for row in counted.to_pylist() if row["n"] >= at_least]
    return (sorted(values, key=str), len(counted) - len(values)) if len(counted) <= most else ([], len(counted))


def _columns(engine: Engine, names: list[str]) -> Iterator[ColumnProfile]:
    schema = engine.schema
    asked: dict[str, nw.Expr] = {}
    for place, name in enumerate(names):
        column = nw.col(name)
        is_gap = column.is_null() | ~column.is_finite() if schema[name].is_float() else column.is_null()
        asked[f"missing{place}"] = is_gap.cast(nw.Int64).sum()
        asked[f"distinct{place}"] = column.n_unique()
        asked[f"nulls{place}"] = column.null_count()
        asked[f"least{place}"], asked[f"greatest{place}"] = column.min(), column.max()
    if not names:
        return
    (found,) = engine.collect(engine.everything().select(**asked)).to_pylist()
    for place, name in enumerate(names):
        least, greatest = found[f"least{place}"], found[f"greatest{place}"]
        yield ColumnProfile(
            name,
            str(schema[name]),
            int(found[f"missing{place}"] or 0),
            int(found[f"distinct{place}"] or 0) - bool(found[f"nulls{place}"]),
            "" if least is None else str(least)[:40],
            "" if greatest is None else str(greatest)[:40],
        )
