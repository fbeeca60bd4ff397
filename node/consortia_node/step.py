"""What crosses between the agent and a job's worker process: one step asked, one outcome given.

Plain values only. A request holds all that the step may use and nothing else: the cohorts (rows with consent,
columns of the spec), the values kept from earlier steps, the models that the spec names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from consortia_crypto.sum.plans import MaskPlan, OpenPlan
from consortia_crypto.sum.terms import SumPolicy
from consortia_crypto.sum.vector import Layout
from consortia_node.kinds import Event
from consortia_node.sources.places import Cohort
from consortia_node.sumfiles import SumFiles


@dataclass(frozen=True)
class StepRequest:
    """One step of the job's kind."""

    job_id: str
    spec: bytes
    institution: str
    step: str
    turn: int
    min_cell: int
    content: bytes
    sums: Path
    """The job's folder of summands and totals; see sumfiles.py."""
    recipients: tuple[str, ...] = ()
    """Whom the agreement lets the result reach."""
    lawful_basis: str = ""
    """The agreement's."""
    cohorts: Mapping[str, Cohort] = field(default_factory=dict)
    values: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    models: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    salt: str = ""
    """Goes into the result, whose digest receipts show to the coordinator; the same at all parties."""


@dataclass(frozen=True)
class StepResult:
    """What a step made."""

    content: bytes
    letters: Mapping[str, bytes] = field(repr=False)
    result: bytes | None = field(repr=False)
    progress: bytes | None = field(repr=False)
    files: Mapping[str, bytes] = field(repr=False)
    events: tuple[Event, ...]
    values: Mapping[str, bytes] = field(repr=False)
    """Those that it made or changed."""
    memory_mib: int
    """The most that the worker has used so far."""
    over: bool = False
    """Whether the kind has found that its optional steps are over."""


@dataclass(frozen=True)
class KeyRequest:
    """A fresh key for the sums of a job with the engine "lattice"."""

    job_id: str
    step: str
    institution: str


@dataclass(frozen=True)
class MaskRequest:
    """The summand of one sum to be sealed; ``secret`` is the epoch's, for the engine "lattice"."""

    job_id: str
    step: str
    institution: str
    policy: SumPolicy
    plan: MaskPlan = field(repr=False)
    files: SumFiles
    secret: bytes | None = field(repr=False)


@dataclass(frozen=True)
class Masked:
    """What came of it: the SHA-256 of the upload, its masked tag, and how it is cut into frames."""

    digest: str
    tag: int = field(repr=False)
    wire: Layout


@dataclass(frozen=True)
class OpenRequest:
    """A total to be opened."""

    job_id: str
    step: str
    institution: str
    policy: SumPolicy
    plan: OpenPlan = field(repr=False)
    files: SumFiles
    secret: bytes | None = field(repr=False)


Request = StepRequest | KeyRequest | MaskRequest | OpenRequest
