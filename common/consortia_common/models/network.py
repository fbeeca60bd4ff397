"""PURE: a multilayer perceptron: what it answers, and the gradients by which it is trained; numpy only.

All weights are one vector, so that federated averaging sees a vector and nothing else: for each layer the weights
(inputs, outputs) in C order, then the biases. Without hidden layers the network is a linear model. Sources:
Goodfellow, Bengio and Courville, Deep Learning, ch. 6; Goodfellow, Efficient per-example gradient computations
(2015), for the norms of single rows' gradients.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def _relu(values: Floats) -> Floats:
    return np.maximum(values, 0.0)


@dataclass(frozen=True)
class Activation:
    """A layer's non-linearity, and its slope in terms of its own output."""

    apply: Callable[[Floats], Floats]
    slope: Callable[[Floats], Floats]


ACTIVATIONS: Mapping[str, Activation] = {
    "relu": Activation(_relu, lambda out: (out > 0).astype(np.float64)),
    "tanh": Activation(np.tanh, lambda out: 1.0 - np.square(out)),
}


@dataclass(frozen=True)
class Network:
    """The architecture. ``sizes``: inputs, each hidden layer, 1."""

    sizes: tuple[int, ...]
    activation: str = "relu"

    @property
    def length(self) -> int:
        """Weights and biases in all."""
        return sum((before + 1) * after for before, after in self._pairs)

    @property
    def _pairs(self) -> list[tuple[int, int]]:
        return list(zip(self.sizes[:-1], self.sizes[1:], strict=True))

    def layers(self, weights: Floats) -> Iterator[tuple[Floats, Floats]]:
        """Views of (weights, biases) of each layer."""
        at = 0
        for before, after in self._pairs:
            yield weights[at : at + before * after].reshape(before, after), weights[at + before * after :][:after]
            at += (before + 1) * after

    def start(self, seed: int) -> Floats:
        """Weights to begin with, the same at everybody: He's normal law, biases zero."""
        chance = np.random.Generator(np.random.PCG64(seed))
        weights = np.zeros(self.length)
        for matrix, _ in self.layers(weights):
            matrix[:] = chance.normal(0.0, np.sqrt(2.0 / matrix.shape[0]), matrix.shape)
        return weights

    def margin(self, weights: Floats, features: Floats) -> Floats:
        """The network's output before the link; (rows,)."""
        return self._forward(weights, features)[-1][:, 0]

    def _forward(self, weights: Floats, features: Floats) -> list[Floats]:
        """The input and the output of every layer."""
        outputs = [features]
        activation = ACTIVATIONS[self.activation]
        last = len(self.sizes) - 2
        for place, (matrix, bias) in enumerate(self.layers(weights)):
            linear = outputs[-1] @ matrix + bias
            outputs.append(linear if place == last else activation.apply(linear))
        return outputs

    def gradient(self, weights: Floats, features: Floats, error: Floats, clip: float | None = None) -> Floats:
        """The sum over rows of each row's gradient, given the loss's slope by the margin in ``error`` (rows,).

        With ``clip`` every row's gradient is first shortened to that Euclidean norm, as DP-SGD needs.
        """
        outputs = self._forward(weights, features)
        slopes = self._backward(weights, outputs, error[:, None])
        if clip is not None:
            slopes = self._clipped(outputs, slopes, clip)
        gradient = np.empty_like(weights)
        for (matrix, bias), inputs, slope in zip(self.layers(gradient), outputs, slopes, strict=False):
            matrix[:] = inputs.T @ slope
            bias[:] = slope.sum(axis=0)
        return gradient

    def _backward(self, weights: Floats, outputs: list[Floats], error: Floats) -> list[Floats]:
        """The loss's slope by each layer's linear output; (rows, outputs) each."""
        slopes = [error]
        matrices = [matrix for matrix, _ in self.layers(weights)]
        activation = ACTIVATIONS[self.activation]
        for matrix, output in zip(matrices[:0:-1], outputs[-2:0:-1], strict=True):
            slopes.append(slopes[-1] @ matrix.T * activation.slope(output))
        return slopes[::-1]

    @staticmethod
    def _clipped(outputs: list[Floats], slopes: list[Floats], clip: float) -> list[Floats]:
        """A row's gradient in a layer is an outer product, so its norm needs no gradient of its own."""
        squares = sum(
            np.square(slope).sum(axis=1) * (np.square(inputs).sum(axis=1) + 1.0)
            for inputs, slope in zip(outputs, slopes, strict=False)
        )
        share = np.minimum(1.0, clip / np.maximum(np.sqrt(squares), 1e-30))
        return [slope * share[:, None] for slope in slopes]
