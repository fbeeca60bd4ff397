"""Who adds the vectors of a sealed sum: this process its own words, a worker whatever SEAL must read.

Words modulo 2^w are numbers of a fixed width, whatever their bytes, so they are added here. A ciphertext, or a
public context, is a peer's bytes for a C++ library: only a job's worker process loads those, within its limits of
memory and time. If that process dies, or takes too long, the party whose bytes it was reading is lost, no other.
"""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from consortia_common.errors import place
from consortia_common.workers import Refusal, WorkerPool
from consortia_coordinator.errors import CoordinatorError, StoppingError
from consortia_crypto import errors
from consortia_crypto.errors import ConsortiaError
from consortia_crypto.sum import masking
from consortia_crypto.sum.masking import CollectorGroup, Mask
from consortia_crypto.sum.terms import SumPolicy
from consortia_crypto.sum.vector import FileVector, Layout
from consortia_crypto.sum.wire import wire_layout

_DOER = "consortia_coordinator.latticework"
"""Named, because it loads SEAL, which the parent never does."""


class Adder(Protocol):
    """Adds and unmasks vectors that lie in files."""

    @property
    def wire(self) -> Layout:
        """How uploads and totals are cut into frames."""

    def accumulate(self, total: Path, upload: Path, sender: str, *, first: bool) -> None:
        """Add ``sender``'s ``upload`` to ``total``; the ``first`` one replaces what is there."""

    def adjust(self, total: Path, masks: Sequence[Mask], sink: Path) -> str:
        """Write ``total`` after ``masks`` into ``sink``; SHA-256 of what was written."""


class Here:
    """Implements Adder in this process."""

    def __init__(self, group: CollectorGroup) -> None:
        self._group = group

    @property
    def wire(self) -> Layout:
        """See Adder."""
        return self._group.wire

    def accumulate(self, total: Path, upload: Path, sender: str, *, first: bool) -> None:
        """See Adder. Raises CryptoError."""
        with FileVector.reading(upload) as coming, FileVector.changing(total) as changed:
            masking.accumulate(self._group, changed, coming, sender, first=first)

    def adjust(self, total: Path, masks: Sequence[Mask], sink: Path) -> str:
        """See Adder. Raises CryptoError."""
        with FileVector.reading(total) as found, FileVector.creating(sink, self.wire.size) as made:
            return masking.adjust(self._group, found, masks, made)


@dataclass(frozen=True)
class LatticeKey:
    """The public context of a job's sums, as the party ``owner`` made it."""

    job_id: str
    context: bytes = field(repr=False)
    owner: str


@dataclass(frozen=True)
class CheckRequest:
    """A public context, to be loaded once."""

    key: LatticeKey
    step = "reading a public context"

    @property
    def job_id(self) -> str:
        """Whose worker it is for."""
        return self.key.job_id

    @property
    def sender(self) -> str:
        """Whose bytes are read."""
        return self.key.owner


@dataclass(frozen=True)
class AddRequest:
    """An upload to be added to a total."""

    key: LatticeKey
    policy: SumPolicy
    total: Path
    upload: Path
    sender: str
    first: bool
    step = "adding an upload"

    @property
    def job_id(self) -> str:
        """Whose worker it is for."""
        return self.key.job_id


@dataclass(frozen=True)
class AdjustRequest:
    """A total whose masks are to be removed."""

    key: LatticeKey
    policy: SumPolicy
    total: Path
    masks: tuple[Mask, ...] = field(repr=False)
    sink: Path
    sender = "the uploads' senders together"
    step = "unmasking a total"

    @property
    def job_id(self) -> str:
        """Whose worker it is for."""
        return self.key.job_id


Request = CheckRequest | AddRequest | AdjustRequest


class Workers(WorkerPool[Request]):
    """Gives each job with the engine "lattice" a process of its own."""

    def __init__(self, memory_mib: int, seconds: float) -> None:
        super().__init__(memory_mib, seconds, _run)

    def run(self, request: Request) -> Any:
        """Do what the request asks in the job's worker.

        Raises CryptoError for what the sender's bytes are not, CoordinatorError if no worker survived them, and
        StoppingError when the workers are closed before it is done.
        """
        return self._perform(request)

    def _lost(self, request: Request, why: str) -> CoordinatorError:
        return CoordinatorError(
            f"the worker for {request.step} {why}",
            blame=f"{request.sender}, whose bytes it read, or this coordinator's limits",
            remedy="its operator may raise worker_memory_mib or worker_seconds in coordinator.toml",
        )

    def _stopped(self) -> StoppingError:
        return StoppingError(
            "the sum was not added before the coordinator stopped",
            blame="nobody: the coordinator was told to stop",
            remedy="start it again; the job goes on by itself",
        )


class Apart:
    """Implements Adder in a job's worker, where alone ciphertexts are read."""

    def __init__(self, workers: Workers, policy: SumPolicy, key: LatticeKey) -> None:
        self._workers = workers
        self._policy = policy
        self._key = key
        self._wire = wire_layout(policy)

    @property
    def wire(self) -> Layout:
        """See Adder."""
        return self._wire

    def accumulate(self, total: Path, upload: Path, sender: str, *, first: bool) -> None:
        """See Adder. Raises CryptoError, CoordinatorError."""
        self._workers.run(AddRequest(self._key, self._policy, total, upload, sender, first))

    def adjust(self, total: Path, masks: Sequence[Mask], sink: Path) -> str:
        """See Adder. Raises CryptoError, CoordinatorError."""
        return str(self._workers.run(AdjustRequest(self._key, self._policy, total, tuple(masks), sink)))


class _Refusal(Refusal):
    """An error of consortia_crypto's, or one that nobody expected, between processes."""

    def __init__(self, family: str, what: str, blame: str, remedy: str) -> None:
        self._family, self._what, self._blame, self._remedy = family, what, blame, remedy

    def error(self) -> ConsortiaError:
        family = _FAMILIES.get(self._family, CoordinatorError)
        return family(self._what, blame=self._blame, remedy=self._remedy)


_FAMILIES: Mapping[str, type[ConsortiaError]] = {
    family.__name__: family
    for family in (errors.CiphertextError, errors.PrivateKeyMaterialError, errors.SumError, errors.CryptoError)
}


def _run(request: Request) -> Any:
    try:
        return importlib.import_module(_DOER).do(request)
    except ConsortiaError as error:
        return _Refusal(type(error).__name__, error.what, error.blame, error.remedy)
    except Exception as error:
        return _Refusal(
            "",
            f"{request.step} met an error that it did not expect: {type(error).__name__} in {place(error)}",
            f"{request.sender}, or this version of Consortia",
            "report it; submitting the job again will not help",
        )
