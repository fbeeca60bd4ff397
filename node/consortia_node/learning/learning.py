"""PURE: which rounds fit which model: one interface, whatever is learned."""

from collections.abc import Mapping
from typing import Any, Protocol

from consortia_common.documents.fitted import Fit
from consortia_common.documents.kinds.train import Parameters
from consortia_common.documents.learners.boosted_trees import BoostedTrees
from consortia_common.documents.learners.neural_network import Network
from consortia_common.documents.learners.regression import Regression
from consortia_node.kinds import Floats, Integers
from consortia_node.learning import state
from consortia_node.learning.fit_network import AveragingRounds, ServerStep
from consortia_node.learning.fit_regression import NewtonRounds
from consortia_node.learning.fit_trees import BoostingRounds, Remember
from consortia_node.learning.noising import Noising
from consortia_node.learning.preparing import Prepared
from consortia_node.learning.private_network import PrivateDescentRounds
from consortia_node.learning.private_regression import PrivateNewtonRounds
from consortia_node.learning.private_trees import PrivateBoostingRounds
from consortia_node.learning.rows import Parts


class Learning(Protocol):
    """The rounds of a fit. What it remembers is in ``values``, so that a round can be taken again."""

    def contribute(self, values: Mapping[str, bytes], parts: Parts, turn: int) -> Floats | Integers:
        """What this institution adds to the sum of round ``turn``."""

    def absorb(self, values: state.Values, total: Any, turn: int) -> None:
        """Change what is remembered by the opened total of round ``turn``."""

    def is_over(self, values: Mapping[str, bytes]) -> bool:
        """Whether no further round is needed."""

    def finish(self, values: Mapping[str, bytes]) -> tuple[Fit, dict[str, object]]:
        """The fit, and what is to be said of how it went."""


def learning_of(
    parameters: Parameters,
    prepared: Prepared,
    institution: str,
    min_cell: int,
    server_step: ServerStep,
    remember: Remember,
    *,
    noising: Noising | None = None,
) -> Learning:
    """The rounds for the model that the spec asks for."""
    if noising:
        return _private(parameters, prepared, institution, min_cell, server_step, remember, noising=noising)
    match parameters.model:
        case Regression() as asked:
            return NewtonRounds(parameters, asked, prepared)
        case BoostedTrees() as asked:
            return BoostingRounds(parameters, asked, prepared, institution, min_cell, remember)
        case Network() as asked:
            return AveragingRounds(parameters, asked, prepared, institution, min_cell, server_step)


def _private(
    parameters: Parameters,
    prepared: Prepared,
    institution: str,
    min_cell: int,
    server_step: ServerStep,
    remember: Remember,
    *,
    noising: Noising,
) -> Learning:
    match parameters.model:
        case Regression() as asked:
            return PrivateNewtonRounds(parameters, asked, prepared, noising)
        case BoostedTrees() as asked:
            return PrivateBoostingRounds(
                parameters, asked, prepared, institution, min_cell, remember, noising=noising
            )
        case Network() as asked:
            return PrivateDescentRounds(
                parameters, asked, prepared, institution, min_cell, server_step, noising=noising
            )
