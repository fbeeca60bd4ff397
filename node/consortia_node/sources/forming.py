"""Forms a cohort: which customers' rows a job may use, how many those are, and a copy of them where one is needed.

The source is scanned for its customer numbers alone, and once more for where the chosen customers' rows are: each
once for as long as its files stand as they stood, and the second for as long as the same customers are chosen. The
job's worker then scans the source itself with the filter made here, in the same query as what it computes. Rows are
copied only where that could not give the same rows each time, or would be slower: PostgreSQL, a CSV file that is
read more than once, and steps that need all rows in memory (docs/adr/0038).
"""

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
from numpy.typing import NDArray

from consortia_node.datasets import DatasetSettings
from consortia_node.sources import duckdb_engine, postgres
from consortia_node.sources.duckdb_engine import Engine
from consortia_node.sources.places import SUBJECT, Cohort, refuse
from consortia_node.sources.scans import require_state

MOST_BYTES = 64 << 20
"""What is kept in memory of sources: some 50 bytes for each customer, and a bit for each row."""


@dataclass(frozen=True)
class Formed:
    """What a cohort holds. ``members``: the places in ``allowed`` of its customers."""

    rows_used: int
    rows_left_out: int
    members: NDArray[np.int64]


@dataclass(frozen=True)
class Source:
    """What was found in one, standing as ``state`` says: its customers with their numbers of rows.

    ``filter`` chooses the rows of those customers who are ``chosen``, as the newest cohort of it did.
    """

    state: str
    counted: pa.Table
    chosen: NDArray[np.bool_] | None = None
    filter: pa.Table | None = None

    def choosing(self, chosen: NDArray[np.bool_], make: Callable[[pa.Table], pa.Table]) -> Self:
        """With a filter for these customers, made anew if the one at hand is for others."""
        if self.chosen is not None and np.array_equal(self.chosen, chosen):
            return self
        return replace(self, chosen=chosen, filter=make(self.counted.filter(pa.array(chosen))))

    @property
    def size(self) -> int:
        """Bytes."""
        return int(self.counted.nbytes) + (int(self.filter.nbytes) if self.filter else 0)


class Known:
    """What was found in each source, for as long as its files stand as they stood.

    In memory alone, and of the newest sources only. A table on a server has no state and is looked at anew.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._sources: dict[str, Source] = {}

    def get(self, cohort: Cohort) -> Source | None:
        """The source as the cohort takes it to be, if it is known."""
        source = self._sources.get(cohort.dataset.name)
        stands = source and source.state == cohort.state and cohort.dataset.subject in source.counted.column_names
        return source if stands else None

    def keep(self, cohort: Cohort, source: Source) -> None:
        """Know it from now on; the oldest are forgotten where there are too many."""
        self._sources.pop(cohort.dataset.name, None)
        if source.state:
            self._sources[cohort.dataset.name] = source
        while sum(known.size for known in self._sources.values()) > self._most:
            del self._sources[next(iter(self._sources))]


def form(cohort: Cohort, allowed: pa.Array, known: Known) -> Formed:
    """Write the cohort's files (mode 0600): the filter of rows, and the copy of the rows, by customer.

    ``allowed`` has each customer number once, as text. Of a cohort without a file ``chosen`` all rows are used, as
    consent is not the basis; ``allowed`` then only tells whose they are. What is ``known`` of the source is not
    looked for again. Raises SourceError, and leaves no file.
    """
    dataset, columns, spill = cohort.dataset, cohort.columns, cohort.spill
    try:
        with _server(dataset) as server:
            with duckdb_engine.opened(dataset, spill, server and server.rows(())) as engine:
                customers = engine.customers(() if server else columns)
                source = known.get(cohort) or Source(cohort.state, engine.collect(customers))
                formed, source = _chosen(cohort, source, allowed, engine)
            if cohort.rows is not None:
                with duckdb_engine.opened(dataset, spill, server and server.rows(columns)) as engine:
                    frame = engine.rows(columns, cohort.chosen, keep_subject=True).sort(SUBJECT, *columns)
                    named = [SUBJECT, *columns] if cohort.named else [*columns]
                    _write((part.select(named) for part in engine.parts(frame)), cohort.rows)
        require_state(cohort)
        known.keep(cohort, source)
    except BaseException:
        cohort.discard()
        raise
    return formed


def _server(dataset: DatasetSettings) -> AbstractContextManager[postgres.Server | None]:
    return postgres.opened(dataset) if dataset.postgresql else nullcontext()


def _chosen(cohort: Cohort, source: Source, allowed: pa.Array, engine: Engine) -> tuple[Formed, Source]:
    """Whose rows are used, of the customers in the source; their filter is written, and known with the source."""
    counted = source.counted
    place = pc.index_in(counted[SUBJECT], value_set=allowed, skip_nulls=True)
    known = place.is_valid()
    total = pc.sum(counted["_rows"]).as_py() or 0
    used = total
    if cohort.chosen is not None:
        chosen = counted.filter(known)
        used = pc.sum(chosen["_rows"]).as_py() or 0
        _require_single(cohort.dataset, chosen)
        source = source.choosing(known.to_numpy(), engine.filter)
        _write([source.filter], cohort.chosen)
    else:
        _require_single(cohort.dataset, counted.filter(counted[SUBJECT].is_valid()))
    members = np.sort(place.filter(known).to_numpy().astype(np.int64))
    return Formed(used, total - used, members), source


def _require_single(dataset: DatasetSettings, counted: pa.Table) -> None:
    """Where datasets.toml says that each customer has one row, each has."""
    several = int((counted["_rows"].to_numpy() > 1).sum()) if dataset.one_row_each else 0
    if several:
        raise refuse(
            dataset,
            f"{several} customers have more than one row, and datasets.toml says one_row_each",
            "remove the duplicates from the table, or the setting",
        )


def _write(parts: Iterable[pa.Table], out: Path) -> None:
    """A new Parquet file for its owner's eyes; there is at least one part, which may be empty."""
    out.unlink(missing_ok=True)
    remaining = iter(parts)
    first = next(remaining)
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file, pyarrow.parquet.ParquetWriter(file, first.schema) as writer:
        for part in chain([first], remaining):
            writer.write_table(part)
