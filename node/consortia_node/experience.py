"""What a node's own past jobs took: by that the plans of further ones are corrected.

Read from the jobs and cohorts that the node keeps anyway. A job's time is from its acceptance, or from the last
approval where officers had to give any, to its end; waiting for the other parties is in it.
"""

from collections.abc import Iterable, Sequence
from itertools import islice

from sqlalchemy import Connection

from consortia_common.documents.jobspec import JobSpec, Submission
from consortia_common.errors import DocumentError
from consortia_node import estimates
from consortia_node.estimates import Need, Past
from consortia_node.store.approvals import ApprovalStore
from consortia_node.store.cohorts import CohortStore, KeptCohort
from consortia_node.store.jobs import JobStore, StoredJob

_LOOKED_AT = 50
"""So many finished jobs of any kind are looked at."""


class Experience:
    """What this institution's node knows of jobs that have finished."""

    def __init__(self, connection: Connection, institution: str) -> None:
        self._connection = connection
        self._here = institution

    def need(self, spec: JobSpec, reads: Iterable[tuple[Sequence[str], int]]) -> Need:
        """What ``spec`` takes here; ``reads`` are columns and how many rows."""
        return estimates.of(spec, self._here, reads, self._past(spec.kind))

    def took_seconds(self, job: StoredJob, ended_ms: int) -> float:
        """How long a job was under way, without waiting for officers."""
        began_ms = ApprovalStore(self._connection).last_ms(job.job_id) or job.accepted_ms
        return max(0, ended_ms - began_ms) / 1000

    def rows_each(self, dataset: str) -> float:
        """How many rows a customer had in the dataset when a job last used it; 1 if none has."""
        last = CohortStore(self._connection).last(dataset)
        return last.row_count / last.customers if last and last.customers else 1.0

    def _past(self, kind: str) -> Past:
        took = (self._compared(job, kind) for job in JobStore(self._connection).finished(_LOOKED_AT))
        return estimates.learnt(islice(filter(None, took), estimates.MOST_PAST))

    def _compared(self, job: StoredJob, kind: str) -> tuple[float, float] | None:
        """The seconds that a job of that kind took and those reckoned for it; None for one of another kind."""
        try:
            spec = Submission.from_canonical(job.submission, "a stored submission").spec
        except DocumentError:
            return None  # of a kind that is no longer installed
        if spec.kind != kind or job.finished_ms is None:
            return None
        cohorts = CohortStore(self._connection).of([job.job_id])
        reckoned = estimates.of(spec, self._here, reads_of(spec, self._here, cohorts)).seconds
        return self.took_seconds(job, job.finished_ms), reckoned


def reads_of(spec: JobSpec, institution: str, cohorts: Iterable[KeptCohort]) -> list[tuple[Sequence[str], int]]:
    """The columns that a job read, and of how many rows."""
    rows = {cohort.dataset: cohort.row_count for cohort in cohorts}
    return [(reads.columns, rows.get(reads.dataset, 0)) for reads in spec.parameters.reads(institution)]
