"""PURE: what this institution's worker computes for each job kind: one module a kind, found by its file name.

A kind module defines ``STEPS``: for each step that the coordinator may ask, a function from (work, request) to
an outcome. A step sees only rows with valid consent and only the columns that the spec names; it can't log, send
or open envelopes, the agent around it does. What must last from step to step goes into ``work.values``, which is
stored together with the outcome, so a step that was interrupted can simply run again.
"""

import importlib
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from consortia_common.content import Content
from consortia_common.documents.fitted import Model
from consortia_common.documents.jobspec import JobSpec
from consortia_common.documents.kinds import parameters_of
from consortia_common.documents.model import Range
from consortia_node.datasets import ColumnSettings
from consortia_node.errors import StepError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Frame = nw.LazyFrame[Any]
"""See ``Work.frame``."""
OVER = "course.over"
"""The name of the value that a kind keeps once the optional steps of its course (see Turn) are not needed any more;
the node may then leave them out, and says so."""


Made = TypeVar("Made")


class Work(Protocol):
    """What a step is handed."""

    @property
    def spec(self) -> JobSpec:
        """What the analyst asked for and the gate accepted."""

    @property
    def job_id(self) -> str:
        """The job."""

    @property
    def recipients(self) -> tuple[str, ...]:
        """Whom the agreement lets the result reach."""

    @property
    def lawful_basis(self) -> str:
        """The agreement's."""

    @property
    def institution(self) -> str:
        """Whose node this is."""

    @property
    def turn(self) -> int:
        """The round, counted from 1, where the step is asked more than once."""

    @property
    def min_cell(self) -> int:
        """The agreement's smallest group whose statistics may be released."""

    @property
    def values(self) -> MutableMapping[str, bytes]:
        """What the job keeps between its steps at this node."""

    def frame(self, dataset: str, columns: Sequence[str]) -> Frame:
        """The rows with consent, lazily; the engine evaluates what is made of them in one pass over the source.

        Types are as ``column`` says: integer Int64, number Float64 (NaN becomes null), boolean Boolean, date Date,
        category String, or Int64 where its values are whole numbers. Nulls are kept, unknown categories too. A
        value outside the declared range, or an infinite one, raises SourceError when the frame is collected. If the
        kind reads the customer numbers too, they come first, as SUBJECT.
        """

    def column(self, dataset: str, name: str) -> ColumnSettings:
        """What the institution declares of a column in datasets.toml."""

    def remember(self, name: str, make: Callable[[], Made]) -> Made:
        """What ``make`` makes of the rows: from this worker's memory if the same rows were asked before."""

    def matrix(self, dataset: str, columns: Sequence[str]) -> Floats:
        """The rows with consent, shape (rows, columns), by customer. Raises SourceError where one has no number."""

    def subjects(self, dataset: str) -> list[str]:
        """The customer numbers of the same rows in the same order; for files that stay here."""

    def ranges(self, dataset: str, columns: Sequence[str]) -> list[Range]:
        """The public lowest and highest value of each column. Raises SourceError where one is not configured."""

    def model(self, name: str) -> Model:
        """A model of this institution's own."""

    def total(self, name: str, turn: int = 0) -> Integers:
        """The opened sum ``name`` (see the spec's ``sums``) of round ``turn``, of integers."""

    def real_total(self, name: str, turn: int = 0) -> Floats:
        """As ``total``, for a sum of real numbers."""

    def server_step(self, current: Floats, mean_update: Floats) -> Floats:
        """The next model, by the server step of the spec's Flower strategy; the same at every institution."""


@dataclass(frozen=True)
class Event:
    """A catalogued audit event that the agent must log before the outcome takes effect."""

    name: str
    detail: Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What a step hands back to the agent."""

    content: Content = field(default_factory=Content)
    """Goes to the coordinator as it is."""
    letters: Mapping[str, Content] = field(default_factory=dict)
    """By institution: sealed by the agent, so that only they can open it."""
    result: Mapping[str, Any] | None = None
    """The job's result; sealed to whom the agreement names."""
    summand: Integers | Floats | None = None
    """What this institution adds to the sum that the step ``gives``: integers, or real numbers if it has tensors.
    It stays here; the sealed-sum protocol sends it masked (docs/sealed-sum.md)."""
    progress: Mapping[str, Any] | None = None
    """How the job goes, made of opened totals alone; sealed to the analyst where the agreement gives the result."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Kept in the node's results folder for this institution alone."""
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class Step:
    """One step of a kind."""

    run: Callable[[Work, Content], Outcome]
    reads: bool = False
    """Whether it needs the institution's rows."""
    scans: bool = False
    """Whether it reads by ``frame`` alone; if all steps of a kind do, the rows need not be copied first."""
    letter_from: str = ""
    """The step of another party whose letter this one needs; the agent opens it and hands over its content."""


def steps_of(kind: str) -> Mapping[str, Step]:
    """The steps of ``kind``. Raises DocumentError for an unknown kind."""
    parameters_of(kind)
    return cast("Mapping[str, Step]", importlib.import_module(f"{__name__}.{kind}").STEPS)


def step_of(kind: str, step: str) -> Step:
    """The step of that name. Raises StepError where the kind has none."""
    found = steps_of(kind).get(step)
    if found is None:
        raise StepError(
            f"a {kind} job has no step {step[:40]!r}",
            blame="the coordinator",
            remedy="coordinator and nodes must run compatible versions of Consortia",
        )
    return found
