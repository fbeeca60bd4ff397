"""PURE: what of a table may be shown, so that no group of fewer than ``smallest`` rows can be told from it.

Nor by subtraction: every column of categories is first recoded so that each class has enough rows, in the same way
for all tables of a job; then, in a table of several columns, cells are withheld until every line of the table has
none withheld or several that are large enough together, and until no withheld cell follows from the others with all
margins known. Neighbouring bins of a distribution are merged instead. What can still be inferred is between which
bounds a withheld cell lies.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
_AUDITED = 1500
"""Most withheld cells for which it is computed what follows from the margins; of more, nothing is shown."""


def recoded(counts: Integers, smallest: int) -> list[int]:
    """For each class the class that it counts as: itself, or the last one ("other") if it is small.

    The next smallest joins too, for as long as the last is too small itself. ``counts``: rows of each class.
    """
    last = len(counts) - 1
    small = {place for place in range(last) if 0 < counts[place] < smallest}
    merged = int(counts[last]) + sum(int(counts[place]) for place in small)
    left = [place for place in range(last) if counts[place] >= smallest]
    while 0 < merged < smallest and left:
        next_one = min(left, key=lambda place: int(counts[place]))
        left.remove(next_one)
        small.add(next_one)
        merged += int(counts[next_one])
    return [last if place in small else place for place in range(len(counts))]


def regrouped(table: NDArray[np.int64], axis: int, codes: Sequence[int]) -> Integers:
    """``table`` with the classes of ``axis`` added up as recoded; its shape stays."""
    moved = np.moveaxis(table, axis, 0)
    result = np.zeros_like(moved)
    for place, code in enumerate(codes):
        result[code] += moved[place]
    return np.moveaxis(result, 0, axis)


def withheld(counts: Integers, smallest: int) -> Flags:
    """Which cells of a table of one or more axes must not be shown; empty ones may."""
    hidden = (counts > 0) & (counts < smallest)
    while True:
        _protect_lines(counts, hidden, smallest)
        told = _following(hidden) & (counts < smallest)
        if not told.any():
            return hidden
        if not _hide_one_more(counts, hidden, told):
            return counts > 0


def merged_bins(weights: Sequence[Integers], smallest: int) -> list[slice]:
    """Neighbouring bins put together until each part has no rows, or ``smallest`` by each of ``weights``."""
    least = np.minimum.reduce(list(weights))
    whole = np.maximum.reduce(list(weights))
    parts: list[slice] = []
    start, pending = 0, False
    for place in range(len(least)):
        if not pending and whole[place] == 0:
            parts.append(slice(place, place + 1))
            start = place + 1
            continue
        pending = True
        if min(int(weight[start : place + 1].sum()) for weight in weights) >= smallest:
            parts.append(slice(start, place + 1))
            start, pending = place + 1, False
    if pending:
        while parts and whole[parts[-1]].sum() == 0:
            start = parts.pop().start
        start = parts.pop().start if parts else start
        parts.append(slice(start, len(least)))
    return parts


def _protect_lines(counts: Integers, hidden: Flags, smallest: int) -> None:
    """Withhold more, smallest first, until each line has none withheld, or several that are large together."""
    changed = True
    while changed:
        changed = False
        for axis in range(counts.ndim):
            lines, flags = np.moveaxis(counts, axis, -1), np.moveaxis(hidden, axis, -1)
            alone = flags.sum(axis=-1) == 1
            few = np.where(flags, lines, 0).sum(axis=-1) < smallest
            for line in map(tuple, np.argwhere(flags.any(axis=-1) & (alone | few)).tolist()):
                changed |= _hide_in_line(lines[line], flags[line])


def _hide_in_line(line: Integers, flags: Flags) -> bool:
    """Whether another cell of this line could be withheld, and was."""
    open_cells = np.flatnonzero(~flags & (line > 0))
    if not open_cells.size:
        return False
    flags[open_cells[line[open_cells].argmin()]] = True
    return True


def _following(hidden: Flags) -> Flags:
    """The withheld cells whose value follows from all margins and from the cells that are shown."""
    places = np.argwhere(hidden)
    if not len(places):
        return np.zeros_like(hidden)
    if len(places) > _AUDITED:
        return hidden.copy()
    margins = []
    for axis in range(hidden.ndim):
        line = np.delete(places, axis, axis=1)
        _, index = np.unique(line, axis=0, return_inverse=True)
        margins.append(np.eye(index.max() + 1)[index.ravel()].T)
    matrix = np.vstack(margins)
    # A cell follows if its unit vector lies in the row space, onto which this projects.
    _, values, rows = np.linalg.svd(matrix, full_matrices=False)
    rows = rows[values > 1e-9 * max(values.max(initial=0.0), 1.0)]
    told = np.zeros_like(hidden)
    told[tuple(places.T)] = (rows**2).sum(axis=0) > 1 - 1e-6
    return told


def _hide_one_more(counts: Integers, hidden: Flags, told: Flags) -> bool:
    """Withhold the smallest open cell that shares a line with one that follows from the others."""
    near = np.zeros_like(hidden)
    for axis in range(counts.ndim):
        near |= told.any(axis=axis, keepdims=True)
    near &= ~hidden & (counts > 0)
    if not near.any():
        near = ~hidden & (counts > 0)
    if not near.any():
        return False
    masked = np.where(near, counts, np.iinfo(np.int64).max)
    hidden[np.unravel_index(masked.argmin(), counts.shape)] = True
    return True
