"""What an import or the clock brings into force, of many customers at once, written in the caller's transaction.

Trusted for: nothing of it stands unless all of it was logged, under a root over every record that changed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from sqlalchemy import Connection

from consortia_common import consent_tree
from consortia_node.consent import ENDING, ConsentRecord, notice_id
from consortia_node.consent_import import Findings
from consortia_node.keyring import Keyring
from consortia_node.spread import spread
from consortia_node.store.cohorts import CohortStore
from consortia_node.store.consent_batches import Batch, Step, keys_of, take
from consortia_node.store.current_register import count_up
from consortia_node.store.register import Register, RegisterRow, ordered_pairs
from consortia_node.store.subjects import BATCH_ROWS, SubjectStore


@dataclass(frozen=True)
class Taken:
    """What an import or the clock changed: its transitions' pairs with the root over them, and for each of its
    purposes how many records are in each state now."""

    findings: Findings
    root: str
    pairs: bytes
    in_force: Mapping[str, Mapping[str, int]]


Log = Callable[[Taken], object]


class Written(NamedTuple):
    """What was logged, the version that it makes, and the register as it is then."""

    taken: Taken
    version: int
    register: Register


class Intake:
    """One transaction of an import, or of the clock; ``register`` is as it was before."""

    def __init__(self, connection: Connection, ring: Keyring, register: Register) -> None:
        self._connection = connection
        self._ring = ring
        self._register = register
        self._store = SubjectStore(connection, ring)

    def take(self, steps: Sequence[Step], findings: Findings, now_ms: int, log: Log) -> Written:
        """Write the steps and log them."""
        added = self._write(steps, now_ms)
        renewed = self._register.replaced((step.position for step in steps if step.position is not None), added)
        pairs = ordered_pairs(added.pair)
        in_force = {purpose: renewed.counts(purpose) for purpose in sorted({step.row.purpose for step in steps})}
        taken = Taken(findings, consent_tree.root(pairs), pairs, in_force)
        version = count_up(self._connection)
        log(taken)
        return Written(taken, version, renewed)

    def ended(self, steps: Sequence[Step]) -> Iterator[tuple[int, ConsentRecord]]:
        """The records that stood before and that people ended, of customers whose rows jobs have used."""
        over = [
            (int(self._register.subject_id[step.position]), (step.row.purpose, notice_id(step.row.notice)))
            for step in steps
            if step.position is not None and step.row.state in ENDING
        ]
        used = CohortStore(self._connection).used(np.array([subject_id for subject_id, _ in over], np.int64))
        for subject_id, key in over:
            subject = self._store.get(subject_id) if subject_id in used else None
            if subject is not None:
                yield subject_id, subject.in_force[key].record

    def _write(self, steps: Sequence[Step], now_ms: int) -> Register:
        """Write the customers' rows; what the register has of the changes."""
        numbers = {step.row.subject for step in steps}
        is_new = not len(self._register.subject_id) and len(numbers) == len(steps)
        keys = keys_of(self._ring)

        def batches() -> Iterator[Batch]:
            for start in range(0, len(steps), BATCH_ROWS):
                batch = steps[start : start + BATCH_ROWS]
                known = [] if is_new else self._store.rows(sorted({step.row.subject for step in batch}))
                yield Batch(batch, known, keys, now_ms)

        fresh: list[RegisterRow] = []
        for done in spread(take, batches(), len(steps) if is_new else 0):
            self._store.save_rows(done.rows)
            fresh += done.fresh
        return Register.of(fresh)
