"""PURE: quantiles by looking ever closer: the bin that holds a rank is divided again, in every round.

The quantile at share q of n values is the smallest value with at least q·n values up to it (Hyndman and Fan's type
1). What is known of it is a bracket of fixed-point integers that holds it; a bracket is not divided further once it
would hold fewer than ``smallest`` rows, or is one step wide.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consortia_node.moments import rounded
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
    inside = Search(Bracket(low, high), rank, int(counts[0]))
    if not counts[0] < rank <= counts[:-1].sum():
        return None
    found = closer(inside, counts[1:-1], smallest)
    if found.bracket.end == high:
        return Search(Bracket(found.bracket.low, high + 1), rank, found.before, found.done)
    return found


def closer(search: Search, counts: Integers, smallest: int) -> Search:
    """The search in the bin of its bracket that holds the rank; ``counts``: of the bracket's bins."""
    if search.done:
        return search
    counts = counts.clip(0)
    place = int(np.searchsorted(search.before + counts.cumsum(), search.rank))
    if place >= len(counts) or counts[place] < smallest:
        return Search(search.bracket, search.rank, search.before, done=True)
    part = search.bracket.part(len(counts), place)
    return Search(part, search.rank, search.before + int(counts[:place].sum()), done=part.width <= 1)


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
