"""A ``train`` job's gradient-boosted trees, grown from sealed histograms."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from consortia_common.documents.base import ColumnName, Number
from consortia_common.documents.kinds import SumShape
from consortia_common.documents.learners import OBJECTIVES, Learner, Seed, Task
from consortia_common.documents.noise import TrainingNoise
from consortia_common.documents.stopping import MEASURES, Stopping
from consortia_common.documents.strategies import Setting

Share = Annotated[Number, Field(gt=0, le=1)]


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
        return OBJECTIVES[self.objective]

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
