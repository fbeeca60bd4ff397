"""PURE: feature values as small bin numbers, which is all that growing trees looks at.

A numeric feature has agreed edges: bin b holds the values above edge b − 1 and up to edge b. A category's bin is
its place in the agreed list. The last bin is for missing values, and for values that are in no list.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.uint8]


@dataclass(frozen=True)
class Feature:
    """How a feature's values fall into bins: by ascending ``edges``, or as they are where it has ``categories``."""

    edges: tuple[float, ...] = ()
    categories: bool = False


def encode(values: Floats, features: Sequence[Feature], last: int) -> Codes:
    """The bin of every value; (rows, features). Missing values, which are NaN, are in bin ``last``."""
    codes = np.empty(values.shape, np.uint8, order="F")  # they are read column by column
    for place, feature in enumerate(features):
        column = values[:, place]
        known = column if feature.categories else np.searchsorted(feature.edges, column)
        codes[:, place] = np.where(np.isnan(column), last, known)
    return codes
