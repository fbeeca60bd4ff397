"""PURE: one institution's table of numbers from a frame of its consented rows: one query for sums, one for counts.

Both are aggregate expressions that the engine evaluates; a handful of numbers comes back.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from consortia_common.documents.kinds.statistics import Parameters
from consortia_common.statistics.layout import LARGEST, Field, Layout
from consortia_node.errors import StepError
from consortia_node.stats.expressions import CELL, LABEL, Bracket, Expressions

Frame = nw.LazyFrame[Any]
CountBy = Callable[[Frame, Mapping[str, tuple[nw.Expr, int]]], dict[str, NDArray[np.int64]]]
"""See consortia_node.sources.tally."""
_COMPLETE = "_complete"
_UNFIT = "_unfit"


def table(frame: Frame, parameters: Parameters, count_by: CountBy) -> list[int]:
    """The numbers of the first round, in the order of ``parameters.layout()``. Raises StepError."""
    layout = parameters.layout()
    schema = frame.collect_schema()
    expressions = Expressions(schema, parameters)
    summed = None if _tallies_tell(parameters, schema) else _sums(frame, expressions, parameters, layout)
    keys = {str(place): (expressions.key(tally), tally.size) for place, tally in enumerate(layout.tallies)}
    counts = count_by(frame, keys) if keys else {}
    tallies = [counts[key].reshape(tally.shape) for key, tally in zip(keys, layout.tallies, strict=True)]
    cells, related = summed or ([_told(tallies[-1], labelled=bool(parameters.label))], [])
    numbers = [number for cell in cells for number in cell]
    for tally in tallies:
        numbers += tally.ravel().tolist()
    return [*numbers, *related]


def _tallies_tell(parameters: Parameters, schema: Mapping[str, Any]) -> bool:
    """Whether the tallies hold all that the only cell needs, so that one scan is enough."""
    if parameters.by or parameters.columns or parameters.correlations or not parameters.layout().tallies:
        return False
    return not parameters.label or bool(parameters.information and schema[parameters.label] == nw.Boolean)


def _told(tally: NDArray[np.int64], *, labelled: bool) -> list[int]:
    """The fields of the only cell out of any tally, which counts every row; with a label, the last axis is its."""
    rows = int(tally.sum())
    zeros, ones = (int(tally[..., label].sum()) for label in (0, 1)) if labelled else (0, 0)
    return [rows, zeros + ones, ones] if labelled else [rows]


def refined(
    frame: Frame, parameters: Parameters, brackets: Mapping[str, Sequence[Bracket]], count_by: CountBy
) -> list[int]:
    """The numbers of a later round, in the order of ``parameters.refined()``."""
    expressions = Expressions(frame.collect_schema(), parameters)
    sizes = {tally.axes[0].column: tally.size for tally in parameters.refined().tallies}
    keys = {column: (expressions.bracketed(column, brackets[column]), size) for column, size in sizes.items()}
    counts = count_by(frame, keys)
    return [number for column in sizes for number in counts[column].tolist()]


def require_few_rows(frame: Frame, subject: str, most: int) -> None:
    """Return if no customer has more than ``most`` rows. Raises StepError."""
    rows = frame.group_by(subject).agg(nw.len().alias("_rows"))
    found = rows.select(nw.col("_rows").max()).collect("pyarrow").to_native()["_rows"][0].as_py()
    if (found or 0) > most:
        raise StepError(
            f"a customer has more rows here than the spec's noise.rows_per_customer of {most}",
            blame="the job spec",
            remedy="submit the job again with a larger rows_per_customer; the noise grows with it",
        )


def _sums(
    frame: Frame, expressions: Expressions, parameters: Parameters, layout: Layout
) -> tuple[list[list[int]], list[int]]:
    """The fields of each cell, and the related sums over all of them."""
    columns = dict.fromkeys([*parameters.columns, *parameters.correlations])
    names = {column: f"_x{place}" for place, column in enumerate(columns)}
    wanted = {name: expressions.fixed(column) for column, name in names.items()}
    given = {f"_given{name}": nw.col(f"_raw{name}").count() for name in names.values()}
    fitting = {f"_fitting{name}": nw.col(name).count() for name in names.values()}
    raw = {f"_raw{name}": nw.col(column) for column, name in names.items()}
    if parameters.label:
        wanted[LABEL] = expressions.label()
    wide = frame.select(**{CELL: expressions.key(layout.cells)}, **wanted, **raw)
    if layout.related:
        complete = ~nw.any_horizontal(
            *(nw.col(names[c]).is_null() for c in parameters.correlations), ignore_nulls=False
        )
        wide = wide.with_columns(
            **{f"_r{names[c]}": nw.when(complete).then(nw.col(names[c])) for c in parameters.correlations},
            **{_COMPLETE: complete.cast(nw.Int64)},
        )
    aggregates = {f"_f{place}": _aggregate(field, names) for place, field in enumerate(layout.fields)}
    aggregates |= {f"_g{place}": _related(field, names) for place, field in enumerate(layout.related)}
    aggregates |= given | fitting
    if parameters.label:
        label = nw.col(LABEL)
        aggregates[_UNFIT] = ((label != 0) & (label != 1)).cast(nw.Int64).sum()
    rows = _collected(wide, aggregates, grouped=bool(layout.cells.axes))
    _check(rows, parameters, names)
    cells = [[0] * len(layout.fields) for _ in range(layout.cells.size)]
    related = [0] * len(layout.related)
    for row in rows:
        cells[row[CELL]] = [int(row[f"_f{place}"] or 0) for place in range(len(layout.fields))]
        related = [total + int(row[f"_g{place}"] or 0) for place, total in enumerate(related)]
    return cells, related


def _collected(wide: Frame, aggregates: Mapping[str, nw.Expr], *, grouped: bool) -> list[dict[str, Any]]:
    if grouped:
        found = wide.group_by(CELL).agg(**aggregates)
    else:
        found = wide.select(**aggregates).with_columns(**{CELL: nw.lit(0)})
    rows: list[dict[str, Any]] = found.collect("pyarrow").to_native().to_pylist()
    return rows


def _aggregate(field: Field, names: Mapping[str, str]) -> nw.Expr:
    if field.measure == "rows":
        return nw.len()
    column = nw.col(LABEL if field.measure in ("known", "ones") else names[field.columns[0]])
    if field.measure in ("known", "count"):
        return column.count()
    return (column * column).sum() if field.measure == "squares" else column.sum()


def _related(field: Field, names: Mapping[str, str]) -> nw.Expr:
    if field.measure == "rows":
        return nw.col(_COMPLETE).sum()
    if field.measure == "count":
        return nw.col(names[field.columns[0]]).count()
    first, *second = (nw.col(f"_r{names[column]}") for column in field.columns)
    return (first * second[0]).sum() if second else first.sum()


def _check(rows: Sequence[Mapping[str, Any]], parameters: Parameters, names: Mapping[str, str]) -> None:
    """Refuse what can't be summed; it tells columns, never a value."""
    most = LARGEST / 10**parameters.decimals
    for column, name in names.items():
        if any(row[f"_given{name}"] != row[f"_fitting{name}"] for row in rows):
            raise StepError(
                f"column {column} has a value larger than {most:g}, the most that fits with "
                f"{parameters.decimals} decimals",
                blame="the job spec, which asks for more decimals than the data allow",
                remedy="submit the job again with fewer decimals",
            )
    if parameters.label and any(row[_UNFIT] for row in rows):
        raise StepError(
            f"the label column {parameters.label} holds something other than 0 and 1",
            blame="this institution's dataset",
            remedy="prepare the column so that it is 1 where the event happened and 0 elsewhere",
        )
