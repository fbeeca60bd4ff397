"""Forms a cohort: which customers' rows a job may use, how many those are, and a copy of them where one is needed.

The source is scanned for its customer numbers alone, once for as long as its files stand as they stood; everything
else that is done here is as large as the number of customers, not of rows. The job's worker then scans the source
itself with the filter made here, in the same query as what it computes. Rows are copied only where that could not
give the same rows each time, or would be slower: PostgreSQL, a CSV file that is read more than once, and steps that
need all rows in memory (docs/adr/0038).
"""

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
from numpy.typing import NDArray

from consortia_node.datasets import DatasetSettings
from consortia_node.sources import duckdb_engine, postgres
from consortia_node.sources.places import SUBJECT, Cohort, refuse
from consortia_node.sources.scans import require_state

MOST_CUSTOMERS = 1_000_000
"""Of so many it is kept in memory how many rows each has, about 50 bytes for one."""


@dataclass(frozen=True)
class Formed:
    """What a cohort holds. ``members``: the places in ``allowed`` of its customers."""

    rows_used: int
    rows_left_out: int
    members: NDArray[np.int64]


class Counted:
    """The customers in each source with their numbers of rows, for as long as its files stand as they stood.

    In memory alone, and of the newest sources only. A table on a server has no state to go by and is counted anew.
    """

    def __init__(self, most: int = MOST_CUSTOMERS) -> None:
        self._most = most
        self._known: dict[str, tuple[str, pa.Table]] = {}

    def get(self, cohort: Cohort) -> pa.Table | None:
        """Those of the source as the cohort takes it to be, if they are known."""
        state, counted = self._known.get(cohort.dataset.name, ("", None))
        return counted if state and state == cohort.state else None

    def keep(self, cohort: Cohort, counted: pa.Table) -> None:
        """Know them from now on; the oldest are forgotten where there are too many."""
        name = cohort.dataset.name
        self._known = {other: known for other, known in self._known.items() if other != name}
        if cohort.state:
            self._known[name] = cohort.state, counted
        while sum(len(known) for _, known in self._known.values()) > self._most:
            del self._known[next(iter(self._known))]


def form(cohort: Cohort, allowed: pa.Array, known: Counted) -> Formed:
    """Write the cohort's files (mode 0600): the filter by customer, and the copy of the rows, by customer.

    ``allowed`` has each customer number once, as text. Of a cohort without a file ``subjects`` all rows are used,
    as consent is not the basis; ``allowed`` then only tells whose they are. What is ``known`` of the source is not
    counted again. Raises SourceError, and leaves no file.
    """
    dataset, columns, spill = cohort.dataset, cohort.columns, cohort.spill
    try:
        with _server(dataset) as server:
            with duckdb_engine.opened(dataset, spill, server and server.rows(())) as engine:
                customers = engine.customers(() if server else columns)
                counted = known.get(cohort) or engine.collect(customers)
            formed = _chosen(cohort, counted, allowed)
            if cohort.rows is not None:
                with duckdb_engine.opened(dataset, spill, server and server.rows(columns)) as engine:
                    frame = engine.rows(columns, cohort.subjects, keep_subject=True).sort(SUBJECT, *columns)
                    chosen = [SUBJECT, *columns] if cohort.named else [*columns]
                    _write((part.select(chosen) for part in engine.parts(frame)), cohort.rows)
        require_state(cohort)
        known.keep(cohort, counted)
    except BaseException:
        cohort.discard()
        raise
    return formed


def _server(dataset: DatasetSettings) -> AbstractContextManager[postgres.Server | None]:
    return postgres.opened(dataset) if dataset.postgresql else nullcontext()


def _chosen(cohort: Cohort, counted: pa.Table, allowed: pa.Array) -> Formed:
    """Whose rows are used, of the customers in the source with their numbers of rows."""
    place = pc.index_in(counted[SUBJECT], value_set=allowed, skip_nulls=True)
    known = place.is_valid()
    total = pc.sum(counted["_rows"]).as_py() or 0
    used = total
    if cohort.subjects is not None:
        chosen = counted.filter(known)
        used = pc.sum(chosen["_rows"]).as_py() or 0
        _write([chosen.select([cohort.dataset.subject])], cohort.subjects)
        _require_single(cohort.dataset, chosen)
    else:
        _require_single(cohort.dataset, counted.filter(counted[SUBJECT].is_valid()))
    members = np.sort(place.filter(known).to_numpy().astype(np.int64))
    return Formed(used, total - used, members)


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
