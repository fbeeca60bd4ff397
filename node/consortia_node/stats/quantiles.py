"""PURE: quantiles by looking ever closer: the bin that holds a rank is divided again, in every round.

The quantile at share q of n values is the smallest value with at least q·n values up to it (Hyndman and Fan's type
1). What is known of it is a bracket of fixed-point integers that holds it. Brackets are the parts into which the
bins of a histogram are merged, so that however many ranks are asked for, none tells of fewer than ``smallest``
rows, nor do two of them how few lie between.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consortia_node.moments import rounded
from consortia_node.stats.disclosure import merged_bins
from consortia_node.stats.expressions import Bracket

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Search:
    """Where one quantile is being looked for; ``before`` rows lie below the bracket. ``done``: no closer look."""

    bracket: Bracket
    rank: int
    before: int = 0
    done: bool = False


def begun(low: int, high: int, counts: Integers, share: Decimal, smallest: int) -> Search | None:
    """The search after the first round; ``counts``: below the range, its bins, above. None if outside the range."""
    counts = counts.clip(0)
    rank = max(1, ceil(share * int(counts.sum())))
    part = _part_of(counts, rank, smallest, ends=1)
    if part is None or part.start == 0 or part.stop == len(counts):
        return None
    bracket = _spanned(Bracket(low, high), len(counts) - 2, part.start - 1, part.stop - 1)
    # The highest value of the range belongs to its last bin.
    bracket = Bracket(bracket.low, high + 1) if bracket.end == high else bracket
    return Search(bracket, rank, int(counts[: part.start].sum()), done=bracket.width <= 1)


def closer(search: Search, counts: Integers, smallest: int) -> Search:
    """The search in the bin of its bracket that holds the rank; ``counts``: of the bracket's bins."""
    if search.done:
        return search
    counts = counts.clip(0)
    part = _part_of(counts, search.rank - search.before, smallest)
    if part is None or part == slice(0, len(counts)):
        return Search(search.bracket, search.rank, search.before, done=True)
    bracket = _spanned(search.bracket, len(counts), part.start, part.stop)
    return Search(bracket, search.rank, search.before + int(counts[: part.start].sum()), done=bracket.width <= 1)


def _part_of(counts: Integers, rank: int, smallest: int, *, ends: int = 0) -> slice | None:
    """The merged bins that hold the ``rank``-th row; None if nothing may be told of them, or none do."""
    for part in merged_bins([counts], smallest, ends=ends):
        if int(counts[: part.start].sum()) < rank <= int(counts[: part.stop].sum()):
            return part if int(counts[part].sum()) >= smallest else None
    return None


def _spanned(bracket: Bracket, bins: int, start: int, stop: int) -> Bracket:
    """From the ``start``-th of so many equal parts to before the ``stop``-th."""
    return Bracket(bracket.part(bins, start).low, bracket.part(bins, stop - 1).end)


def brackets_of(searches: Sequence[Search | None]) -> list[Bracket]:
    """What is to be divided in the next round; of a search that is over, nothing. Equal or disjoint."""
    return [search.bracket if search and not search.done else Bracket(0, 0) for search in searches]


def counts_of(counts: Integers, brackets: Sequence[Bracket], place: int, bins: int) -> Integers:
    """The counts of the ``place``-th bracket, which are those of the first one that equals it."""
    first = brackets.index(brackets[place])
    return counts[first * bins : (first + 1) * bins]


def told(search: Search | None, share: Decimal, unit: int) -> dict[str, Any]:
    """As the result says it: the middle of the bracket, and how far off it can be."""
    if search is None:
        return {"at": float(share), "value": None, "error": None}
    low, high = search.bracket.low, search.bracket.end - 1
    return {
        "at": float(share),
        "value": rounded((low + high) / 2 / unit),
        "error": rounded((high - low) / 2 / unit),
    }
