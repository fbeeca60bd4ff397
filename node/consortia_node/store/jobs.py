"""The jobs that this node decided on, and what they keep between steps.

Works within the caller's connection, because what a job remembers and the answer to the task that made it
remember are one transaction. A job's values (keys, models in the making) are erased when it ends.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from consortia_node import jobs as rules
from consortia_node.errors import StateError, StoreError
from consortia_node.store.tables import cohorts, job_values, jobs, sums, tasks


@dataclass(frozen=True)
class StoredJob:
    """A job as it was decided. ``submission``: canonical bytes; ``agreement``: id@version#hash."""

    job_id: str
    submission: bytes
    agreement: str
    state: str
    reason: str
    accepted_ms: int
    finished_ms: int | None = None
    scored_rows: int = 0
    """Of the agreement's score budget: reserved when accepted, corrected when counted."""
    steps_taken: int = 0
    """How far it is on its course."""


# What is asked at each task is made once: making a statement takes longer than most of them do.
_OF_JOB, _OF_NAME = jobs.c.job_id == bindparam("of_job"), job_values.c.name == bindparam("of_name")
_GET = select(jobs).where(_OF_JOB)
_VALUES = select(job_values.c.name, job_values.c.value).where(job_values.c.job_id == bindparam("of_job"))
_VALUE = select(job_values.c.value).where(job_values.c.job_id == bindparam("of_job"), _OF_NAME)
_INSERTED = insert(job_values)
_PUT = _INSERTED.on_conflict_do_update(index_elements=["job_id", "name"], set_={"value": _INSERTED.excluded.value})
_COUNT_STEP = (
    update(jobs).where(_OF_JOB, jobs.c.steps_taken == bindparam("was")).values(steps_taken=bindparam("now"))
)


@dataclass(frozen=True)
class Spent:
    """What has been used of an agreement's query budgets."""

    jobs_run: int
    rows_scored: int


class JobStore:
    """Reads and writes of jobs on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(self, job: StoredJob) -> None:
        """Write down a decision. Raises StateError if the job was decided before, or begins in another state."""
        if job.state not in rules.DECISIONS or self.get(job.job_id):
            raise StateError(
                f"job {job.job_id} can't begin as {job.state}, or was decided before",
                blame="the coordinator, which offered it twice",
                remedy="submit the job anew",
            )
        values = {column.name: getattr(job, column.name) for column in jobs.columns}
        self._connection.execute(insert(jobs), values)

    def get(self, job_id: str) -> StoredJob | None:
        """The job, if it was decided here."""
        row = self._connection.execute(_GET, {"of_job": job_id}).one_or_none()
        return StoredJob(**row._mapping) if row else None

    def advance(self, job_id: str, to: str, now_ms: int, reason: str = "") -> None:
        """Change the state; at the end of the job erase what it kept. Raises StateError, StoreError."""
        changes: dict[str, object] = {"state": rules.LIFE.advance(self._require(job_id).state, to)}
        if to in rules.LIFE.final:
            changes |= {"finished_ms": now_ms, "reason": reason}
            self._connection.execute(delete(job_values).where(job_values.c.job_id == job_id))
            self._connection.execute(update(sums).where(sums.c.job_id == job_id).values(state=b""))
        self._connection.execute(update(jobs).where(jobs.c.job_id == job_id).values(changes))

    def count_step(self, job_id: str, taken: int, now: int) -> None:
        """Note that the job is ``now`` so far on its course, and was at ``taken``. Raises StateError if not."""
        if self._connection.execute(_COUNT_STEP, {"of_job": job_id, "was": taken, "now": now}).rowcount != 1:
            raise StateError(
                f"job {job_id} has taken this step already",
                blame="the coordinator, which asked for it twice",
                remedy="submit the job anew",
            )

    def under_way(self) -> list[StoredJob]:
        """The jobs that have not ended, oldest first."""
        query = select(jobs).where(jobs.c.state.in_(sorted(rules.UNDER_WAY)))
        rows = self._connection.execute(query.order_by(jobs.c.accepted_ms, jobs.c.job_id))
        return [StoredJob(**row._mapping) for row in rows]

    def silent_since(self, before_ms: int) -> list[StoredJob]:
        """The jobs under way that were accepted, and had their last task, before that."""
        last = select(func.max(tasks.c.received_ms)).where(tasks.c.job_id == jobs.c.job_id).scalar_subquery()
        silent = jobs.c.accepted_ms < before_ms, func.coalesce(last, 0) < before_ms
        query = select(jobs).where(jobs.c.state.in_(sorted(rules.UNDER_WAY)), *silent)
        return [StoredJob(**row._mapping) for row in self._connection.execute(query.order_by(jobs.c.job_id))]

    def in_state(self, state: str) -> list[StoredJob]:
        """The jobs in that state, oldest first."""
        query = select(jobs).where(jobs.c.state == state).order_by(jobs.c.accepted_ms, jobs.c.job_id)
        return [StoredJob(**row._mapping) for row in self._connection.execute(query)]

    def remembered(self) -> list[StoredJob]:
        """Every job that has used rows here, however it ended, or that may still, oldest first."""
        may_still = jobs.c.state.in_(sorted(rules.UNDER_WAY | {rules.WAITING}))
        query = select(jobs).where(may_still | jobs.c.job_id.in_(select(cohorts.c.job_id)))
        rows = self._connection.execute(query.order_by(jobs.c.accepted_ms, jobs.c.job_id))
        return [StoredJob(**row._mapping) for row in rows]

    def finished(self, most: int) -> list[StoredJob]:
        """The jobs that came to their end, newest first."""
        query = select(jobs).where(jobs.c.state == rules.FINISHED).order_by(jobs.c.finished_ms.desc()).limit(most)
        return [StoredJob(**row._mapping) for row in self._connection.execute(query)]

    def put(self, job_id: str, name: str, value: bytes) -> None:
        """Keep ``value`` until the job ends, in place of an earlier one. Raises StateError if it has ended."""
        if self._require(job_id).state not in rules.UNDER_WAY:
            raise StateError(
                f"job {job_id} has ended and keeps nothing more",
                blame="the coordinator, which sent work for it",
                remedy="submit the job anew",
            )
        self._connection.execute(_PUT, {"job_id": job_id, "name": name, "value": value})

    def value(self, job_id: str, name: str) -> bytes | None:
        """What the job keeps under ``name``."""
        return self._connection.execute(_VALUE, {"of_job": job_id, "of_name": name}).scalar()

    def values(self, job_id: str) -> dict[str, bytes]:
        """Everything that the job keeps, by name."""
        return {name: bytes(value) for name, value in self._connection.execute(_VALUES, {"of_job": job_id})}

    def spent(self, agreement: str) -> Spent:
        """What jobs accepted under this very version (id@version#hash) have used; failed ones count."""
        counted = select(func.count(), func.coalesce(func.sum(jobs.c.scored_rows), 0))
        of_agreement = (jobs.c.agreement == agreement, jobs.c.state != rules.REFUSED)
        return Spent(*self._connection.execute(counted.where(*of_agreement)).one())

    def set_scored_rows(self, job_id: str, rows: int) -> None:
        """Correct the reservation to the customers that were really scored; 0 if no score left the node."""
        self._require(job_id)
        self._connection.execute(update(jobs).where(jobs.c.job_id == job_id).values(scored_rows=rows))

    def _require(self, job_id: str) -> StoredJob:
        job = self.get(job_id)
        if job is None:
            raise StoreError(
                f"job {job_id} is not known here",
                blame="the coordinator, which sent work for a job that it never offered",
                remedy="submit the job anew",
            )
        return job
