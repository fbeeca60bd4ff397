"""PURE: a multilayer perceptron computed by PyTorch, with dropout; the extra ``torch`` brings the library.

The same weights in the same vector as consortia_common.models.network, in doubles on the processor: without dropout
the two agree up to the last digits. Chance comes from a seed, so that a round can be taken again. Nothing that
PyTorch would store or load is used: what leaves is the vector.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from consortia_common.models.network import Network

Floats = NDArray[np.float64]
_ACTIVATIONS: Mapping[str, Callable[[Any], Any]] = {"relu": torch.relu, "tanh": torch.tanh}


class TorchNetwork:
    """Implements Trainable; see descent.py."""

    def __init__(self, network: Network, dropout: float, seed: int) -> None:
        self._network = network
        self._dropout = dropout
        self._chance = torch.Generator().manual_seed(seed)
        self._weights: Any = None
        self._margin: Any = None

    def margin(self, weights: Floats, features: Floats) -> Floats:
        """The output before the link, some units of each hidden layer left out by chance; (rows,)."""
        self._weights = torch.tensor(weights, requires_grad=True)
        outputs = torch.from_numpy(np.ascontiguousarray(features))
        layers: list[Any] = list(self._network.layers(self._weights))  # slices, of an array or a tensor
        for matrix, bias in layers[:-1]:
            outputs = self._dropped(_ACTIVATIONS[self._network.activation](outputs @ matrix + bias))
        matrix, bias = layers[-1]
        self._margin = (outputs @ matrix + bias)[:, 0]
        return np.asarray(self._margin.detach().numpy(), np.float64)

    def gradient(self, weights: Floats, features: Floats, error: Floats) -> Floats:
        """The sum of rows' gradients where ``margin`` was asked last, which is with these ``weights``."""
        del weights, features
        self._margin.backward(torch.from_numpy(error))
        return np.asarray(self._weights.grad.numpy(), np.float64)

    def _dropped(self, outputs: Any) -> Any:
        if not self._dropout:
            return outputs
        kept = torch.rand(outputs.shape, generator=self._chance, dtype=torch.float64) >= self._dropout
        return outputs * kept / (1 - self._dropout)
