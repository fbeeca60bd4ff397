"""``statistics`` at the institution: a table of exact sums over its own rows, and the result from the opened total.

Each group has a row of words: its number of rows, its label sum, and for each column the words of moments.py.
Groups smaller than the agreement's ``min_cell`` are merged before anything is released, so that neither they nor
their difference from the total can be told.
"""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from consortia_common.content import Content
from consortia_common.documents.kinds.statistics import Parameters
from consortia_node.errors import StepError, TotalRefusedError
from consortia_node.kinds import Floats, Integers, Outcome, Step, Work
from consortia_node.moments import WORDS, fixed_point, moment_words, moments, rounded

_OTHER = "other"


def tabulate(work: Work, request: Content) -> Outcome:
    """This institution's table, one row of words a group."""
    del request
    parameters = _parameters(work)
    columns = parameters.reads(work.institution)[0].columns
    table = work.matrix(parameters.dataset, columns)
    fixed = fixed_point(table[:, : len(parameters.columns)], parameters.decimals)
    label = _label(table[:, columns.index(parameters.label)]) if parameters.label else np.zeros(len(table))
    group = _groups(table[:, columns.index(parameters.by)], parameters.groups) if parameters.by else None
    rows = [
        _row(fixed[chosen], label[chosen])
        for chosen in (
            [slice(None)] if group is None else [group == index for index in range(len(parameters.groups) + 1)]
        )
    ]
    return Outcome(summand=np.concatenate(rows))


def conclude(work: Work, request: Content) -> Outcome:
    """The result: overall and by group, small groups merged."""
    parameters = _parameters(work)
    del request
    table = work.total("table").reshape(len(parameters.groups) + 1, -1)
    if (table[:, 0] < 0).any():
        raise TotalRefusedError("a group has fewer than no rows")
    if table[:, 0].sum() < work.min_cell:
        raise StepError(
            f"all parties together have fewer rows than the {work.min_cell} of which statistics may be released",
            blame="the job, which asks about too few customers",
            remedy="submit it again when more of them have given consent",
        )
    result: dict[str, Any] = {
        "kind": "statistics",
        "parties": list(work.spec.parties),
        "overall": _describe(table.sum(axis=0), parameters),
    }
    if parameters.by:
        result["by"] = parameters.by
        result["groups"] = {
            name: _describe(row, parameters) for name, row in merge_small(_named(table, parameters), work.min_cell)
        }
    return Outcome(result=result)


def merge_small(groups: Mapping[str, Integers], smallest: int) -> list[tuple[str, Integers]]:
    """``groups`` with every one of fewer than ``smallest`` rows merged into "other", and the next smallest too
    while "other" itself is too small; empty groups are dropped."""
    kept = {name: row for name, row in groups.items() if row[0] > 0}
    small = [name for name, row in kept.items() if row[0] < smallest and name != _OTHER]
    merged = kept.pop(_OTHER, None)
    for name in small:
        merged = kept.pop(name) if merged is None else merged + kept.pop(name)
    while merged is not None and merged[0] < smallest and kept:
        merged = merged + kept.pop(min(kept, key=lambda name: int(kept[name][0])))
    return [*kept.items(), *([(_OTHER, merged)] if merged is not None and merged[0] >= smallest else [])]


def _named(table: Integers, parameters: Parameters) -> dict[str, Integers]:
    names = [str(code) for code in parameters.groups] + [_OTHER]
    return dict(zip(names, table, strict=True))


def _row(fixed: Integers, label: Floats) -> Integers:
    head = np.array([len(fixed), int(label.sum())], np.int64)
    return np.concatenate([head, moment_words(fixed)])


def _groups(codes: Floats, groups: tuple[int, ...]) -> Integers:
    """The index of each row's group; len(groups) for any code that has none of its own."""
    index = np.full(len(codes), len(groups), np.int64)
    for position, code in enumerate(groups):
        index[codes == code] = position
    return index


def _label(values: Floats) -> Floats:
    if not np.isin(values, (0.0, 1.0)).all():
        raise StepError(
            "the label column holds something other than 0 and 1",
            blame="this institution's dataset",
            remedy="prepare the column so that it is 1 where the event happened and 0 elsewhere",
        )
    return values


def _describe(row: Integers, parameters: Parameters) -> dict[str, Any]:
    count = int(row[0])
    described: dict[str, Any] = {"count": count}
    if parameters.label:
        described["label_rate"] = rounded(int(row[1]) / count) if count else None
    found = moments(count, row[2 : 2 + WORDS * len(parameters.columns)], parameters.decimals)
    described["columns"] = {
        column: {"mean": rounded(item.mean), "std": rounded(item.deviation)}
        for column, item in zip(parameters.columns, found, strict=True)
    }
    return described


def _parameters(work: Work) -> Parameters:
    return cast("Parameters", work.spec.parameters)


STEPS: Mapping[str, Step] = {
    "query.tabulate": Step(tabulate, reads=True),
    "query.conclude": Step(conclude),
}
