"""PURE: a network by DP-SGD over all institutions: a round is one step on a sample of everybody's rows.

Each institution adds up the gradients of its sampled rows, each shortened to the spec's clip, with its share of
the noise; the opened sum over the expected size of the sample is the noisy mean gradient (Abadi et al., Deep
Learning with Differential Privacy, 2016). Which rows were sampled nobody else learns.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from consortia_common.documents.kinds.train import Parameters
from consortia_common.documents.learners.neural_network import Network as Asked
from consortia_node.learning import state
from consortia_node.learning.fit_network import AveragingRounds, ServerStep
from consortia_node.learning.noising import Integers, Noising
from consortia_node.learning.preparing import Prepared
from consortia_node.learning.rows import Parts

Floats = NDArray[np.float64]


class PrivateDescentRounds(AveragingRounds):
    """The rounds of one fit; see Learning."""

    def __init__(
        self,
        parameters: Parameters,
        asked: Asked,
        prepared: Prepared,
        institution: str,
        min_cell: int,
        server_step: ServerStep,
        *,
        noising: Noising,
    ) -> None:
        super().__init__(parameters, asked, prepared, institution, min_cell, server_step)
        self._noising = noising

    def contribute(self, values: Mapping[str, bytes], parts: Parts, turn: int) -> Integers:
        """The noisy sum of clipped gradients over a fresh sample of this institution's rows."""
        del turn
        rows = parts.learned
        sampled = rows.of(self._noising.sample(len(rows)))
        model, features = self._recall(values), self._prepared.preparation.matrix(sampled.columns)
        clip = float(self._noising.asked.clip)
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused before it is sealed
            error = self._slope(sampled)(self._network.margin(model, features), np.arange(len(sampled)))
            gradient = self._network.gradient(model, features, error, clip)
        return self._noising.add(gradient / clip, 1.0, self._noising.multipliers.rounds)

    def absorb(self, values: state.Values, total: Integers, turn: int) -> None:
        """Take the strategy's server step with the step down the noisy mean gradient."""
        model, asked = self._recall(values), self._noising.asked
        expected = max(float(asked.sampling) * self._prepared.rows, 1.0)
        gradient = (
            self._noising.opened(total, 1.0, self._prepared.most_rows) * float(asked.clip) / expected
            + float(self._asked.l2) * model
        )
        update = -float(self._asked.learning_rate) * self._share(turn) * gradient
        self._step(values, update)
