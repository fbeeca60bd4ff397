"""What a ``train`` job may fit: a module for each kind of model, and here what all of them say of themselves.

Each learner says how many rounds it needs at most and what is summed in each of them; a node and the coordinator
need not know more of it than that. Nothing is fitted here: what computes is in consortia_node.learning.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from consortia_common.documents.base import ColumnName, Document
from consortia_common.documents.kinds import SumShape
from consortia_common.documents.noise import TrainingNoise
from consortia_common.documents.stopping import RANKS, Stopping
from consortia_common.documents.strategies import Strategy

Seed = Annotated[int, Field(ge=0, lt=1 << 32)]
Task = Literal["binary", "number", "count"]
"""What a label is: 0 or 1, any number, or a count."""
OBJECTIVES: Mapping[str, Task] = {"logistic": "binary", "squared": "number", "poisson": "count"}
"""What the label is, by the loss that is made small."""


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
