"""``statistics``: count, mean, standard deviation and the label's rate, by group, over all parties together."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from consortia_common.documents.base import ColumnName, Name
from consortia_common.documents.kinds import Division, KindParameters, Reads, SumShape, Turn

Columns = Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=256)]
Code = Annotated[int, Field(ge=-(10**9), le=10**9)]


class Parameters(KindParameters):
    """Of a ``statistics`` job."""

    dataset: Name
    """A dataset that every party offers under the agreement."""
    columns: Columns
    """Numeric columns to describe."""
    label: ColumnName | None = None
    """A 0/1 column whose rate is given for each group."""
    by: ColumnName | None = None
    """A category column to group by."""
    groups: Annotated[tuple[Code, ...], Field(max_length=64)] = ()
    """The category codes that make groups of their own; rows with any other code form the group "other"."""
    decimals: Annotated[int, Field(ge=0, le=6)] = 2
    """Values are rounded to this many decimals before they are summed; sums are then exact."""

    def reads(self, party: str) -> tuple[Reads, ...]:
        """The described columns, the label and the grouping column, at every party."""
        del party
        extra = [column for column in (self.label, self.by) if column]
        return (Reads(dataset=self.dataset, columns=tuple(dict.fromkeys([*self.columns, *extra]))),)

    def turns(self, party: str) -> tuple[Turn, ...]:
        """One table, and the opening of the sum."""
        del party
        return (Turn("query.tabulate", gives="table"), Turn("query.conclude"))

    def sums(self) -> Mapping[str, SumShape]:
        """One table of 64-bit words: for each group its rows, its label sum and three sums a column."""
        words = 2 + 3 * len(self.columns)
        return {"table": SumShape(word_bits=64, length=(len(self.groups) + 1) * words)}

    def division(self) -> Division | None:
        """By the grouping column, where one is named."""
        return Division(self.by, self.groups) if self.by else None

    def precision(self) -> int:
        """As the spec says."""
        return self.decimals

    def problems(self, parties: tuple[str, ...]) -> list[str]:
        """A column or a group named twice; groups without a column to group by, and the reverse."""
        del parties
        problems = []
        if len(set(self.columns)) != len(self.columns):
            problems.append("parameters.columns: a column is named twice")
        if len(set(self.groups)) != len(self.groups):
            problems.append("parameters.groups: a group is named twice")
        if bool(self.by) != bool(self.groups):
            problems.append("parameters.by and parameters.groups: give both or neither")
        return problems
