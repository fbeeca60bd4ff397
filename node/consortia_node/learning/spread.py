"""PURE: joint quantiles in one round: counts in fine bins that suit any law of the values, and edges from them.

The fine bins are equal on the scale asinh(100 · (x − mean) / deviation): as narrow as a ten-thousandth of a
deviation about the mean, and about one per cent of the distance far from it, so that they resolve a bell and a
long tail alike. Their number and place follow from the moments, which everybody has.
"""

import numpy as np
from numpy.typing import NDArray

from consortia_common.documents.kinds.train import SPREAD_BINS
from consortia_node.moments import Moments, rounded

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_ZOOM = 100.0
_REACH = float(np.arcsinh(_ZOOM * 1e4))
"""Ten thousand deviations on either side; what is beyond counts in the outermost bins."""


def counts(values: Floats, moment: Moments) -> Integers:
    """Rows in each of the SPREAD_BINS fine bins, missing ones in none."""
    there = values[~np.isnan(values)]
    scaled = np.arcsinh(_ZOOM * (there - moment.mean) / (moment.deviation or 1.0))
    place = np.floor((scaled + _REACH) / (2 * _REACH) * SPREAD_BINS).astype(np.int64)
    return np.bincount(np.clip(place, 0, SPREAD_BINS - 1), minlength=SPREAD_BINS)


def edges(total: Integers, moment: Moments, bins: int) -> tuple[float, ...]:
    """At most ``bins`` − 1 ascending edges that cut the rows into parts as equal as the fine bins allow."""
    below = np.cumsum(total)
    wanted = np.arange(1, bins) / bins * below[-1]
    places = np.unique(np.searchsorted(below, wanted) + 1)
    inner = places[(places < SPREAD_BINS) & (below[places - 1] < below[-1])]
    found = np.sinh(inner / SPREAD_BINS * 2 * _REACH - _REACH) / _ZOOM * (moment.deviation or 1.0) + moment.mean
    return tuple(dict.fromkeys(rounded(float(edge)) for edge in found))
