"""PURE: about how much memory and time a job takes at one node, for a plan; nothing is decided by it.

Reckoned first from figures of one core of a common server, then corrected by what the node's own past jobs of that
kind took against what had been reckoned for them, so that machine, network and partners count as they are. How far
those jobs lay from the corrected figure is told with it. What a job really took stands on its receipt.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median

from consortia_common.documents.base import Number
from consortia_common.documents.jobspec import JobSpec
from consortia_common.sealed import policy_of
from consortia_crypto.sum.vector import FRAME_BYTES
from consortia_node.kinds import steps_of

_BASE_MIB = 240
"""A worker with its libraries. Receipts said 239 to 281 MiB over 300 rows, 444 over 10 million."""
_SCAN_MIB = 240
"""What the engine takes for a pass at most, however long the table."""
_START_SECONDS = 1.5
"""Until a worker has its libraries."""
_VALUES_PER_SECOND = 10_000_000
_WORDS_PER_SECOND = 10_000_000
_NOISES_PER_SECOND = 30_000
_STEP_SECONDS = 0.05
_SUM_STEPS = 5
MOST_PAST = 10
"""So many past jobs, the newest, are learnt from."""


@dataclass(frozen=True)
class Past:
    """What earlier jobs of a kind took. ``times`` what was reckoned, by their median; three in four of them
    took no more than ``factor`` times that or the corresponding part of it."""

    jobs: int = 0
    times: float = 1.0
    factor: float = 0.0


@dataclass(frozen=True)
class Need:
    """What a job takes, and by which past jobs its time was corrected."""

    memory_mib: int
    seconds: float
    past: Past = Past()

    @property
    def told(self) -> dict[str, object]:
        """The fields of a plan's answer."""
        return {
            "memory_mib": self.memory_mib,
            "seconds": Number(f"{self.seconds:.1f}"),
            "past_jobs": self.past.jobs,
            "factor": Number(f"{self.past.factor:.1f}"),
        }


def of(spec: JobSpec, institution: str, reads: Iterable[tuple[Sequence[str], int]], past: Past = Past()) -> Need:
    """What ``spec`` takes at ``institution``; ``reads`` are columns and how many rows."""
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
        _START_SECONDS
        + passes * max(values, default=0) / _VALUES_PER_SECOND
        + words * len(spec.parties) / _WORDS_PER_SECOND
        + (words / _NOISES_PER_SECOND if spec.parameters.epsilon_micro() else 0)
        + taken * _STEP_SECONDS
    )
    return Need(_BASE_MIB + held + (4 * FRAME_BYTES >> 20), seconds * past.times, past)


def learnt(took: Iterable[tuple[float, float]]) -> Past:
    """From the seconds that past jobs took, each with those that were reckoned for it."""
    ratios = [max(fact, 0.001) / reckoned for fact, reckoned in took]
    if not ratios:
        return Past()
    times = median(ratios)
    off = sorted(max(ratio / times, times / ratio) for ratio in ratios)
    return Past(len(ratios), times, off[ceil(len(off) * 3 / 4) - 1])
