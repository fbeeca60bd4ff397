"""PURE: how the model's preparation is fitted: an institution's share of the sums, and what the totals say.

The sum has the number of rows, and of those held out; for the label and each numeric feature how many rows have
it, its sum and its sum of squares, after filling, clipping and logarithm; for each category the rows with label 0
and with label 1.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consortia_common.documents.kinds.train import MOMENT_WORDS, Parameters
from consortia_common.documents.learners.boosted_trees import BoostedTrees
from consortia_common.models.preparation import Evidence, Feature, Indicator, Numeric, Preparation, Shape, evidence
from consortia_node.errors import StepError, TotalRefusedError
from consortia_node.learning.rows import Rows
from consortia_node.moments import Moments, fixed_point, moment_words, moments, rounded

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


GROWTH = 4
"""Customers may consent while a job runs, and a party come back that was silent when rows were counted; more rows
than so many times those counted are a lie."""


@dataclass(frozen=True)
class Prepared:
    """What the totals say: the fitted preparation, and of all rows their number, and the label's moments."""

    preparation: Preparation
    rows: int
    label: Moments
    ones: int
    """Rows whose label is 1, where the label is 0 or 1."""
    means: Mapping[str, Moments]
    """Of each numeric feature, after filling, clipping and logarithm."""
    held_out: int = 0
    """Rows that nothing is learned from."""

    @property
    def most_rows(self) -> float:
        """Rows that a later sum may be over."""
        return GROWTH * self.rows


def words(rows: Rows, held_out: int, parameters: Parameters) -> Integers:
    """This institution's share."""
    parts = [np.array([len(rows), held_out]), _moments(rows.label, parameters.decimals)]
    for name in parameters.numeric:
        shaped = shape_of(parameters, name).apply(rows.columns[name])
        parts.append(_moments(shaped[~np.isnan(shaped)], parameters.decimals))
    for name, categories in parameters.categories.items():
        parts.append(category_counts(rows.columns[name], rows.label, len(categories), parameters.model.task))
    return np.concatenate(parts).astype(np.int64)


def fitted(total: Integers, parameters: Parameters, smallest: int = 0) -> Prepared:
    """From the opened total. Raises StepError where the data can't make a model, TotalRefusedError for a lie."""
    rows, cut = int(total[0]), iter(np.split(total[2:], _cuts(parameters)))
    _require_rows(rows)
    label, found = _read(next(cut), parameters.decimals), {}
    for name in parameters.numeric:
        count, moment = _read(next(cut), parameters.decimals)
        if count > rows:
            raise TotalRefusedError("a column has more values than there are rows")
        if count == 0:
            raise _nothing(f"feature {name} is missing in all rows of all parties")
        found[name] = moment
    counts = {name: next(cut).reshape(-1, 2) for name in parameters.categories}
    if rows < 0 or any((table < 0).any() for table in counts.values()):
        raise TotalRefusedError("fewer than no rows")
    ones = round(label[1].mean * rows) if parameters.model.task == "binary" else 0
    require_fit(parameters, rows, ones)
    _require_many(parameters, counts, smallest)
    return Prepared(features_of(parameters, found, counts), rows, label[1], ones, found, int(total[1]))


def require_fit(parameters: Parameters, rows: int, ones: int) -> None:
    """Return if there is something to learn from. Raises StepError if not."""
    _require_rows(rows)
    if parameters.model.task == "binary" and not 0 < ones < rows:
        raise _nothing(f"all {rows} rows of all parties have one label")


def _require_rows(rows: int) -> None:
    if rows == 0:
        raise _nothing("there is no row of any party")


def _require_many(parameters: Parameters, counts: Mapping[str, Integers], smallest: int) -> None:
    """Return if no input made of a category tells of fewer than ``smallest`` rows. Raises StepError, naming them.

    A weight of evidence tells the rows with each label, a coefficient of a 0/1 input those of the category.
    """
    if isinstance(parameters.model, BoostedTrees):
        return
    for column, table in counts.items():
        told = table if parameters.encoding == "weight_of_evidence" else table[:-1].sum(axis=1, keepdims=True)
        few = np.flatnonzero(((told > 0) & (told < smallest)).any(axis=1))
        if len(few):
            names = [*map(str, parameters.categories[column]), "any other value"]
            raise StepError(
                f"too few rows of all parties have {column} = {', '.join(names[place] for place in few[:5])}",
                blame="the job spec, which asks what would tell of fewer rows than the agreement's min_cell",
                remedy=f"leave small categories out of categories.{column}: they count as any other value then",
            )


def features_of(
    parameters: Parameters, found: Mapping[str, Moments], counts: Mapping[str, Integers]
) -> Preparation:
    """What is done to the columns, from the moments of numbers and the counts of categories by label."""
    return Preparation(tuple(_features(parameters, found, counts)))


def shape_of(parameters: Parameters, name: str) -> Shape:
    """What is done to a numeric feature before it is standardised."""
    asked = parameters.prepare.get(name)
    if asked is None:
        return Shape()
    fill, low, high = (None if number is None else float(number) for number in (asked.fill, asked.low, asked.high))
    return Shape(fill, low, high, asked.log1p)


def _features(
    parameters: Parameters, found: Mapping[str, Moments], counts: Mapping[str, Integers]
) -> Iterator[Feature]:
    """The inputs in the features' order."""
    for name in parameters.features:
        if name in found:
            shape = shape_of(parameters, name)
            yield Numeric(name, shape, rounded(found[name].mean), rounded(found[name].deviation) or 1.0)
        elif parameters.encoding == "weight_of_evidence":
            yield Evidence(name, tuple(rounded(weight) for weight in evidence(counts[name])))
        else:
            for place, category in enumerate(parameters.categories[name]):
                yield Indicator(name, place, str(category))


def _moments(values: Floats, decimals: int) -> Integers:
    """MOMENT_WORDS words."""
    return np.concatenate([[len(values)], moment_words(fixed_point(values[:, None], decimals))])


def _read(part: Integers, decimals: int) -> tuple[int, Moments]:
    count = int(part[0])
    (moment,) = moments(count, part[1:], decimals)
    return count, moment


def category_counts(places: Floats, label: Floats, categories: int, task: str) -> Integers:
    """Rows by category, the last for values that are in none, and by label; flat (2 · (categories + 1),)."""
    known = np.where(np.isnan(places), categories, places).astype(np.int64)
    ones = label.astype(np.int64) if task == "binary" else np.zeros(len(known), np.int64)
    return np.bincount(2 * known + ones, minlength=2 * (categories + 1))


def _cuts(parameters: Parameters) -> list[int]:
    """Where the parts of the total begin, after the numbers of rows."""
    lengths = [MOMENT_WORDS] * (1 + len(parameters.numeric))
    lengths += [2 * (len(values) + 1) for values in parameters.categories.values()]
    return [int(place) for place in np.cumsum(lengths)[:-1]]


def _nothing(what: str) -> StepError:
    return StepError(
        f"no model can be fitted: {what}",
        blame="the job, or the data of all parties together",
        remedy="look at the columns with a statistics job, and choose the label and the features anew",
    )
