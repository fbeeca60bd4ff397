"""The node's workers: one process for each job that is computing; see consortia_common.workers.

The agent, which holds the institution's keys, its database and its connection, never runs a job's arithmetic or
hands a peer's ciphertext to a library: a worker does.
"""

import importlib
from collections.abc import Mapping
from typing import Any, overload

from consortia_common.documents.kinds import names
from consortia_common.errors import place
from consortia_common.workers import Refusal, WorkerPool
from consortia_crypto.errors import CiphertextError, ConsortiaError
from consortia_node.errors import BadCiphertextError, StepError, StoppingError, TotalRefusedError
from consortia_node.step import KeyRequest, Masked, MaskRequest, OpenRequest, Request, StepRequest, StepResult

_DOERS: Mapping[type, tuple[str, str]] = {
    StepRequest: ("work", "run"),
    KeyRequest: ("sumwork", "new_key"),
    MaskRequest: ("sumwork", "mask"),
    OpenRequest: ("sumwork", "open_total"),
}
"""Module and function that do a request; named, because they import Flower and SEAL, which the agent does not."""


class Workers(WorkerPool[Request]):
    """Gives each job a process of its own."""

    def __init__(self, memory_mib: int, seconds: float) -> None:
        super().__init__(memory_mib, seconds, _run)

    def stand_by(self) -> None:
        """From now on have a worker wait for the next job, so that it need not load what steps are made of."""
        self.keep_one_ready(_load)

    @overload
    def run(self, request: StepRequest) -> StepResult: ...
    @overload
    def run(self, request: KeyRequest) -> tuple[bytes, bytes]: ...
    @overload
    def run(self, request: MaskRequest) -> Masked: ...
    @overload
    def run(self, request: OpenRequest) -> None: ...

    def run(self, request: Request) -> Any:
        """Do what the request asks in the job's worker.

        Raises what the step raised, StepError if it took too long or its worker died at each attempt, and
        StoppingError when the workers are closed before it is done.
        """
        return self._perform(request)

    def _lost(self, request: Request, why: str) -> StepError:
        return StepError(
            f"the worker for step {request.step!r} {why}",
            blame=f"the node of {request.institution}",
            remedy=(
                "its operator may raise worker_memory_mib or worker_seconds in node.toml; then submit the job again"
            ),
        )

    def _stopped(self) -> StoppingError:
        return StoppingError()


class _Refusal(Refusal):
    """A StepError, or what becomes one, between processes."""

    def __init__(self, error: ConsortiaError) -> None:
        self._what, self._blame, self._remedy = error.what, error.blame, error.remedy
        self._family = BadCiphertextError if isinstance(error, CiphertextError) else StepError
        self._detail = error.detail if isinstance(error, TotalRefusedError) else ""

    def error(self) -> StepError:
        if self._detail:
            return TotalRefusedError(self._detail)
        return self._family(self._what, blame=self._blame, remedy=self._remedy)


def _load() -> None:
    for module, _ in _DOERS.values():
        importlib.import_module(f"consortia_node.{module}")
    for kind in names():
        importlib.import_module(f"consortia_node.kinds.{kind}")
    importlib.import_module("scipy.special")
    importlib.import_module("consortia_node.sources.duckdb_engine").rehearse()


def _run(request: Request) -> Any:
    module, function = _DOERS[type(request)]
    try:
        return getattr(importlib.import_module(f"consortia_node.{module}"), function)(request)
    except ConsortiaError as error:
        return _Refusal(error)
    except Exception as error:  # its text may quote a row, so only its type and place go on
        return _Refusal(
            StepError(
                f"the step met an error that it did not expect: {type(error).__name__} in {place(error)}",
                blame="this version of Consortia, most likely",
                remedy="report it; submitting the job again will not help",
            )
        )
