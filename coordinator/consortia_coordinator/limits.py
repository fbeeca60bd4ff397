"""PURE: how much one member may ask of the coordinator: calls a second, streams, refusals on record, jobs, a queue.

A bucket for each member holds so many tokens and fills at a steady rate; a call takes one, what costs more takes
more. Who has none left is told to wait; the others' buckets are not touched. The clock is an argument.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock

from consortia_common.errors import LimitError
from consortia_crypto.errors import ConsortiaError

STREAM_COST = 5.0
"""What opening a stream of the exchange takes, in calls."""
REFUSAL_COST = 10.0
"""What a refusal takes: it is written to the audit log, durably, which is dearer than answering."""


@dataclass
class _Bucket:
    tokens: float
    since: float


class Rates:
    """The buckets of all members: ``rate`` calls a second each, ``seconds`` of which may be saved up.

    From any thread. ``clock`` counts seconds and never goes back.
    """

    def __init__(self, rate: float, clock: Callable[[], float], seconds: float = 10.0) -> None:
        self._rate = rate
        self._most = rate * seconds
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._lock = Lock()

    def take(self, whose: str, cost: float = 1.0) -> None:
        """Let ``whose`` go on, if need be for all that can be saved up. Raises LimitError if it asks too often."""
        cost = min(cost, self._most)
        with self._lock:
            bucket = self._filled(whose)
            enough = bucket.tokens >= cost
            bucket.tokens -= cost if enough else 0
        if not enough:
            raise LimitError(
                f"{whose} asks more often than a member may ({self._rate:g} calls a second)",
                blame=whose,
                remedy="wait some seconds; if this is honest work, ask the operator to raise calls_per_second",
            )

    def may_record(self, whose: str, error: ConsortiaError) -> bool:
        """Whether a refusal of ``whose`` call goes on record; a flood of them must not fill the log.

        So many that were refused for what they are; of those that came too often one in ten seconds.
        """
        if isinstance(error, LimitError):
            return self.spend(f"limits of {whose}", self._most)
        return self.spend(whose, REFUSAL_COST)

    def spend(self, whose: str, cost: float) -> bool:
        """Take ``cost``, as far as there is that much; whether there was."""
        with self._lock:
            bucket = self._filled(whose)
            enough = bucket.tokens >= cost
            bucket.tokens = max(0.0, bucket.tokens - cost)
            return enough

    def _filled(self, whose: str) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.setdefault(whose, _Bucket(self._most, now))
        bucket.tokens = min(self._most, bucket.tokens + (now - bucket.since) * self._rate)
        bucket.since = now
        if len(self._buckets) > 1000:  # certificates are few, but those that were refused have names too
            self._buckets = {name: each for name, each in self._buckets.items() if each.since > now - 60}
        return bucket


@dataclass(frozen=True)
class JobLimits:
    """How many jobs may be under way, in all and of one analyst; how many tasks may wait for one node."""

    most: int = 100
    most_own: int = 20
    most_queued: int = 10_000


def check_jobs(under_way: int, own: int, limits: JobLimits) -> None:
    """Return if an analyst with ``own`` of the ``under_way`` jobs may begin another. Raises LimitError."""
    if own >= limits.most_own:
        raise LimitError(
            f"{own} jobs of this analyst are under way, as many as one may have",
            blame="whoever submitted them",
            remedy="wait until one has ended, or cancel it; the operator sets max_jobs_per_analyst",
        )
    if under_way >= limits.most:
        raise LimitError(
            f"{under_way} jobs are under way, as many as this coordinator runs at a time",
            blame="nobody: the network is busy",
            remedy="submit the job again later; the operator sets max_jobs",
        )


def check_queues(queued: Mapping[str, int], limits: JobLimits) -> None:
    """Return if each party of a new job, for which so many tasks wait, may be given more. Raises LimitError."""
    for institution, tasks in queued.items():
        if tasks >= limits.most_queued:
            raise LimitError(
                f"{tasks} tasks wait for {institution}, as many as may wait for one node",
                blame=f"{institution}, whose node has been away or busy for long",
                remedy=f"submit the job again when {institution} has caught up; the operator sets max_queue",
            )
