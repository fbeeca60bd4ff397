"""PURE: about how much memory and time a job takes at one node, for a plan; nothing is decided by it.

Rough on purpose: figures of one core of a common server, measured once. What a job really took, its receipt and the
coordinator's count of bytes say.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from consortia_common.documents.base import Number
from consortia_common.documents.jobspec import JobSpec
from consortia_common.sealed import policy_of
from consortia_crypto.sum.vector import FRAME_BYTES
from consortia_node.kinds import steps_of

_BASE_MIB = 200
"""A worker with its libraries. Receipts said 237 MiB over 300 rows, 444 over 10 million, all of the second's
columns read; the largest error seen is a quarter."""
_SCAN_MIB = 240
"""What the engine takes for a pass at most, however long the table."""
_VALUES_PER_SECOND = 10_000_000
_WORDS_PER_SECOND = 10_000_000
_NOISES_PER_SECOND = 30_000
_STEP_SECONDS = 0.05
_SUM_STEPS = 5


@dataclass(frozen=True)
class Need:
    """What a job takes."""

    memory_mib: int
    seconds: Number


def of(spec: JobSpec, institution: str, reads: Iterable[tuple[Sequence[str], int]]) -> Need:
    """What ``spec`` takes at ``institution``; ``reads`` are columns and at most how many rows."""
    values = [len(columns) * rows for columns, rows in reads]
    steps = steps_of(spec.kind)
    turns = spec.parameters.turns(institution)
    passes = sum(steps[turn.step].reads for turn in turns if turn.step in steps)
    in_memory = any(step.reads and not step.scans for step in steps.values())
    words = sum(policy_of("job", spec, name, turn).length for name, turn in spec.summed())
    held = max(values, default=0) * 8 * 3 >> 20
    held = held if in_memory else min(_SCAN_MIB, held)
    taken = len(spec.course(institution)) + _SUM_STEPS * len(spec.summed())
    seconds = (
        passes * max(values, default=0) / _VALUES_PER_SECOND
        + words * len(spec.parties) / _WORDS_PER_SECOND
        + (words / _NOISES_PER_SECOND if spec.parameters.epsilon_micro() else 0)
        + taken * _STEP_SECONDS
    )
    return Need(_BASE_MIB + held + (4 * FRAME_BYTES >> 20), Number(f"{seconds:.1f}"))
