"""PURE: an institution's rows as training sees them: columns of floats, missing ones NaN, and a checked label."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from consortia_common.documents.base import Number
from consortia_common.documents.fitted import Model
from consortia_common.documents.kinds.train import Parameters
from consortia_common.models.preparation import Columns
from consortia_node.errors import StepError

Floats = NDArray[np.float64]
_BLOCK = 1 << 16
_LABELS = {
    "binary": ("something other than 0 and 1", "prepare the column: 1 where the event happened, else 0"),
    "count": ("something other than counts 0, 1, 2, …", "prepare the column, or choose a model for numbers"),
    "number": ("something other than finite numbers", "prepare the column"),
}


@dataclass(frozen=True)
class Rows:
    """Columns by name, label and weight; (rows,) each. Categories are places in the spec's list, NaN if in none."""

    columns: Columns
    label: Floats
    weight: Floats

    def __len__(self) -> int:
        return len(self.label)

    def of(self, chosen: NDArray[np.bool_]) -> "Rows":
        """Those that are ``chosen``; (rows,)."""
        columns = {name: column[chosen] for name, column in self.columns.items()}
        return Rows(columns, self.label[chosen], self.weight[chosen])

    def blocks(self) -> Iterator["Rows"]:
        """The rows in order, some at a time, so that what is computed of them stays in the processor's caches."""
        for start in range(0, max(len(self), 1), _BLOCK):
            part = slice(start, start + _BLOCK)
            columns = {name: column[part] for name, column in self.columns.items()}
            yield Rows(columns, self.label[part], self.weight[part])


@dataclass(frozen=True)
class Parts:
    """The rows that a model learns from, and those held out to see how it does."""

    learned: Rows
    held_out: Rows

    @classmethod
    def of(cls, rows: Rows, held: NDArray[np.bool_]) -> "Parts":
        """``held`` out are these; (rows,)."""
        return cls(rows.of(~held), rows.of(held))


def drawn(customers: Sequence[str], share: Number, seed: int) -> NDArray[np.bool_]:
    """Whether each customer is held out, by a hash keyed with the spec's seed: whoever else is there, the same."""
    key, limit = seed.to_bytes(8, "big"), int(share * (1 << 64))
    hashes = (hashlib.blake2b(customer.encode(), key=key, digest_size=8).digest() for customer in customers)
    return np.fromiter((int.from_bytes(each, "big") < limit for each in hashes), bool, len(customers))


def of_table(table: pa.Table, parameters: Parameters, dataset: str) -> Rows:
    """The rows of ``table``, which has the spec's features, label and weight. Raises StepError for unfit values."""
    columns = {
        name: places(table[name], parameters.categories[name])
        if name in parameters.categories
        else _numbers(table[name], name, dataset)
        for name in parameters.features
    }
    label = _numbers(table[parameters.label], parameters.label, dataset)
    _check_label(label, parameters.model.task, dataset)
    weight = _weight(table, parameters, dataset)
    if weight.sum() > parameters.max_rows:
        raise StepError(
            f"there are more rows with consent here than the spec's max_rows of {parameters.max_rows}",
            blame="the job spec",
            remedy="submit the job again with a larger max_rows",
        )
    return Rows(columns, label, weight)


def for_model(table: pa.Table, model: Model, label: str, task: str, dataset: str) -> Rows:
    """The rows of ``table`` as ``model`` looks at them, each of weight 1. Raises StepError for unfit values."""
    columns = {
        name: places(table[name], model.categories[name])
        if name in model.categories
        else _numbers(table[name], name, dataset)
        for name in model.columns
    }
    labels = _numbers(table[label], label, dataset)
    _check_label(labels, task, dataset)
    return Rows(columns, labels, np.ones(len(labels)))


def _numbers(column: pa.ChunkedArray, name: str, dataset: str) -> Floats:
    try:
        values = pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowException:
        raise _unfit(dataset, name, "no numbers", "name its categories in the job spec, or leave it out") from None
    found = np.asarray(values, np.float64)
    if np.isinf(found).any():
        raise _unfit(dataset, name, "infinite values", "mend the table")
    return found


def places(column: pa.ChunkedArray, categories: tuple[int | str, ...]) -> Floats:
    """The place of each value in ``categories``; NaN for any other. Numbers and texts are compared as texts."""
    texts = pc.cast(column, pa.string())
    known = pa.array([str(category) for category in categories])
    places = pc.cast(pc.index_in(texts, value_set=known), pa.float64())
    return np.asarray(places.to_numpy(zero_copy_only=False), np.float64)


def _check_label(label: Floats, task: str, dataset: str) -> None:
    missing = int(np.isnan(label).sum())
    if missing:
        raise StepError(
            f"the label of {dataset} is missing in {missing} rows",
            blame="this institution's dataset",
            remedy="leave rows without an outcome out of the table that is offered for training",
        )
    counts = bool((label >= 0).all() and (label == np.rint(label)).all())
    fits = {"binary": bool(np.isin(label, (0.0, 1.0)).all()), "count": counts, "number": True}
    if not fits[task]:
        what, remedy = _LABELS[task]
        raise StepError(
            f"the label column of {dataset} holds {what}", blame="this institution's dataset", remedy=remedy
        )


def _weight(table: pa.Table, parameters: Parameters, dataset: str) -> Floats:
    if parameters.weight is None:
        return np.ones(len(table))
    weight = _numbers(table[parameters.weight], parameters.weight, dataset)
    if not (weight > 0).all():
        raise _unfit(dataset, parameters.weight, "weights that are missing or not above 0", "mend the table")
    return weight


def _unfit(dataset: str, name: str, what: str, remedy: str) -> StepError:
    return StepError(f"column {name} of {dataset} holds {what}", blame="this institution's dataset", remedy=remedy)
