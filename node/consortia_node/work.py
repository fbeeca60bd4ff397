"""A job's step inside its worker process: what the kind is handed, and what goes back to the agent.

No identity, no database, no log and no connection is within reach of a worker; all it may use is in the request.
A step that scans reads the institution's file itself, through a frame of consented rows and the job's columns.
"""

import json
import os
import resource
from collections import OrderedDict
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from consortia_common import sealed
from consortia_common.content import Content
from consortia_common.documents.fitted import Model
from consortia_common.documents.jobspec import JobSpec
from consortia_common.documents.kinds import Turn
from consortia_common.documents.kinds.train import Parameters as TrainParameters
from consortia_common.documents.model import Range
from consortia_common.documents.receipt import SALT
from consortia_crypto.sum.keystream import SEED_BYTES, Keystream
from consortia_crypto.sum.quantise import dequantise, quantise
from consortia_crypto.sum.terms import SumPolicy
from consortia_crypto.sum.vector import Integers as Summed
from consortia_node import federated
from consortia_node.datasets import ColumnSettings
from consortia_node.errors import SourceError, StepError
from consortia_node.kinds import OVER, Floats, Frame, Integers, Made, Outcome, step_of
from consortia_node.sources.scans import Scans
from consortia_node.step import StepRequest, StepResult
from consortia_node.sumfiles import SumFiles, read_integers, write_integers

FULL_WIDTH = 32
"""Bits from which rounding to the nearest is good enough; below, chance rounds, so that errors don't add up."""


_REMEMBERED = 16
_MEMORY: OrderedDict[tuple[str, str, str], tuple[str, Any]] = OrderedDict()
"""See ``Work.remember``; what is lost with a worker is made again by the next."""


def run(request: StepRequest) -> StepResult:
    """Take the step. Raises the errors of this package, of consortia_common and of consortia_crypto."""
    with Scans(request.cohorts) as scans:
        work = _Work(request, scans)
        step = step_of(work.spec.kind, request.step)
        content = Content.from_bytes(request.content, "the coordinator")
        outcome = federated.run_step(request.step, request.turn, lambda asked: step.run(work, asked), content)
    return _result(outcome, work)


def _result(outcome: Outcome, work: "_Work") -> StepResult:
    result = None if outcome.result is None else {**outcome.result, SALT: work.salt}
    progress = outcome.progress
    if outcome.summand is not None:
        work.keep_summand(outcome.summand)
    return StepResult(
        content=outcome.content.to_bytes(),
        letters={name: letter.to_bytes() for name, letter in outcome.letters.items()},
        result=None if result is None else _json(result),
        progress=None if progress is None else _json(progress),
        files=outcome.files,
        events=outcome.events,
        memory_mib=_peak_mib(),
        values=work.changed,
        over=OVER in work.values,
    )


def _rounded(values: Integers | Floats, policy: SumPolicy) -> Summed:
    """Real numbers in fixed point; with narrow words chance rounds them."""
    dither = Keystream(os.urandom(SEED_BYTES)).read if policy.word_bits < FULL_WIDTH else None
    return quantise(np.asarray(values, np.float64), policy.scales, policy.limit, dither)


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, allow_nan=False).encode()


def _peak_mib() -> int:
    """Of this process alone; what getrusage says begins with the memory of the one that started it."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) >> 10
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


class _Work:
    """Implements consortia_node.kinds.Work over a StepRequest."""

    def __init__(self, request: StepRequest, scans: Scans) -> None:
        self._request = request
        self._scans = scans
        self._values = dict(request.values)
        self._spec = JobSpec.from_canonical(request.spec, "the job spec")

    @property
    def spec(self) -> JobSpec:
        return self._spec

    @property
    def job_id(self) -> str:
        return self._request.job_id

    @property
    def recipients(self) -> tuple[str, ...]:
        return self._request.recipients

    @property
    def lawful_basis(self) -> str:
        return self._request.lawful_basis

    @property
    def institution(self) -> str:
        return self._request.institution

    @property
    def turn(self) -> int:
        return self._request.turn

    @property
    def min_cell(self) -> int:
        return self._request.min_cell

    @property
    def values(self) -> MutableMapping[str, bytes]:
        return self._values

    @property
    def changed(self) -> dict[str, bytes]:
        """The values that the step has made or changed."""
        before = self._request.values
        return {name: value for name, value in self._values.items() if before.get(name) != value}

    def frame(self, dataset: str, columns: Sequence[str]) -> Frame:
        return self._scans.frame(dataset, columns)

    def column(self, dataset: str, name: str) -> ColumnSettings:
        return self._scans.column(dataset, name)

    def remember(self, name: str, make: Callable[[], Made]) -> Made:
        key, version = (self.institution, self._request.job_id, name), self._scans.version()
        if key not in _MEMORY or _MEMORY[key][0] != version:
            _MEMORY[key] = (version, make())
        _MEMORY.move_to_end(key)
        while len(_MEMORY) > _REMEMBERED:
            _MEMORY.popitem(last=False)
        made: Made = _MEMORY[key][1]
        return made

    def matrix(self, dataset: str, columns: Sequence[str]) -> Floats:
        return self._scans.matrix(dataset, columns)

    def subjects(self, dataset: str) -> list[str]:
        return self._scans.subjects(dataset)

    def ranges(self, dataset: str, columns: Sequence[str]) -> list[Range]:
        found = {name: self.column(dataset, name) for name in columns}
        missing = [name for name, column in found.items() if column.low is None]
        if missing:
            raise SourceError(
                f"datasets.toml gives no low and high for {', '.join(missing[:5])} of {dataset}",
                blame="this institution's configuration",
                remedy="add the public range of each column that is to be scored encrypted, and restart the node",
            )
        return [(column.low or 0.0, column.high or 0.0) for column in found.values()]

    def model(self, name: str) -> Model:
        document = self._request.models.get(name)
        if document is None:
            raise StepError(
                f"{self.institution} has no model {name}",
                blame="the job spec, or this institution",
                remedy="add it with `consortia model add`, or name one that `consortia model list` shows",
            )
        return Model.from_canonical(document, f"model {name}")

    def total(self, name: str, turn: int = 0) -> Integers:
        return self._total(name, turn).astype(np.int64)

    def _total(self, name: str, turn: int) -> Summed:
        path = self._files(name, turn).total
        if not path.exists():
            raise StepError(
                f"the step needs sum {name} of round {turn}, of which no total has come",
                blame="the coordinator",
                remedy="submit the job again; if it persists, compare the institutions' logs of it",
            )
        return read_integers(path, self._policy(name, turn).value_bytes)

    def real_total(self, name: str, turn: int = 0) -> Floats:
        policy = self._policy(name, turn)
        return dequantise(self._total(name, turn), policy.scales, policy.limit)

    def keep_summand(self, values: Integers | Floats) -> None:
        """Write what the step made for its sum to the file from which it is masked."""
        turns = self.spec.parameters.turns(self.institution)
        name = next(turn.gives for turn in turns if turn == Turn(self._request.step, self.turn))
        policy = self._policy(name, self.turn)
        summand: Summed = np.asarray(values, np.int64) if not policy.scales else _rounded(values, policy)
        write_integers(self._files(name, self.turn).summand, summand, policy.value_bytes)

    def server_step(self, current: Floats, mean_update: Floats) -> Floats:
        parameters = cast("TrainParameters", self.spec.parameters)
        return federated.server_step(parameters.strategy, self._values, current, mean_update)

    @property
    def salt(self) -> str:
        """See StepRequest."""
        return self._request.salt

    def _policy(self, name: str, turn: int) -> SumPolicy:
        return sealed.policy_of(self._request.job_id, self.spec, name, turn)

    def _files(self, name: str, turn: int) -> SumFiles:
        return SumFiles(self._request.sums, name, turn)
