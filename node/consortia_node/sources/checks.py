"""Holds a table against its entry in datasets.toml before any job does: what a job would be refused for, and why.

Counts only, never a value; what it finds is for the institution that runs the node.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import narwhals as nw

from consortia_node.datasets import ColumnSettings, DatasetSettings
from consortia_node.errors import SourceError
from consortia_node.sources.conform import UNFIT
from consortia_node.sources.profile import Passes, Profile, passes, profile

REMEDY_OF_SUBJECT = "no job uses them where consent is the basis"


@dataclass(frozen=True)
class Finding:
    """Something about a column, or about the table if ``column`` is empty. A fault makes jobs fail."""

    column: str
    what: str
    is_fault: bool = False


@dataclass(frozen=True)
class Report:
    """What was found; ``profile`` is missing if the table can't be read at all."""

    dataset: DatasetSettings
    profile: Profile | None
    findings: tuple[Finding, ...]

    @property
    def is_fit(self) -> bool:
        """Whether no job would be refused for its values or types."""
        return not any(finding.is_fault for finding in self.findings)


def check(dataset: DatasetSettings) -> Report:
    """The report of a dataset; what can't be read is a finding too."""
    try:
        with passes(dataset) as open_:
            with open_() as engine:
                unfit = engine.faults(tuple(dataset.offered))
            found = profile(dataset, open_)
            unseen = _unseen(dataset, open_)
    except SourceError as error:
        return Report(dataset, None, (Finding("", error.what, is_fault=True),))
    faults = tuple(
        Finding(name, f"{count:,} rows whose value {UNFIT[words]}", is_fault=True)
        for (name, words), count in unfit.items()
    )
    return Report(dataset, found, (*faults, *_of_table(dataset, found), *_of_columns(dataset, found), *unseen))


def _of_table(dataset: DatasetSettings, found: Profile) -> Iterator[Finding]:
    if not found.rows:
        yield Finding("", "the table has no rows", is_fault=True)
    if found.nameless:
        yield Finding(dataset.subject, f"{found.nameless:,} rows without a customer number: {REMEDY_OF_SUBJECT}")
    if found.repeated:
        yield Finding(
            dataset.subject, f"{found.repeated:,} customers have more than one row", is_fault=dataset.one_row_each
        )


def _of_columns(dataset: DatasetSettings, found: Profile) -> Iterator[Finding]:
    for item in found.columns:
        column = dataset.offered.get(item.name)
        if column is None:
            continue
        if item.missing:
            yield Finding(item.name, f"{item.missing:,} rows without a value: only statistics take those")
        if found.rows and item.distinct <= 1:
            yield Finding(item.name, "the same value in all rows")
        if column.type in {"integer", "number"} and column.low is None:
            yield Finding(item.name, "no low and high: not for histograms, quantiles, noise or encrypted scoring")
        if column.type == "category" and not column.values:
            yield Finding(item.name, "no values declared: a job that groups by it must name them")
        if not column.meaning:
            yield Finding(item.name, "no meaning: the catalogue will show none")


def _unseen(dataset: DatasetSettings, open_: Passes) -> tuple[Finding, ...]:
    """Categories that are not declared, which statistics count as "other"."""
    columns = {name: column for name, column in dataset.offered.items() if column.values}
    if not columns:
        return ()
    with open_() as engine:
        counted = engine.collect(engine.everything().select(**{n: _is_other(n, c) for n, c in columns.items()}))
    counts = {name: int(values[0] or 0) for name, values in counted.to_pydict().items()}
    return tuple(
        Finding(name, f'{count:,} rows whose category is not declared: they count as "other"')
        for name, count in counts.items()
        if count
    )


def _is_other(name: str, column: ColumnSettings) -> nw.Expr:
    text = nw.col(name).cast(nw.String)
    return (~text.is_null() & ~text.is_in([str(value) for value in column.values])).cast(nw.Int64).sum()
