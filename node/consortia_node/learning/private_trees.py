"""PURE: boosted trees from noisy histograms.

A row is in one bin of each feature that the tree may use, so it changes as many bins; features that the tree may
not use are not summed. All features' bins add up to the same rows, so the mean of what they say is taken for the
whole of a node, and what a feature says beside it is spread over its bins (Hay et al., Boosting the Accuracy of
Differentially Private Histograms Through Consistency, 2010).
"""

from collections.abc import Mapping
from dataclasses import replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from consortia_common.documents.kinds.train import SPREAD_BINS, Parameters
from consortia_common.documents.learners.boosted_trees import BoostedTrees
from consortia_node.learning import boosting, state
from consortia_node.learning.fit_trees import BoostingRounds, Remember
from consortia_node.learning.noising import UNIT, Noising, opened
from consortia_node.learning.preparing import Prepared
from consortia_node.learning.rows import Parts, Rows
from consortia_node.learning.trees import Growing

Integers = NDArray[np.int64]
_UNITS = np.array([boosting.UNIT, boosting.UNIT // 4, 1])
"""The most that a row adds to a bin: first and second derivative of the logistic loss, and itself."""


class PrivateBoostingRounds(BoostingRounds):
    """The rounds of one fit; see Learning."""

    def __init__(
        self,
        parameters: Parameters,
        asked: BoostedTrees,
        prepared: Prepared,
        institution: str,
        min_cell: int,
        remember: Remember,
        *,
        noising: Noising,
    ) -> None:
        super().__init__(parameters, asked, prepared, institution, min_cell, remember)
        self._noising = noising
        self._used = int(self._allowed(0).sum())
        drowning = self._drowning(asked.bins + 1)
        self._rules = replace(
            self._rules,
            min_rows=max(self._rules.min_rows, round(drowning)),
            min_hessian=max(self._rules.min_hessian, drowning / 4),
        )

    def tally(self, rows: Rows) -> Integers:
        """As without noise, but with it."""
        counts = super().tally(rows).astype(np.float64)
        return self._noising.add(counts, sqrt(len(self._parameters.numeric)), self._noising.multipliers.spread)

    def agree(self, values: state.Values, total: Integers) -> None:
        """Choose the edges of all bins by counts that are brought back to what counts can be."""
        below = np.cumsum(np.rint(opened(total)).reshape(-1, SPREAD_BINS), axis=1)
        rising = np.maximum.accumulate(np.maximum(below, 0), axis=1)
        super().agree(values, np.diff(rising, axis=1, prepend=0).astype(np.int64))

    def contribute(self, values: Mapping[str, bytes], parts: Parts, turn: int) -> Integers:
        """Histograms of the features that the tree may use, with this institution's share of the noise."""
        exact = self._histograms(values, parts.learned, turn)
        summed = self._summed(self._growing(values, turn), turn)
        numbers = exact.reshape(-1, 3)[summed] / _UNITS
        noisy = np.zeros((len(summed), 3), np.int64)
        noisy[summed] = self._noising.add(numbers.ravel(), self._reach, self._noising.multipliers.rounds).reshape(
            -1, 3
        )
        return noisy.ravel()

    def absorb(self, values: state.Values, total: Integers, turn: int) -> None:
        """Grow the tree by histograms that agree on the whole of each node."""
        numbers = self._noising.opened(total, self._reach, self._prepared.most_rows)
        exact = np.rint(numbers.reshape(-1, 3) * _UNITS)
        histograms = exact.reshape(self._asked.slots(turn), -1, self._asked.bins + 1, 3)
        allowed = self._allowed(self._asked.tree_of(turn)[0])
        self._grow(values, self._growing(values, turn), consistent(histograms, allowed), turn)

    def _summed(self, growing: Growing, turn: int) -> NDArray[np.bool_]:
        """Which bins a round sums: of the nodes that it looks at and the features that the tree may use, flat."""
        nodes = 0 if growing.done else max(len(growing.asked), 1)
        chosen = np.zeros((self._asked.slots(turn), len(self._parameters.features), self._asked.bins + 1), bool)
        chosen[:nodes, self._allowed(self._asked.tree_of(turn)[0])] = True
        return chosen.ravel()

    @property
    def _reach(self) -> float:
        """A row adds to one bin of each feature that the tree may use, in each of three numbers."""
        return sqrt(3 * self._used)

    def _drowning(self, bins: int) -> float:
        """About the deviation of the noise on half of a node's rows: fewer than this many say nothing."""
        one = self._noising.deviation(self._reach, self._noising.multipliers.rounds, 1) / UNIT
        return one * self._noising.whole * sqrt(bins / 2)


def consistent(histograms: NDArray[np.float64], allowed: NDArray[np.bool_]) -> Integers:
    """``histograms`` (nodes, features, bins, 3) changed as little as makes all features' bins add up to one whole.

    Of features that are not ``allowed`` (features,) there is nothing but that whole, in the first bin. No whole has
    a second derivative or rows that are not positive.
    """
    changed = np.zeros_like(histograms)
    known = histograms[:, allowed]
    whole = np.maximum(np.rint(known.sum(axis=2).mean(axis=1, keepdims=True)), [-np.inf, 1, 1])
    beside = np.rint((whole - known.sum(axis=2)) / known.shape[2])[:, :, None]
    changed[:, allowed] = known + beside
    changed[:, :, 0] += whole - changed.sum(axis=2)
    return changed.astype(np.int64)
