"""PURE: what of a table may be shown, so that no group of fewer than ``smallest`` rows can be told from it.

Nor by subtraction: every column of categories is first recoded so that each class has enough rows, in the same way
for all tables of a job; then, in a table of several columns, cells are withheld until every line of the table has
none withheld or several that are large enough together, and until no small cell follows from the others with all
margins known that are not small themselves. Neighbouring bins of a distribution are merged instead. What can still
be inferred is between which bounds a withheld cell lies.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
Margins = dict[tuple[int, ...], Flags]
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
    """Which cells of a table of one or more axes must not be shown; empty ones may.

    Taken to be known besides the cells shown: every margin that could itself be shown by this rule.
    """
    hidden = (counts > 0) & (counts < smallest)
    if not hidden.any() and counts.ndim == 1:
        return hidden
    margins = _margins(counts, smallest)
    while True:
        _protect_lines(counts, hidden, margins, smallest)
        told = _following(hidden, margins) & (counts < smallest)
        if not told.any():
            return hidden
        if not _hide_more(counts, hidden, told):
            return counts > 0


def merged_bins(weights: Sequence[Integers], smallest: int, *, ends: int = 0) -> list[slice]:
    """Neighbouring bins put together until each part has no rows, or ``smallest`` by each of ``weights``.

    A part of several bins takes in the empty ones beside it, lest its edge be where one row lies; not so the
    ``ends``, the open bins below and above the range. If there are too few rows in all, one part holds them.
    """
    whole = np.maximum.reduce(list(weights))
    parts: list[list[int]] = []
    start = -1
    for place in np.flatnonzero(whole).tolist():
        start = place if start < 0 else start
        if min(int(weight[start : place + 1].sum()) for weight in weights) >= smallest:
            parts.append([start, place + 1])
            start = -1
    if start >= 0:
        last = int(np.flatnonzero(whole)[-1]) + 1
        parts = [*parts[:-1], [parts[-1][0] if parts else start, last]]
    return _covering(parts, len(whole), ends, is_thin=start >= 0)


def _covering(parts: list[list[int]], size: int, ends: int, *, is_thin: bool) -> list[slice]:
    """The parts, wider by the empty bins beside them where they are of several or the last is too small, and each
    other bin by itself."""
    found: list[slice] = []
    for number, (start, stop) in enumerate(parts):
        before = found[-1].stop if found else 0
        after = parts[number + 1][0] if number + 1 < len(parts) else size
        if stop - start > 1 or (is_thin and number + 1 == len(parts)):
            start = min(start, max(before, ends))  # noqa: PLW2901 - what it is from here on
            stop = max(stop, min(after, size - ends))  # noqa: PLW2901
        found += [slice(place, place + 1) for place in range(before, start)]
        found.append(slice(start, stop))
    rest = found[-1].stop if found else 0
    return [*found, *(slice(place, place + 1) for place in range(rest, size))]


def _margins(counts: Integers, smallest: int) -> Margins:
    """For each set of axes that is kept, which sums over the others are known."""
    margins: Margins = {(): np.array(True)}
    for size in range(1, counts.ndim):
        for kept in combinations(range(counts.ndim), size):
            others = tuple(axis for axis in range(counts.ndim) if axis not in kept)
            margins[kept] = ~withheld(counts.sum(axis=others), smallest)
    return margins


def _protect_lines(counts: Integers, hidden: Flags, margins: Margins, smallest: int) -> None:
    """Withhold more, smallest first, until each line whose sum is known has none withheld, or several that are
    large together, and each line whose sum is not known has some."""
    changed = True
    while changed:
        changed = False
        for axis in range(counts.ndim):
            known = margins[tuple(other for other in range(counts.ndim) if other != axis)]
            lines, flags = np.moveaxis(counts, axis, -1), np.moveaxis(hidden, axis, -1)
            alone = flags.sum(axis=-1) == 1
            few = flags.any(axis=-1) & (np.where(flags, lines, 0).sum(axis=-1) < smallest)
            open_wide = ~flags.any(axis=-1) & (lines > 0).any(axis=-1)
            for line in map(tuple, np.argwhere(np.where(known, alone | few, open_wide)).tolist()):
                changed |= _hide_in_line(lines[line], flags[line])


def _hide_in_line(line: Integers, flags: Flags) -> bool:
    """Whether another cell of this line could be withheld, and was."""
    open_cells = np.flatnonzero(~flags & (line > 0))
    if not open_cells.size:
        return False
    flags[open_cells[line[open_cells].argmin()]] = True
    return True


def _following(hidden: Flags, margins: Margins) -> Flags:
    """The withheld cells whose value follows from the known margins and from the cells that are shown."""
    places = np.argwhere(hidden)
    if not len(places):
        return np.zeros_like(hidden)
    if len(places) > _AUDITED:
        return hidden.copy()
    sums = []
    for kept, known in margins.items():
        told, index = np.unique(places[:, list(kept)], axis=0, return_inverse=True)
        rows = np.eye(len(told))[index.ravel()].T
        sums.append(rows[[bool(known[tuple(margin)]) for margin in told.tolist()]])
    # A cell follows if its unit vector lies in the row space, onto which this projects.
    _, values, rows = np.linalg.svd(np.vstack(sums), full_matrices=False)
    rows = rows[values > 1e-9 * max(values.max(initial=0.0), 1.0)]
    follows = np.zeros_like(hidden)
    follows[tuple(places.T)] = (rows**2).sum(axis=0) > 1 - 1e-6
    return follows


def _hide_more(counts: Integers, hidden: Flags, told: Flags) -> bool:
    """For each cell that follows from others withhold the smallest open one that shares a line with it, or else
    the smallest of all; whether there was any."""
    changed = False
    for place in np.argwhere(told):
        apart = (np.indices(counts.shape).reshape(counts.ndim, -1) != place[:, None]).sum(axis=0)
        near = (apart == 1).reshape(counts.shape) & ~hidden & (counts > 0)
        candidates = near if near.any() else ~hidden & (counts > 0)
        if candidates.any():
            masked = np.where(candidates, counts, np.iinfo(np.int64).max)
            hidden[np.unravel_index(masked.argmin(), counts.shape)] = True
            changed = True
    return changed
