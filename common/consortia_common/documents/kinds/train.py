"""``train``: a model fitted by Flower over all parties, its updates combined as sealed sums."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from consortia_common.documents.base import ColumnName, Document, Name, Number
from consortia_common.documents.kinds import KindParameters, Reads, SumShape, Tensor, Turn, Use, WordBits

Positive = Annotated[Number, Field(gt=0, le=1_000_000)]
Setting = Annotated[Number, Field(ge=0, le=1_000_000)]


SCORE_BINS = 4096
"""Bins of the score histograms from which the area under the ROC curve is read."""


_ADAPTIVE = frozenset({"eta", "eta_l", "beta_1", "beta_2", "tau"})
STRATEGY_SETTINGS: Mapping[str, frozenset[str]] = {
    "FedAvg": frozenset(),
    "FedAvgM": frozenset({"server_learning_rate", "server_momentum"}),
    "FedAdam": _ADAPTIVE,
    "FedYogi": _ADAPTIVE,
    "FedAdagrad": frozenset({"eta", "eta_l", "tau"}),
}
"""The server-side settings of each of Flower's strategies that work on a sealed mean."""
_SHARES = frozenset({"beta_1", "beta_2", "server_momentum"})
"""Settings from 0 to below 1; the others are above 0."""


class Strategy(Document):
    """One of Flower's strategies that need only the mean of the updates, with its server-side settings."""

    name: Literal["FedAvg", "FedAvgM", "FedAdam", "FedYogi", "FedAdagrad"] = "FedAvg"
    settings: dict[Name, Setting] = Field(default_factory=dict)
    """See STRATEGY_SETTINGS."""

    def problems(self) -> list[str]:
        """Settings that the strategy does not have, or that it can't work with."""
        strangers = sorted(set(self.settings) - STRATEGY_SETTINGS[self.name])
        problems = [f"{self.name} has no {name}" for name in strangers]
        for name, value in self.settings.items():
            if name in _SHARES and value >= 1:
                problems.append(f"{name} must be below 1")
            elif name not in _SHARES and value == 0:
                problems.append(f"{name} must be above 0")
        return [f"parameters.strategy.settings: {problem}" for problem in problems]


class Parameters(KindParameters):
    """Of a ``train`` job. The model is a logistic regression on standardised features."""

    dataset: Name
    """To which the model is fitted, at every party."""
    test_dataset: Name | None = None
    """Where the finished model is scored, at every party."""
    features: Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=256)]
    """Numeric columns."""
    label: ColumnName
    """A 0/1 column: what is to be foretold."""
    rounds: Annotated[int, Field(ge=1, le=500)] = 20
    """Rounds of training, each with one sealed sum."""
    local_steps: Annotated[int, Field(ge=1, le=1000)] = 10
    """Full-batch gradient steps at each party in each round."""
    learning_rate: Positive = Number("0.5")
    """Of the local steps."""
    l2: Annotated[Number, Field(ge=0, le=1000)] = Number("0.0001")
    """Weight of the penalty on large coefficients."""
    clip: Positive = Number("4")
    """Largest absolute value of one element of an update; larger ones are clipped before they are sealed."""
    max_rows: Annotated[int, Field(ge=1, le=10**9)] = 1_000_000
    """Public upper bound of any party's rows; weights are sealed relative to it."""
    decimals: Annotated[int, Field(ge=0, le=6)] = 3
    """Features are rounded to this many decimals where their moments are summed."""
    word_bits: WordBits = 32
    """Bits of one element of a sealed update: 32 keep what float32 holds; fewer where bytes on the way matter."""
    strategy: Strategy = Strategy()
    """Which of Flower's strategies makes the next model of the mean update."""

    def reads(self, party: str) -> tuple[Reads, ...]:
        """Features and label of the training part and, if named, of the test part, at every party."""
        del party
        columns = (*self.features, self.label)
        datasets = [self.dataset, *([self.test_dataset] if self.test_dataset else [])]
        return tuple(Reads(dataset=dataset, columns=columns) for dataset in datasets)

    def takes(self) -> Mapping[str, Mapping[str, Use]]:
        """Features as numbers, and the label, in both parts."""
        uses: dict[str, Use] = {**dict.fromkeys(self.features, "number"), self.label: "label"}
        return {dataset: uses for dataset in (self.dataset, self.test_dataset) if dataset}

    def turns(self, party: str) -> tuple[Turn, ...]:
        """Moments, the rounds, the test if there is one, the result."""
        del party
        rounds = (Turn("train", number, gives="update") for number in range(1, self.rounds + 1))
        test = (Turn("evaluate", gives="evaluation"),) if self.test_dataset else ()
        return (Turn("query.moments", gives="moments"), *rounds, *test, Turn("query.conclude"))

    def sums(self) -> Mapping[str, SumShape]:
        """Moments of the features, one update a round, and the histograms of the test scores."""
        features = len(self.features)
        shapes = {
            "moments": SumShape(word_bits=64, length=1 + 3 * features),
            "update": SumShape(
                word_bits=self.word_bits,
                length=features + 2,
                tensors=(Tensor(length=features + 1, clip=self.clip), Tensor(length=1, clip=Number(1))),
            ),
        }
        if self.test_dataset:
            shapes["evaluation"] = SumShape(word_bits=64, length=2 * SCORE_BINS + 1)
        return shapes

    def precision(self) -> int:
        """As the spec says."""
        return self.decimals

    def problems(self, parties: tuple[str, ...]) -> list[str]:
        """A feature named twice, the label among the features, one dataset for both parts."""
        del parties
        problems = self.strategy.problems()
        if len(set(self.features)) != len(self.features):
            problems.append("parameters.features: a feature is named twice")
        if self.label in self.features:
            problems.append("parameters.label: the label is also a feature")
        if self.test_dataset == self.dataset:
            problems.append("parameters.test_dataset: the model would be tested on what it was fitted to")
        return problems
