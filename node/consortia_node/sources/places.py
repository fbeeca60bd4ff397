"""Where a dataset lies, in which form, and how it stood: what a scan needs to know before any engine opens it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from consortia_node.datasets import DatasetSettings
from consortia_node.errors import SourceError

Form = Literal["csv", "parquet", "folder", "duckdb", "postgresql"]
SUBJECT = "_subject"
"""The customer number's column in a cohort; no column that a job may name begins so."""


@dataclass(frozen=True)
class Cohort:
    """The rows of one dataset that a job may use: crosses to the job's worker.

    Either ``rows`` is a file with just those rows and columns; or the worker scans the source itself, which must
    stand as ``state`` says, for the rows that the filter in the file ``chosen`` names, or all if there is none.
    """

    dataset: DatasetSettings
    columns: tuple[str, ...]
    rows: Path | None = None
    chosen: Path | None = None
    state: str = ""
    named: bool = False
    """Whether the rows come with their customer number, as SUBJECT."""
    spill: Path | None = None
    """The job's folder, to which goes what does not fit the engine's memory."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that belong to it."""
        return tuple(path for path in (self.rows, self.chosen) if path is not None)

    @property
    def is_there(self) -> bool:
        """Whether none of its files is missing."""
        return all(path.exists() for path in self.files)

    def discard(self) -> None:
        """Remove its files."""
        for path in self.files:
            path.unlink(missing_ok=True)


def form_of(dataset: DatasetSettings) -> Form:
    """By its place and the end of its name."""
    if dataset.path is None:
        return "postgresql"
    if dataset.path.is_dir():
        return "folder"
    match dataset.path.suffix.lower():
        case ".csv":
            return "csv"
        case ".duckdb" | ".db":
            return "duckdb"
        case _:
            return "parquet"


def state_of(dataset: DatasetSettings) -> str:
    """A digest that changes whenever a file of the source is written, replaced, added or removed.

    Empty for a table on a server. Raises SourceError if there is no file. Nothing of the content is read.
    """
    path = dataset.path
    if path is None:
        return ""
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    digest = hashlib.sha256()
    try:
        for file in files:
            found = file.stat()
            digest.update(f"{file}\0{found.st_ino}\0{found.st_size}\0{found.st_mtime_ns}\0".encode())
    except OSError:
        files = []
    if not files:
        raise refuse(dataset, "its file does not exist", "correct the path in datasets.toml, or put the file there")
    return digest.hexdigest()


def refuse(dataset: DatasetSettings, why: str, remedy: str) -> SourceError:
    """The error for a dataset that can't be used."""
    return SourceError(
        f"dataset {dataset.name} can't be used: {why}",
        blame="the institution that configured it",
        remedy=remedy,
    )
