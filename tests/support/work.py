"""A stand-in for the worker: the steps of a kind over made-up rows, with sums in plain sight.

``Banks`` plays several institutions and the coordinator between them: what one seals is its numbers, what all open
is their sum. So the arithmetic of a kind can be held against numpy's without ciphertexts or processes.
"""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import narwhals as nw
import numpy as np
import pyarrow as pa

from consortia_common.content import Content
from consortia_common.documents.fitted import Model
from consortia_common.documents.jobspec import JobSpec
from consortia_common.documents.kinds import Turn
from consortia_common.documents.model import Range
from consortia_common.sealed import policy_of
from consortia_crypto.sum.quantise import dequantise, quantise
from consortia_node import federated
from consortia_node.kinds import Floats, Frame, Integers, Made, Outcome, steps_of
from consortia_node.sources.places import SUBJECT

Tables = Mapping[str, Mapping[str, Sequence[Any]]]
"""By dataset, by column."""


@dataclass
class PlainWork:
    """Implements consortia_node.kinds.Work for one institution."""

    spec: JobSpec
    institution: str
    tables: Tables = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
    limits: Mapping[str, Range] = field(default_factory=dict)
    job_id: str = "job-0000000000000000"
    recipients: tuple[str, ...] = ("analyst", "parties")
    lawful_basis: str = "consent"
    min_cell: int = 1
    turn: int = 0
    values: MutableMapping[str, bytes] = field(default_factory=dict)
    totals: MutableMapping[tuple[str, int], Integers] = field(default_factory=dict)
    memory: MutableMapping[str, Any] = field(default_factory=dict)
    kept: Sequence[str] | None = None
    """The customers whose consent still stands; everybody's unless set."""

    def matrix(self, dataset: str, columns: Sequence[str]) -> Floats:
        return np.column_stack([np.asarray(self.tables[dataset][column], np.float64) for column in columns])

    def frame(self, dataset: str, columns: Sequence[str]) -> Frame:
        held = self.tables[dataset]
        table = pa.table({SUBJECT: self.subjects(dataset), **{column: held[column] for column in columns}})
        return nw.from_native(duckdb.connect().from_arrow(table))

    def remember(self, name: str, make: Callable[[], Made]) -> Made:
        made: Made = self.memory.setdefault(name, make()) if name not in self.memory else self.memory[name]
        return made

    def subjects(self, dataset: str) -> list[str]:
        rows = len(next(iter(self.tables[dataset].values())))
        everybody = [f"{self.institution}-{row}" for row in range(rows)]
        return everybody if self.kept is None else list(self.kept)

    def ranges(self, dataset: str, columns: Sequence[str]) -> list[Range]:
        return [self.limits[column] for column in columns]

    def model(self, name: str) -> Model:
        return self.models[name]

    def total(self, name: str, turn: int = 0) -> Integers:
        return self.totals[name, turn]

    def real_total(self, name: str, turn: int = 0) -> Floats:
        policy = policy_of("job", self.spec, name, turn)
        return dequantise(self.total(name, turn), policy.scales, policy.limit)

    def summand(self, name: str, values: Integers | Floats, turn: int) -> Integers:
        """``values`` as they go into the sum, which must be within its policy."""
        policy = policy_of("job", self.spec, name, turn)
        if policy.scales:
            values = quantise(values, policy.scales, policy.limit).astype(np.int64)  # they are added up here
        assert values.dtype == np.int64
        assert values.shape == (policy.length,)
        assert np.abs(values).max(initial=0) <= policy.limit
        return values

    def server_step(self, current: Floats, mean_update: Floats) -> Floats:
        return federated.server_step(self.spec.parameters.strategy, self.values, current, mean_update)


class Banks:
    """Every party of a spec, and the sums between them."""

    def __init__(self, spec: JobSpec, tables: Mapping[str, Tables], min_cell: int = 1) -> None:
        self.works = {party: PlainWork(spec, party, tables[party], min_cell=min_cell) for party in spec.parties}
        self.spec = spec
        self._steps = steps_of(spec.kind)

    def outcomes(self, step: str, request: Content, turn: int = 0) -> list[Outcome]:
        """What every party makes of a step."""
        for work in self.works.values():
            work.turn = turn
        return [self._steps[step].run(work, request) for work in self.works.values()]

    def add(self, step: str, turn: int = 0) -> Integers:
        """The sum of what every party adds in a step; all of them have it afterwards."""
        asked = Turn(step, turn)
        (name,) = {each.gives for each in self.spec.parameters.turns(self.spec.parties[0]) if each == asked}
        outcomes = self.outcomes(step, Content(), turn)
        parts = [
            work.summand(name, outcome.summand, turn)
            for work, outcome in zip(self.works.values(), outcomes, strict=True)
            if outcome.summand is not None
        ]
        total = np.sum(parts, axis=0)
        self.give(name, total, turn)
        return total

    def give(self, name: str, total: Integers, turn: int = 0) -> None:
        """Let every party have ``total``."""
        for work in self.works.values():
            work.totals[name, turn] = total

    def results(self, step: str = "query.conclude") -> list[Mapping[str, object]]:
        """The results of the last step, which must be the same everywhere."""
        results = [outcome.result for outcome in self.outcomes(step, Content())]
        assert all(result is not None and result == results[0] for result in results)
        return [result for result in results if result is not None]
