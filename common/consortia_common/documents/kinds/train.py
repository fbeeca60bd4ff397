"""``train``: a model fitted by Flower over all parties, its updates combined as sealed sums."""

from typing import Annotated, Literal

from pydantic import Field

from consortia_common.documents.base import ColumnName, Document, Name, Number
from consortia_common.documents.kinds import KindParameters, Reads

Positive = Annotated[Number, Field(gt=0, le=1_000_000)]


class Strategy(Document):
    """One of Flower's strategies that need only the mean of the updates, with its server-side settings."""

    name: Literal["FedAvg", "FedAvgM", "FedAdam", "FedYogi", "FedAdagrad"] = "FedAvg"
    settings: dict[Name, Number] = Field(default_factory=dict)
    """Keyword arguments of the strategy's constructor, such as eta or server_learning_rate."""


class Parameters(KindParameters):
    """Of a ``train`` job. The model is a logistic regression on standardised features."""

    dataset: Name
    test_dataset: Name | None = None
    """Where the finished model is scored, at every party."""
    features: Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=256)]
    label: ColumnName
    rounds: Annotated[int, Field(ge=1, le=500)] = 20
    local_steps: Annotated[int, Field(ge=1, le=1000)] = 10
    """Full-batch gradient steps at each party in each round."""
    learning_rate: Positive = Number("0.5")
    l2: Annotated[Number, Field(ge=0, le=1000)] = Number("0.0001")
    clip: Positive = Number("4")
    """Largest absolute value of one element of an update; larger ones are clipped before they are sealed."""
    max_rows: Annotated[int, Field(ge=1, le=10**9)] = 1_000_000
    """Public upper bound of any party's rows; weights are sealed relative to it."""
    strategy: Strategy = Strategy()

    def reads(self, party: str) -> tuple[Reads, ...]:
        """Features and label of the training part and, if named, of the test part, at every party."""
        del party
        columns = (*self.features, self.label)
        datasets = [self.dataset, *([self.test_dataset] if self.test_dataset else [])]
        return tuple(Reads(dataset=dataset, columns=columns) for dataset in datasets)

    def problems(self, parties: tuple[str, ...]) -> list[str]:
        """A feature named twice, the label among the features, one dataset for both parts."""
        del parties
        problems = []
        if len(set(self.features)) != len(self.features):
            problems.append("parameters.features: a feature is named twice")
        if self.label in self.features:
            problems.append("parameters.label: the label is also a feature")
        if self.test_dataset == self.dataset:
            problems.append("parameters.test_dataset: the model would be tested on what it was fitted to")
        return problems
