"""What a ``train`` job may fit, and how its columns are prepared: the part of its parameters that describes models.

Each learner says how many rounds it needs at most and what is summed in each of them; a node and the coordinator
need not know more of it than that.
"""

from abc import abstractmethod
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from consortia_common.documents.base import ColumnName, Document, Number
from consortia_common.documents.kinds import SumShape, Tensor, WordBits
from consortia_common.documents.noise import TrainingNoise
from consortia_common.documents.stopping import LARGEST_LOSS, MEASURES, RANKS, Stopping
from consortia_common.documents.strategies import Setting, Strategy

Positive = Annotated[Number, Field(gt=0, le=1_000_000)]
Real = Annotated[Number, Field(ge=-(10**15), le=10**15)]
Share = Annotated[Number, Field(gt=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=1 << 32)]
MEAN_BOUND = Number(1000)
"""Bound of a sum of Newton's method, relative to the spec's max_rows; standardised features keep far below it."""


class Prepare(Document):
    """What is done to a numeric column before it is standardised, in this order."""

    fill: Real | None = None
    """In the place of a missing value; unless given, the mean is (trees keep a bin for missing values)."""
    low: Real | None = None
    """Smaller values become this."""
    high: Real | None = None
    """Larger values become this."""
    log1p: bool = False
    """Replaced by sign(x)·ln(1 + |x|)."""

    def problems(self) -> list[str]:
        """A range without room."""
        if self.low is None or self.high is None or self.low < self.high:
            return []
        return ["low must be below high"]


Task = Literal["binary", "number", "count"]
"""What a label is: 0 or 1, any number, or a count."""


class Learner(Document):
    """A model to fit."""

    type: str

    @property
    @abstractmethod
    def rounds_in_all(self) -> int:
        """How many rounds of training there are at most."""

    @property
    def stopping(self) -> Stopping | None:
        """What is held out to see when to end; nothing unless the spec says so."""
        return None

    @property
    def may_end_early(self) -> bool:
        """Whether the rounds can be over before the last one, by a rule that all parties follow alike."""
        return self.stopping is not None

    @property
    def ranks(self) -> int:
        """How many of a round's numbers count rows held out, for the area under the ROC curve."""
        return RANKS if self.stopping is not None and self.task == "binary" else 0

    def points(self, turn: int) -> int:
        """How many points the curve of the fit has in round ``turn``, if one is new: one for each round before."""
        return turn - 1

    def given(self, turn: int) -> str:
        """The sum that round ``turn`` adds to."""
        del turn
        return "update"

    @abstractmethod
    def shapes(self, inputs: int, columns: int, *, noisy: bool = False) -> Mapping[str, SumShape]:
        """The sums of the rounds, for so many prepared inputs made of so many columns; of integers if ``noisy``."""

    @property
    def strategy(self) -> Strategy:
        """Flower's strategy that conducts the rounds."""
        return Strategy()

    @property
    @abstractmethod
    def task(self) -> Task:
        """What the label is: 0 or 1, any number, or a count."""

    @property
    def libraries(self) -> tuple[str, ...]:
        """What every party's node must have installed beyond what all nodes have, by the name of its extra."""
        return ()

    @abstractmethod
    def document_bytes(self, inputs: int) -> int:
        """About how long the fitted model is as a document, for so many prepared inputs."""

    def problems(self, features: tuple[ColumnName, ...]) -> list[str]:
        """What is wrong with the settings, for these features."""
        del features
        unranked = self.stopping is not None and self.stopping.metric == "auc" and not self.ranks
        return ["parameters.model.early_stopping.metric: auc needs zeros and ones, and counts"] if unranked else []

    def unfit_for_noise(self, noise: TrainingNoise) -> list[str]:
        """Settings that don't go together with noise."""
        return ["parameters.noise.sampling: only neural networks sample rows"] if noise.sampling < 1 else []


_TASKS: Mapping[str, Task] = {
    "logistic_regression": "binary",
    "linear_regression": "number",
    "poisson_regression": "count",
}


class Regression(Learner):
    """A generalised linear model, by Newton's method: the pooled fit, with standard errors where l2 is 0."""

    type: Literal["logistic_regression", "linear_regression", "poisson_regression"]
    rounds: Annotated[int, Field(ge=1, le=100)] = 10
    """Newton steps at most; there are fewer where the fit converges before."""
    l2: Annotated[Number, Field(ge=0, le=1000)] = Number("0.0001")
    """Penalty l2/2·‖w‖² on the mean loss; of the standardised inputs' weights, not of the intercept."""
    class_weight: Literal["none", "balanced"] = "none"
    """``balanced`` weighs rows so that zeros and ones count alike (logistic_regression)."""

    @property
    def rounds_in_all(self) -> int:
        """As the spec says."""
        return self.rounds

    @property
    def may_end_early(self) -> bool:
        """Once it has converged."""
        return True

    @property
    def task(self) -> Task:
        """By type."""
        return _TASKS[self.type]

    def shapes(self, inputs: int, columns: int, *, noisy: bool = False) -> Mapping[str, SumShape]:
        """Information, score, deviance and weight, in words that keep double precision."""
        del columns
        coefficients = inputs + 1
        if noisy:
            return {"update": SumShape(word_bits=64, length=coefficients * (coefficients + 1) // 2 + coefficients)}
        length = coefficients * (coefficients + 1) // 2 + coefficients + 2
        return {"update": SumShape(word_bits=64, length=length, tensors=(Tensor(length=length, clip=MEAN_BOUND),))}

    def document_bytes(self, inputs: int) -> int:
        """Each input with its preparation and weight, and what an unpenalised fit says of it."""
        return inputs * (150 if self.l2 else 330)

    def problems(self, features: tuple[ColumnName, ...]) -> list[str]:
        """Class weights where there are no classes."""
        del features
        wrong = self.class_weight == "balanced" and self.type != "logistic_regression"
        return ["parameters.model.class_weight: only logistic_regression has classes"] if wrong else []


_OBJECTIVES: Mapping[str, Task] = {"logistic": "binary", "squared": "number", "poisson": "count"}


class BoostedTrees(Learner):
    """Gradient-boosted trees from sealed histograms: with the same bins the pooled model, split for split."""

    type: Literal["boosted_trees"]
    objective: Literal["logistic", "squared", "poisson"] = "logistic"
    trees: Annotated[int, Field(ge=1, le=2000)] = 64
    depth: Annotated[int, Field(ge=1, le=10)] = 6
    growth: Literal["level", "leaf"] = "level"
    """``level``: all nodes of a level in one round. ``leaf``: the best leaf of all, one a round."""
    leaves: Annotated[int, Field(ge=2, le=1024)] = 64
    """Leaves of a tree at most."""
    bins: Annotated[int, Field(ge=2, le=254)] = 64
    """Bins of a numeric column, by joint quantiles."""
    learning_rate: Share = Number("0.1")
    l2: Annotated[Number, Field(ge=0, le=1_000_000)] = Number(1)
    min_gain: Setting = Number(0)
    min_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    """Rows of all parties together on each side of a split; never less than the agreement's min_cell."""
    min_hessian: Setting = Number("0.001")
    subsample: Share = Number(1)
    """Share of its rows that each institution uses for a tree."""
    feature_share: Share = Number(1)
    """Share of the columns that a tree may split on."""
    monotone: dict[ColumnName, Literal["rising", "falling"]] = Field(default_factory=dict)
    """Numeric columns along which the prediction may only rise, or only fall."""
    early_stopping: Stopping | None = None
    """Ends the fit when more trees do no better on rows held out; the model is that of the best tree."""
    seed: Seed = 0

    @property
    def rounds_in_all(self) -> int:
        """A round a level, or a round a leaf but one; with rows held out one more, to measure the last tree."""
        return self.trees * self._rounds_a_tree + (self.early_stopping is not None)

    @property
    def stopping(self) -> Stopping | None:
        """As the spec says."""
        return self.early_stopping

    @property
    def _rounds_a_tree(self) -> int:
        return self.depth if self.growth == "level" else self.leaves - 1

    def points(self, turn: int) -> int:
        """One for each tree that has begun, in the round behind its first."""
        tree, level = self.tree_of(turn - 1)
        return tree + 1 if turn > 1 and level == 0 else 0

    def tree_of(self, turn: int) -> tuple[int, int]:
        """Tree and round of it, from 0, of round ``turn``."""
        return divmod(turn - 1, self._rounds_a_tree)

    def given(self, turn: int) -> str:
        """Histograms of at most ``slots`` nodes."""
        return f"histograms{self.slots(turn)}"

    def slots(self, turn: int) -> int:
        """Nodes whose histograms round ``turn`` sums: of two siblings only one; beside them how the model does."""
        _, level = self.tree_of(turn)
        return 1 << max(level - 1, 0) if self.growth == "level" else 1

    def shapes(self, inputs: int, columns: int, *, noisy: bool = False) -> Mapping[str, SumShape]:
        """For each number of nodes: three numbers a bin, a bin more for missing values; and how the model does."""
        del inputs
        said = 0 if noisy else self.ranks + MEASURES
        turns = range(1, self._rounds_a_tree + 1)
        return {
            self.given(turn): SumShape(word_bits=64, length=self.slots(turn) * columns * (self.bins + 1) * 3 + said)
            for turn in turns
        }

    def document_bytes(self, inputs: int) -> int:
        """Every node of every tree, if all grow as far as they may."""
        del inputs
        return self.trees * 2 * min(self.leaves, 1 << self.depth) * 110

    @property
    def task(self) -> Task:
        """By objective."""
        return _OBJECTIVES[self.objective]

    def problems(self, features: tuple[ColumnName, ...]) -> list[str]:
        """Monotone columns that are not features, and more rounds than anybody waits for."""
        strangers = sorted(set(self.monotone) - set(features))
        problems = super().problems(features)
        problems += [f"parameters.model.monotone: {name} is not one of the features" for name in strangers]
        if self.rounds_in_all > 20_000:
            problems.append("parameters.model: more than 20000 rounds; ask for fewer or smaller trees")
        return problems

    def unfit_for_noise(self, noise: TrainingNoise) -> list[str]:
        """Only the derivatives of the logistic loss are bounded, whatever the label."""
        unbounded = ["parameters.model.objective: with noise only logistic"] if self.objective != "logistic" else []
        return super().unfit_for_noise(noise) + unbounded


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
        return _OBJECTIVES[self.objective]

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


AnyLearner = Annotated[Regression | BoostedTrees | Network, Field(discriminator="type")]
