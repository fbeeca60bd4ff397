"""A ``train`` job's neural network, fitted by local steps and one of Flower's strategies."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from consortia_common.documents.base import ColumnName, Number
from consortia_common.documents.kinds import SumShape, Tensor, WordBits
from consortia_common.documents.learners import OBJECTIVES, Learner, Seed, Task
from consortia_common.documents.noise import TrainingNoise
from consortia_common.documents.stopping import LARGEST_LOSS, MEASURES, Stopping
from consortia_common.documents.strategies import Strategy

Positive = Annotated[Number, Field(gt=0, le=1_000_000)]
_LOCAL = ("epochs", "batch", "momentum", "max_norm", "clip", "word_bits", "engine", "dropout")
"""Settings of a network's local steps and of how their outcome is sealed."""
_COUNTING_BITS = 32
"""Shorter words of an update can't tell a few rows from none."""


class Network(Learner):
    """A multilayer perceptron by one of Flower's strategies; without hidden layers, a linear model."""

    type: Literal["neural_network"]
    objective: Literal["logistic", "squared", "poisson"] = "logistic"
    hidden: Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(max_length=8)] = (16,)
    """Units of each hidden layer."""
    activation: Literal["relu", "tanh"] = "relu"
    engine: Literal["numpy", "torch"] = "numpy"
    """What computes the local training; every party's node must have it. The model is the same document."""
    dropout: Annotated[Number, Field(ge=0, lt=1)] = Number(0)
    """Share of each hidden layer's units that a step of training leaves out, by chance (torch)."""
    rounds: Annotated[int, Field(ge=1, le=2000)] = 20
    epochs: Annotated[int, Field(ge=1, le=1000)] = 1
    """Passes over its own rows that each institution makes in a round."""
    batch: Annotated[int, Field(ge=1, le=1_000_000)] | None = 64
    """Rows of a step; all of them if null."""
    learning_rate: Positive = Number("0.1")
    schedule: Literal["constant", "cosine"] = "constant"
    """``cosine``: the rate falls to a hundredth over the rounds."""
    momentum: Annotated[Number, Field(ge=0, lt=1)] = Number(0)
    l2: Annotated[Number, Field(ge=0, le=1000)] = Number("0.0001")
    max_norm: Positive | None = None
    """Longest gradient of a batch."""
    clip: Positive = Number(4)
    """Largest absolute value of one element of an update; larger ones are clipped before they are sealed."""
    word_bits: WordBits = 32
    """Bits of one element of a sealed update: 32 keep what float32 holds; fewer where bytes on the way matter."""
    flower: Strategy = Field(default=Strategy(), alias="strategy")
    """Flower's strategy for the server's step, and its settings."""
    early_stopping: Stopping | None = None
    """Ends the fit when more rounds do no better on rows held out; the model is that of the best round."""
    seed: Seed = 0

    model_config = ConfigDict(**{**Learner.model_config, "populate_by_name": True, "serialize_by_alias": True})

    @property
    def strategy(self) -> Strategy:
        """As the spec says."""
        return self.flower

    @property
    def rounds_in_all(self) -> int:
        """As the spec says; with rows held out one more, to measure the last."""
        return self.rounds + (self.early_stopping is not None)

    @property
    def stopping(self) -> Stopping | None:
        """As the spec says."""
        return self.early_stopping

    def sizes(self, inputs: int) -> tuple[int, ...]:
        """Units of every layer."""
        return (inputs, *self.hidden, 1)

    def weights(self, inputs: int) -> int:
        """Weights and biases in all."""
        sizes = self.sizes(inputs)
        return sum((before + 1) * after for before, after in pairwise(sizes))

    def shapes(self, inputs: int, columns: int, *, noisy: bool = False) -> Mapping[str, SumShape]:
        """An update, its weight, and how the model before it does; with noise a gradient."""
        del columns
        weights = self.weights(inputs)
        if noisy:
            return {"update": SumShape(word_bits=64, length=weights)}
        tensors = (
            Tensor(length=weights, clip=self.clip),
            Tensor(length=1 + self.ranks, clip=Number(1)),
            Tensor(length=MEASURES, clip=LARGEST_LOSS),
        )
        length = sum(tensor.length for tensor in tensors)
        return {"update": SumShape(word_bits=self.word_bits, length=length, tensors=tensors)}

    @property
    def ranks(self) -> int:
        """None where words are too short to hold counts."""
        return super().ranks if self.word_bits >= _COUNTING_BITS else 0

    @property
    def task(self) -> Task:
        """By objective."""
        return OBJECTIVES[self.objective]

    def document_bytes(self, inputs: int) -> int:
        """Each input's preparation, and every weight."""
        return inputs * 130 + self.weights(inputs) * 18

    def problems(self, features: tuple[ColumnName, ...]) -> list[str]:
        """The strategy's, and an engine that can't do what is asked."""
        problems = [*self.strategy.problems(), *super().problems(features)]
        if self.dropout and self.engine != "torch":
            problems.append("parameters.model.dropout: only the engine torch has it")
        return problems

    @property
    def libraries(self) -> tuple[str, ...]:
        """PyTorch, for its engine."""
        return ("torch",) if self.engine == "torch" else ()

    def unfit_for_noise(self, noise: TrainingNoise) -> list[str]:
        """With noise a round is one step on a sample of everybody's rows; settings of local steps say nothing."""
        plain = type(self)(type=self.type)
        idle = [name for name in _LOCAL if getattr(self, name) != getattr(plain, name)]
        problems = [f"parameters.model.{name}: with noise there are no local steps" for name in idle]
        if "proximal_mu" in self.strategy.settings:
            problems.append("parameters.model.strategy: with noise there are no local steps for FedProx to hold")
        if noise.sampling < 1 and noise.rows_per_customer > 1:
            problems.append(
                "parameters.noise.rows_per_customer: rows are drawn one by one; sampling needs one each"
            )
        return problems
