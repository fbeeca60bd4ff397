"""``train``: a model fitted over all parties' rows where they are, from sealed sums, conducted by Flower."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from consortia_common.documents.base import ColumnName, Name
from consortia_common.documents.categories import Categories, use_of
from consortia_common.documents.kinds import KindParameters, Reads, SumShape, Turn, Use
from consortia_common.documents.learners.boosted_trees import BoostedTrees
from consortia_common.documents.learners.neural_network import Network
from consortia_common.documents.learners.regression import Regression
from consortia_common.documents.noise import TrainingNoise
from consortia_common.documents.prepare import Prepare
from consortia_common.documents.strategies import Strategy

SCORE_BINS = 4096
"""Bins of the score histograms from which the area under the ROC curve is read."""
SPREAD_BINS = 2048
"""Fine bins of every numeric column, from whose joint counts the edges of trees' bins are chosen."""
SHOWN_POINTS = 128
"""Points of a fit's curve, at most, that watchers and cards have."""
_POINT_BYTES = 90
MOMENT_WORDS = 4
"""Words a numeric column: rows that have it, its sum, and its sum of squares in two halves."""
NOISY_MOMENT_WORDS = 3
"""With noise the sum of squares is one word."""
AnyLearner = Annotated[Regression | BoostedTrees | Network, Field(discriminator="type")]


class Parameters(KindParameters):
    """Of a ``train`` job."""

    dataset: Name
    """To which the model is fitted, at every party."""
    test_dataset: Name | None = Field(default=None, examples=["clients_test"])
    """Where the finished model is scored, at every party."""
    features: Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=256)]
    """What to predict from: columns of numbers, and of categories, which ``categories`` then lists."""
    label: ColumnName
    """What to predict: 0 and 1, a number, or a count, as the model's type or objective wants it."""
    weight: ColumnName | None = Field(default=None, examples=["exposure"])
    """A column of how much each row counts, above 0; all alike unless named."""
    categories: dict[ColumnName, Categories] = Field(default_factory=dict, examples=[{"region": [1, 2, 3]}])
    """The agreed categories of the features that are no numbers; any other value counts as none of them."""
    encoding: Literal["one_hot", "weight_of_evidence"] = "one_hot"
    """How categories become numbers, where the model is no tree: a column each, or ln(share of ones / of zeros)."""
    prepare: dict[ColumnName, Prepare] = Field(
        default_factory=dict, examples=[{"income": {"fill": "0", "low": "0", "high": "50000", "log1p": True}}]
    )
    """What is done to numeric features before they are standardised."""
    max_rows: Annotated[int, Field(ge=1, le=10**9)] = 1_000_000
    """Public upper bound of any party's rows (of their weights, if there is a column of them)."""
    decimals: Annotated[int, Field(ge=0, le=6)] = 3
    """Numbers are rounded to this many decimals where their means and spreads are summed."""
    model: AnyLearner = Field(examples=[{"type": "logistic_regression"}])
    """What to fit: its type and settings."""
    noise: TrainingNoise | None = Field(default=None, examples=[{"epsilon": "3", "delta": "0.000001"}])
    """Without it, the model is that of the exact sums."""

    def reads(self, party: str) -> tuple[Reads, ...]:
        """Features, label and weight of the training part and, if named, of the test part, at every party; the
        customer numbers too where they say who is held out, or noise is for a whole customer."""
        del party
        columns = (*self.features, self.label, *([self.weight] if self.weight else []))
        drawn = self.model.stopping is not None or self.noise is not None
        test = [Reads(dataset=self.test_dataset, columns=columns)] if self.test_dataset else []
        return (Reads(dataset=self.dataset, columns=columns, subjects=drawn), *test)

    def takes(self) -> Mapping[str, Mapping[str, Use]]:
        """Numbers, categories by how the spec writes them, and the label as the model wants it, in both parts."""
        label: Use = "label" if self.model.task == "binary" else "number"
        uses: dict[str, Use] = {**dict.fromkeys(self.numeric, "number"), self.label: label}
        uses |= {name: use_of(values) for name, values in self.categories.items()}
        uses |= {self.weight: "number"} if self.weight else {}
        return {dataset: uses for dataset in (self.dataset, self.test_dataset) if dataset}

    def libraries(self) -> tuple[str, ...]:
        """The model's."""
        return self.model.libraries

    @property
    def strategy(self) -> Strategy:
        """Flower's strategy that conducts the rounds."""
        return self.model.strategy

    @property
    def numeric(self) -> tuple[ColumnName, ...]:
        """The features that are numbers."""
        return tuple(name for name in self.features if name not in self.categories)

    @property
    def inputs(self) -> int:
        """How many inputs the model has once categories are numbers."""
        if self.encoding == "weight_of_evidence":
            return len(self.features)
        return len(self.numeric) + sum(len(values) for values in self.categories.values())

    def turns(self, party: str) -> tuple[Turn, ...]:
        """What preparation needs to know, bins if there are trees, the rounds, the test, the result."""
        del party
        spread = (Turn("query.spread", gives="spread"),) if self.has_spread else ()
        numbers = range(1, self.model.rounds_in_all + 1)
        early = self.model.may_end_early and self.noise is None
        rounds = (Turn("train", number, self.model.given(number), optional=early) for number in numbers)
        test = (Turn("evaluate", gives="evaluation"),) if self.test_dataset else ()
        return (Turn("query.prepare", gives="prepared"), *spread, *rounds, *test, Turn("query.conclude"))

    def sums(self) -> Mapping[str, SumShape]:
        """What preparation needs to know, the model's own, and the histograms of the test scores."""
        categories = sum(len(values) + 1 for values in self.categories.values())
        columns, numbers = 1 + len(self.numeric), 2 * categories
        exact = 2 + MOMENT_WORDS * columns + numbers
        prepared = 1 + NOISY_MOMENT_WORDS * columns + numbers if self.noise else exact
        shapes = {
            "prepared": SumShape(word_bits=64, length=prepared),
            **self.model.shapes(self.inputs, len(self.features), noisy=self.noise is not None),
        }
        if self.has_spread:
            shapes["spread"] = SumShape(word_bits=64, length=len(self.numeric) * SPREAD_BINS)
        if self.test_dataset:
            shapes["evaluation"] = SumShape(word_bits=64, length=self.evaluation_words)
        return shapes

    @property
    def evaluation_words(self) -> int:
        """Two histograms and two losses for classes; else rows and five sums in two halves each."""
        return 2 * SCORE_BINS + 2 if self.model.task == "binary" else 11

    @property
    def has_spread(self) -> bool:
        """Whether fine bins of numeric columns are counted, from which trees' bins are chosen."""
        return isinstance(self.model, BoostedTrees) and bool(self.numeric)

    def tells(self, turn: Turn) -> int:
        """The curve so far, in the rounds that add a point to it."""
        points = self.model.points(turn.round) if turn.step == "train" else 0
        return 14 + min(points, SHOWN_POINTS) * _POINT_BYTES if points else 0

    def result_bytes(self) -> int:
        """The model, above all; and the curve, whole and in the model."""
        points = max(map(self.model.points, range(1, self.model.rounds_in_all + 2)))
        curve = (points + min(points, SHOWN_POINTS)) * _POINT_BYTES
        test = 2 * 8000 if self.test_dataset and self.model.task == "binary" else 0
        return 1500 + curve + test + self.model.document_bytes(self.inputs)

    def epsilon_micro(self) -> int:
        """As the spec says."""
        return 0 if self.noise is None else self.noise.epsilon_micro

    def learns(self) -> dict[str, str]:
        """As of any kind that adds sums; noise beside."""
        told = super().learns()
        noise = "; all that the model was fitted from with noise" if self.noise else ""
        return told | {"analyst": told["analyst"] + noise, "each party": told["each party"] + noise}

    def precision(self) -> int:
        """As the spec says."""
        return self.decimals

    def problems(self, parties: tuple[str, ...]) -> list[str]:
        """What no single field can say."""
        del parties
        problems = self.model.problems(self.features)
        if len(set(self.features)) != len(self.features):
            problems.append("parameters.features: a feature is named twice")
        problems += [
            f"parameters.{name}: the {name} is also a feature"
            for name in ("label", "weight")
            if getattr(self, name) in self.features
        ]
        if self.weight == self.label:
            problems.append("parameters.weight: the label is also the weight")
        if self.test_dataset == self.dataset:
            problems.append("parameters.test_dataset: the model would be tested on what it was fitted to")
        if self.encoding == "weight_of_evidence" and self.model.task != "binary":
            problems.append("parameters.encoding: weight_of_evidence needs a label of zeros and ones")
        return problems + self._misfits() + self._unfit_for_noise()

    def _unfit_for_noise(self) -> list[str]:
        """What one customer changes must be bounded by what the spec says, and all of it accounted for."""
        noise = self.noise
        if noise is None:
            return []
        ranged = {name for name, prepare in self.prepare.items() if None not in (prepare.low, prepare.high)}
        bare = [name for name in self.numeric if name not in ranged]
        problems = [f"parameters.prepare: noise needs low and high of {', '.join(bare[:5])}"] if bare else []
        if self.model.stopping:
            problems.append(
                "parameters.model.early_stopping: how it does on rows held out would be told without noise"
            )
        if self.weight:
            problems.append("parameters.weight: with noise all rows count alike")
        if (self.model.task == "binary") == (noise.label_range is not None):
            problems.append("parameters.noise.label_range: needed where the label is no class, and nowhere else")
        if noise.label_range and noise.label_range[0] >= noise.label_range[1]:
            problems.append("parameters.noise.label_range: the lowest is not below the highest")
        return problems + self.model.unfit_for_noise(noise)

    def _misfits(self) -> list[str]:
        """Settings about columns that they don't suit."""
        problems = [
            f"parameters.{setting}.{name}: it is none of the features"
            for setting in ("categories", "prepare")
            for name in sorted(set(getattr(self, setting)) - set(self.features))
        ]
        problems += [
            f"parameters.categories.{name}: a category is named twice"
            for name, values in self.categories.items()
            if len({str(value) for value in values}) != len(values)
        ]
        both = sorted(set(self.prepare) & set(self.categories))
        problems += [f"parameters.prepare.{name}: it is a column of categories" for name in both]
        for name, prepare in self.prepare.items():
            problems += [f"parameters.prepare.{name}: {problem}" for problem in prepare.problems()]
        if isinstance(self.model, BoostedTrees):
            wide = [name for name, values in self.categories.items() if len(values) > self.model.bins]
            problems += [f"parameters.categories.{name}: more categories than the model has bins" for name in wide]
            unordered = sorted(set(self.model.monotone) & set(self.categories))
            problems += [
                f"parameters.model.monotone: {name} has categories, which have no order" for name in unordered
            ]
        return problems
