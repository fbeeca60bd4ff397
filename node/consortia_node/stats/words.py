"""PURE: a table's integers as the 64-bit words of a sealed sum, and back.

An integer that can be large goes as two words, value = high · 2^53 + low with 0 ≤ low < 2^53; both can be added up
over all institutions without wrapping, and the totals put together again are the exact sum.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from consortia_common.statistics.layout import LOW_BITS, Layout

Integers = NDArray[np.int64]
_LOW = (1 << LOW_BITS) - 1


def to_words(numbers: Sequence[int], layout: Layout) -> Integers:
    """The words of the table's ``numbers``; low words first, then the high words of the wide ones."""
    wide = [field.wide for field in layout.numbers]
    low = [number & _LOW if broad else number for number, broad in zip(numbers, wide, strict=True)]
    high = [number >> LOW_BITS for number, broad in zip(numbers, wide, strict=True) if broad]
    return np.array(low + high, np.int64)


def from_words(words: Integers, layout: Layout) -> list[int]:
    """The numbers of a table from the (sums of the) words."""
    count = len(layout.numbers)
    numbers, high = words[:count].tolist(), words[count:].tolist()
    wide = [place for place, field in enumerate(layout.numbers) if field.wide]
    for place, word in zip(wide, high, strict=True):
        numbers[place] += word << LOW_BITS
    return [int(number) for number in numbers]
