"""PURE: which earlier answers, taken together with a new one, would single out a few customers.

An answer is a sum over a cohort. Answers can be added and subtracted, so what they give away is every combination
of their cohorts: two that differ by one customer show that customer, and so do three of which the third is the
first without the second, but for one. Customers who are in the same cohorts form an atom, since no combination
can part them. A combination is dangerous if it is zero on all atoms but some that have, together, fewer than
``min_cell`` customers.

Exact for any two cohorts, and for any number as long as the small atoms leave at most two independent
combinations; beyond that it finds what elimination from each small atom finds, which is not always all there is.
Not looked at: values that changed in the meantime, and rows of customers who are not on record (where the
agreement rests on another basis than consent) except by their number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
_PRIME = (1 << 31) - 1
"""Combinations are computed modulo this prime, exactly."""
_STARTS = 512
"""From so many small atoms elimination is started."""


@dataclass(frozen=True)
class Held:
    """The cohort of an earlier job: its customers' ids, ascending, its rows, and how many were erased since."""

    job_id: str
    ids: Ids
    row_count: int
    erased: int = 0


def exposed_by(new: Ids, row_count: int, earlier: Sequence[Held], min_cell: int) -> tuple[str, ...]:
    """The earlier jobs that, together with the new one, would show fewer than ``min_cell`` customers, or none.

    ``new`` are the ids of its customers, ascending. Of the same customers, a few rows more or less count as well.
    """
    for held in earlier:
        customers = np.setxor1d(new, held.ids, assume_unique=True).size + held.erased
        if customers < min_cell and (customers or 0 < abs(row_count - held.row_count) < min_cell):
            return (held.job_id,)
    if len(earlier) < 2:
        return ()
    matrix, sizes = _atoms(new, earlier)
    large = sizes >= min_cell
    coefficients = _cancelling(matrix[:, large])
    left, sizes = coefficients @ matrix[:, ~large] % _PRIME, sizes[~large]
    for start in range(min(_STARTS, len(sizes))):
        order = np.roll(np.arange(len(sizes)), -start)
        rows = _reduced(np.hstack([left[:, order], coefficients]), len(sizes))
        for row in rows:
            shown, used = row[: len(sizes)] != 0, row[len(sizes) :]
            if used[0] and used[1:].any() and 0 < sizes[order][shown].sum() < min_cell:
                return tuple(held.job_id for held, weight in zip(earlier, used[1:], strict=True) if weight)
    return ()


def _atoms(new: Ids, earlier: Sequence[Held]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Who is in which cohort: a 0/1 matrix (cohorts, atoms), the new one first; and how many each atom has.

    Customers who were erased can't be told apart any more; those of each cohort are an atom of their own.
    """
    sets = [new, *(held.ids for held in earlier)]
    everybody = np.unique(np.concatenate(sets))
    label = np.zeros(everybody.size, np.int64)
    for ids in sets:
        label = np.unique(2 * label + _among(everybody, ids), return_inverse=True)[1]
    _, first, sizes = np.unique(label, return_index=True, return_counts=True)
    matrix = np.array([_among(everybody[first], ids) for ids in sets], np.int64)
    gone = [(row, held.erased) for row, held in enumerate(earlier, start=1) if held.erased]
    extra = np.zeros((len(sets), len(gone)), np.int64)
    for column, (row, _) in enumerate(gone):
        extra[row, column] = 1
    return np.hstack([matrix, extra]), np.concatenate([sizes, np.array([erased for _, erased in gone], np.int64)])


def _among(some: Ids, ids: Ids) -> NDArray[np.bool_]:
    """Which of ``some`` are in ``ids``, which ascend."""
    if not ids.size:
        return np.zeros(some.size, np.bool_)
    place = np.searchsorted(ids, some).clip(max=ids.size - 1)
    found: NDArray[np.bool_] = ids[place] == some
    return found


def _cancelling(matrix: NDArray[np.int64]) -> NDArray[np.int64]:
    """A basis of the combinations of rows that are zero in every column, as rows of coefficients."""
    count, width = matrix.shape
    reduced = _eliminated(np.hstack([matrix, np.eye(count, dtype=np.int64)]), width)
    return reduced[~reduced[:, :width].any(axis=1), width:]


def _reduced(matrix: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """The rows in reduced form by their first ``width`` columns, without those that are zero there."""
    reduced = _eliminated(matrix, width)
    return reduced[reduced[:, :width].any(axis=1)]


def _eliminated(matrix: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Gauss-Jordan elimination modulo _PRIME, pivots in the first ``width`` columns from left to right."""
    rows = matrix % _PRIME
    for done in range(len(rows)):
        candidates = rows[done:, :width].any(axis=0)
        if not candidates.any():
            break
        column = int(candidates.argmax())
        pivot = done + int((rows[done:, column] != 0).argmax())
        rows[[done, pivot]] = rows[[pivot, done]]
        rows[done] = rows[done] * pow(int(rows[done, column]), -1, _PRIME) % _PRIME
        others = np.arange(len(rows)) != done
        rows[others] = (rows[others] - np.outer(rows[others, column], rows[done])) % _PRIME
    return rows
