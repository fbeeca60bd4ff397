"""What a spec promises by differential privacy, in the same words for every kind that adds noise."""

from math import ceil
from typing import Annotated

from pydantic import Field

from consortia_common.documents.base import Document, Number

_Bound = Annotated[Number, Field(ge=-1_000_000_000, le=1_000_000_000)]


class Noise(Document):
    """Differential privacy: noise that hides what one customer changes."""

    epsilon: Annotated[Number, Field(gt=0, le=100)]
    """Spent from the agreement's budget."""
    delta: Annotated[Number, Field(gt=0, le=Number("0.00001"))] = Number("0.000000001")
    """The chance that ε does not hold; far below one in the number of customers."""
    rows_per_customer: Annotated[int, Field(ge=1, le=1000)] = 1
    """Most rows that one customer may have; a node where one has more refuses."""

    @property
    def epsilon_micro(self) -> int:
        """What it costs, in millionths of ε."""
        return ceil(self.epsilon * 1_000_000)


class TrainingNoise(Noise):
    """Noise on every sum from which a model is fitted."""

    clip: Annotated[Number, Field(gt=0, le=1000)] = Number(4)
    """Longest gradient of a row, to which longer ones are shortened; trees have no need of it."""
    sampling: Annotated[Number, Field(ge=Number("0.0001"), le=1)] = Number(1)
    """The chance by which each row is in a step (neural_network); less noise for fewer rows."""
    label_range: tuple[_Bound, _Bound] | None = None
    """The public lowest and highest label where it is no class; labels beyond are cut to it."""
