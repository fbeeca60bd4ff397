"""``evaluate``: how a model that all parties hold does on their own rows, together and by group."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from consortia_common.documents.base import ColumnName, Fingerprint, Name, Number
from consortia_common.documents.categories import Category, use_of
from consortia_common.documents.kinds import Division, KindParameters, Reads, SumShape, Turn, Use
from consortia_common.documents.kinds.train import SCORE_BINS

Threshold = Annotated[Number, Field(gt=0, lt=1)]
BINARY_WORDS = 2 * SCORE_BINS + 2
"""Rows by bin of score and by label, and two losses."""
NUMBER_WORDS = 11
"""Rows, and five sums in two halves each."""


class Parameters(KindParameters):
    """Of an ``evaluate`` job."""

    dataset: Name
    """Whose rows the model answers for, at every party."""
    model: Name
    """By the name under which every party's node keeps it; that of a train job, unless it was added by hand."""
    model_digest: Fingerprint
    """Of the model, as `consortia model list` shows it: what makes sure that all parties use the same."""
    features: Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=256)]
    """The columns that the model looks at."""
    label: ColumnName
    """What really happened."""
    task: Literal["binary", "number", "count"] = "binary"
    """What the label is: 0 and 1, any number, or a count."""
    group: ColumnName | None = Field(default=None, examples=["region"])
    """A column of categories, between whose groups the model's errors and decisions are compared (binary)."""
    groups: Annotated[tuple[Category, ...], Field(max_length=20, examples=[[1, 2, 3]])] = ()
    """The agreed categories of ``group``; all other values are one more group."""
    thresholds: Annotated[tuple[Threshold, ...], Field(min_length=1, max_length=20)] = (Number("0.5"),)
    """Scores from which a decision is made (binary)."""
    own: bool = False
    """Whether each party also keeps a file on its own rows alone, in its node's folder."""

    def reads(self, party: str) -> tuple[Reads, ...]:
        """Features, label and group, at every party."""
        del party
        group = (self.group,) if self.group and self.group not in self.features else ()
        return (Reads(dataset=self.dataset, columns=(*self.features, self.label, *group)),)

    def takes(self) -> Mapping[str, Mapping[str, Use]]:
        """The label as the task wants it, and the group by how the spec writes its categories."""
        label: Use = "label" if self.task == "binary" else "number"
        group: dict[str, Use] = {self.group: use_of(self.groups)} if self.group else {}
        return {self.dataset: {self.label: label} | group}

    def turns(self, party: str) -> tuple[Turn, ...]:
        """One sum, and the result."""
        del party
        return (Turn("evaluate", gives="evaluation"), Turn("query.conclude"))

    def sums(self) -> Mapping[str, SumShape]:
        """The words of every group."""
        words = BINARY_WORDS if self.task == "binary" else NUMBER_WORDS
        return {"evaluation": SumShape(word_bits=64, length=words * self.parts)}

    @property
    def parts(self) -> int:
        """How many groups are told apart."""
        return len(self.groups) + 1

    def models(self, party: str) -> tuple[str, ...]:
        """The model, at every party."""
        del party
        return (self.model,)

    def result_bytes(self) -> int:
        """Curves and tables of every group."""
        return 500 + (11_000 if self.task == "binary" else 150) * (self.parts + 1)

    def divisions(self) -> tuple[Division, ...]:
        """By the group."""
        return (Division(self.group, tuple(str(group) for group in self.groups)),) if self.group else ()

    def problems(self, parties: tuple[str, ...]) -> list[str]:
        """Groups without a column or for a task that has none, and names given twice."""
        del parties
        problems = []
        if bool(self.group) != bool(self.groups):
            problems.append("parameters.group: give both group and groups, or neither")
        if self.group and self.task != "binary":
            problems.append("parameters.group: only decisions about 0 and 1 are compared between groups")
        for name, values in (("features", self.features), ("groups", self.groups)):
            if len(set(values)) != len(values):
                problems.append(f"parameters.{name}: one is named twice")
        if self.label in self.features:
            problems.append("parameters.label: the label is also a feature")
        return problems
