"""What crosses between the agent and a job's worker process: one step asked, one outcome given.

A request holds all that the step may use and nothing else: the cohorts' files (rows with consent, columns of the
spec), the values kept from earlier steps, the models that the spec names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from consortia_common.documents.model import Range
from consortia_node.kinds import Event

SUM_KEY = "sum.key"
"""The name under which a job's values hold the secret of its sealed sums."""


@dataclass(frozen=True)
class StepRequest:
    """One step for a worker; plain values only, because it crosses to another process."""

    job_id: str
    spec: bytes
    institution: str
    step: str
    turn: int
    min_cell: int
    content: bytes
    cohorts: Mapping[str, Path] = field(default_factory=dict)
    values: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    models: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    ranges: Mapping[str, Mapping[str, Range]] = field(default_factory=dict)


@dataclass(frozen=True)
class StepResult:
    """What a step made; plain values only."""

    content: bytes
    letters: Mapping[str, bytes] = field(repr=False)
    result: bytes | None = field(repr=False)
    files: Mapping[str, bytes] = field(repr=False)
    events: tuple[Event, ...]
    values: Mapping[str, bytes] = field(repr=False)
