"""PURE: local training of a network by stochastic gradient descent, as one institution does it in one round.

Sources: Goodfellow, Bengio and Courville, Deep Learning, ch. 8; Li et al., FedProx (2020), for the proximal term.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Trainable(Protocol):
    """A network with all its weights in one vector: numpy's or PyTorch's."""

    def margin(self, weights: Floats, features: Floats) -> Floats:
        """The output before the link; (rows,)."""

    def gradient(self, weights: Floats, features: Floats, error: Floats) -> Floats:
        """The sum over rows of each row's gradient, given the loss's slope by the margin in ``error`` (rows,).

        Asked right after ``margin`` with the same weights and features.
        """


@dataclass(frozen=True)
class Descent:
    """How one institution trains in one round."""

    epochs: int
    batch: int
    learning_rate: float
    momentum: float = 0.0
    l2: float = 0.0
    proximal: float = 0.0
    """FedProx's μ: pulls towards the round's joint model."""
    max_norm: float | None = None
    """Longest gradient of a batch; longer ones are shortened."""


def train(
    network: Trainable,
    start: Floats,
    features: Floats,
    slope: Callable[[Floats, NDArray[np.int64]], Floats],
    descent: Descent,
    chance: np.random.Generator,
) -> Floats:
    """The weights after this round's local epochs. ``slope(margins, rows)`` is each row's loss's slope."""
    weights, velocity = start.copy(), np.zeros_like(start)
    with np.errstate(over="ignore", invalid="ignore"):  # whoever seals the outcome refuses what is not finite
        for rows in _batches(len(features), descent, chance):
            batch = features[rows]
            error = slope(network.margin(weights, batch), rows)
            gradient = network.gradient(weights, batch, error) / len(rows)
            gradient += descent.l2 * weights + descent.proximal * (weights - start)
            velocity = descent.momentum * velocity + _shortened(gradient, descent.max_norm)
            weights -= descent.learning_rate * velocity
    return weights


def _batches(rows: int, descent: Descent, chance: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    for _ in range(descent.epochs):
        order = chance.permutation(rows)
        for first in range(0, rows, descent.batch):
            yield order[first : first + descent.batch]


def _shortened(gradient: Floats, longest: float | None) -> Floats:
    norm = float(np.sqrt(gradient @ gradient))
    return gradient if longest is None or norm <= longest else gradient * (longest / norm)
