"""What the node remembers of earlier jobs, brought before the gate's guards.

Trusted for: of two cohorts that are formed at the same time, the second is compared with the first.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
from sqlalchemy import Connection

from consortia_common.audit_segments import records
from consortia_common.database import reading
from consortia_common.documents.agreement import Agreement
from consortia_common.documents.jobspec import JobSpec, Submission
from consortia_common.gate.guards import comparable, decide_cohort
from consortia_common.gate.ledger import Ledger
from consortia_common.gate.request import Budgets, EarlierJob
from consortia_crypto.audit.entry import Entry
from consortia_node.accepted import AcceptedJob
from consortia_node.differencing import Held, Ids, exposed_by
from consortia_node.errors import RefusedError
from consortia_node.store.cohorts import CohortStore, digest
from consortia_node.store.jobs import JobStore, StoredJob
from consortia_node.tools import Tools


class Guards:
    """What has been used up, and what a new cohort would give away."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._forming = threading.Lock()

    def budgets(self, agreement: Agreement) -> Budgets:
        """What has been used up under the agreement until now."""
        with reading(self._tools.engine) as connection:
            jobs = JobStore(connection)
            spent, earlier = jobs.spent(agreement.reference), jobs.remembered()
        return Budgets(
            jobs_run=spent.jobs_run,
            rows_scored=spent.rows_scored,
            epsilon_micro=self._epsilon(agreement) if agreement.dp else 0,
            earlier=tuple(_earlier(job) for job in earlier),
        )

    @contextmanager
    def admitting(self, job: AcceptedJob, rows: int, members: Ids, *, again: bool) -> Iterator[None]:
        """Within it, the new cohort is put on record. Raises RefusedError if it is too small or too like another.

        ``members`` are its customers' ids. A job that is under way and forms its cohort ``again``, because consent
        changed, was compared when it began: a withdrawal must not stop every job that it meets.
        """
        with self._forming:
            exposed = () if again else self._exposed_by(job, np.unique(members), rows)
            decision = decide_cohort(job.agreement, rows, exposed)
            if not decision.accepted:
                raise RefusedError(decision.clause, decision.sentence)
            yield

    def _exposed_by(self, job: AcceptedJob, new: Ids, rows: int) -> tuple[str, ...]:
        """The earlier jobs that, together with a cohort of these customers, would show fewer than min_cell."""
        since = self._tools.clock() - timedelta(days=job.agreement.differencing.memory_days)
        with reading(self._tools.engine) as connection:
            earlier = [
                one.job_id
                for one in map(_earlier, JobStore(connection).remembered())
                if one.job_id != job.job_id
                and one.at >= since
                and comparable(job.spec, one.spec, self._tools.institution)
            ]
            held = list(_distinct(connection, earlier, (digest(new), rows)))
        return exposed_by(new, rows, held, job.agreement.min_cell)

    def _epsilon(self, agreement: Agreement) -> int:
        """Counted from the log, of all its years, so that what is spent can't be forgotten."""
        ledger = Ledger()
        for shard in self._tools.log.folder.shards():
            for raw in records(shard):
                ledger.see(Entry.parse(raw))
        return ledger.spent(agreement, self._tools.clock())


def _distinct(connection: Connection, job_ids: list[str], same: tuple[bytes, int]) -> Iterable[Held]:
    """The cohorts of these jobs, newest first, each but once and none with the digest and rows ``same``."""
    store, seen = CohortStore(connection), {same}
    for kept in reversed(store.of(job_ids)):
        if (kept.digest, kept.row_count) not in seen:
            seen.add((kept.digest, kept.row_count))
            ids = store.members(kept.job_id, kept.dataset)
            yield Held(kept.job_id, ids, kept.row_count, kept.customers - ids.size)


def _earlier(job: StoredJob) -> EarlierJob:
    return EarlierJob(job.job_id, _spec(job.submission), datetime.fromtimestamp(job.accepted_ms / 1000, UTC))


@lru_cache(maxsize=1024)
def _spec(submission: bytes) -> JobSpec:
    """The spec in a stored submission: every later job is held against it, twice."""
    return Submission.from_canonical(submission, "the stored submission").spec
