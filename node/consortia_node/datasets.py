"""``datasets.toml`` beside node.toml: the tables that jobs may read here under agreements, column by column.

What is declared holds: a source whose columns have other types, or values outside the declared ranges, is refused
when it is read. What is not declared here, no job can read. docs/datasets.md explains every field.
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from consortia_common.documents.base import ColumnName, Name
from consortia_common.settings import LocalPath, Table, load_table

Meaning = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
Unit = Annotated[str, StringConstraints(max_length=40, pattern=r"^[^\x00-\x1f\x7f]*$")]
Word = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
Code = Annotated[int, Field(strict=True, ge=-(10**15), le=10**15)]
TableName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?$")
]
"""A table or view, with its schema if need be; the pattern leaves no room for SQL."""
ServerAddress = Annotated[str, StringConstraints(pattern=r"^postgres(ql)?://")]

_TYPES_OF_ROLE = {
    "id": {"text", "integer"},
    "feature": {"integer", "number", "boolean", "category", "date"},
    "label": {"boolean"},
    "time": {"date"},
}


class ColumnSettings(Table):
    """One column of a dataset."""

    type: Literal["text", "integer", "number", "boolean", "category", "date"]
    role: Literal["id", "feature", "label", "time"] = "feature"
    """What it is for. The one with role id is the institution's own customer number; it never leaves the node."""
    meaning: Meaning = ""
    """What a value says, for analysts elsewhere; the catalogue shows it."""
    unit: Unit = ""
    low: float | None = None
    """Smallest value that the column can hold, publicly known."""
    high: float | None = None
    """Largest value."""
    values: tuple[Code, ...] | tuple[Word, ...] = ()
    """The categories that a category column can hold, all text or all whole numbers, publicly known."""
    grade: Annotated[int, Field(ge=1, le=5)] = 3
    """How sensitive it is, after JR/T 0197-2020: 1 (public) to 5 (harm to national security)."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        """A range has two ends, in order; each role and each field goes with some types only."""
        if (self.low is None) != (self.high is None):
            raise ValueError("low and high are given together or not at all")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError("low must be below high")
        if self.low is not None and (self.type not in {"integer", "number"} or self.role == "id"):
            raise ValueError("low and high are for columns of type integer or number")
        if self.values and self.type != "category":
            raise ValueError("values are for columns of type category")
        if len(set(self.values)) != len(self.values):
            raise ValueError("values: one is named twice")
        fitting = _TYPES_OF_ROLE[self.role]
        if self.type not in fitting:
            raise ValueError(f"a column with role {self.role} has type {' or '.join(sorted(fitting))}")
        return self


class DatasetSettings(Table):
    """A table that the institution offers to jobs under its agreements."""

    name: Name
    meaning: Meaning = ""
    """What a row is, for analysts elsewhere; the catalogue shows it."""
    path: LocalPath | None = None
    """A CSV, Parquet or DuckDB file, or a folder of Parquet files."""
    postgresql: ServerAddress | None = None
    """Instead of a path: the PostgreSQL database, without a password in its address."""
    table: TableName | None = None
    """The table or view in a DuckDB file or in PostgreSQL; named like the dataset unless set."""
    one_row_each: bool = False
    """Whether no customer may have more than one row; a table that breaks this is refused."""
    columns: Annotated[dict[ColumnName, ColumnSettings], Field(min_length=2)]

    @property
    def subject(self) -> str:
        """The column with the institution's own customer number."""
        return next(name for name, column in self.columns.items() if column.role == "id")

    @property
    def offered(self) -> dict[str, ColumnSettings]:
        """The columns that jobs may name: all but the customer number."""
        return {name: column for name, column in self.columns.items() if column.role != "id"}

    @property
    def grades(self) -> dict[str, int]:
        """The grade of each column that jobs may name."""
        return {name: column.grade for name, column in self.offered.items()}

    @property
    def table_name(self) -> str:
        """See ``table``."""
        return self.table or self.name

    @model_validator(mode="after")
    def _check(self) -> Self:
        """One source; one customer number; no password where others may read it."""
        if (self.path is None) == (self.postgresql is None):
            raise ValueError("give either path or postgresql")
        if self.postgresql and re.search(r"password=|//[^/@]*:[^/@]*@", self.postgresql):
            raise ValueError("postgresql: the password belongs in PGPASSFILE or ~/.pgpass, not into the address")
        if sum(column.role == "id" for column in self.columns.values()) != 1:
            raise ValueError("columns: exactly one has role id, the customer number")
        return self


class DatasetsFile(Table):
    """The file."""

    datasets: tuple[DatasetSettings, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Dataset names are unique."""
        names = [dataset.name for dataset in self.datasets]
        if len(set(names)) != len(names):
            raise ValueError("datasets: two have one name")
        return self


def load(path: Path) -> tuple[DatasetSettings, ...]:
    """The datasets that the file declares; none if there is no file. Raises SettingsError."""
    return load_table(DatasetsFile, path).datasets if path.exists() else ()
