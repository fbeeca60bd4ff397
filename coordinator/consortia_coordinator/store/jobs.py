"""The coordinator's jobs in the database: where they stand, what watchers see, what a rerun must find again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, func, select, tuple_, update
from sqlalchemy.dialects.sqlite import insert

from consortia_common.database import reading, recoverable
from consortia_coordinator.errors import CoordinatorError
from consortia_coordinator.jobs import FINAL, JobState, check_transition
from consortia_coordinator.store.tables import jobs, memos, traffic
from consortia_proto.v1 import exchange_pb2, network_pb2

_INSERTED = insert(memos)
_KEEP = _INSERTED.on_conflict_do_update(index_elements=["job_id", "name"], set_={"value": _INSERTED.excluded.value})
"""Made once: a job's course keeps something at each of its points."""
_CARRIED = (
    func.coalesce(traffic.c.bytes_up, 0).label("bytes_up"),
    func.coalesce(traffic.c.bytes_down, 0).label("bytes_down"),
)
_JOBS = select(jobs, *_CARRIED).outerjoin(traffic, traffic.c.job_id == jobs.c.job_id)
_LONG = "submission", "signature", "result", "progress"
_STATUSES = select(*(column for column in jobs.c if column.name not in _LONG), *_CARRIED).outerjoin(
    traffic, traffic.c.job_id == jobs.c.job_id
)


@dataclass(frozen=True)
class StoredJob:
    """One row of the table of jobs."""

    job_id: str
    submission: bytes
    signature: bytes
    analyst: str
    kind: str
    name: str
    state: JobState
    stage: str
    steps_done: int
    steps_total: int
    submitted_ms: int
    finished_ms: int | None
    refusals: bytes
    """Of the parties, as ``encode_refusals`` gives them."""
    result: bytes | None
    progress: bytes | None
    bytes_up: int
    """Of its messages through the exchange so far, each time that one was carried whole."""
    bytes_down: int

    def status(self) -> network_pb2.JobStatus:
        """What watchers see."""
        status = _status(self)
        if self.progress is not None:
            status.progress.ParseFromString(self.progress)
        return status


class JobStore:
    """Reads and writes of the jobs and memos tables."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, **values: Any) -> bool:
        """Store a new job; False if this submission is there already."""
        with self._engine.begin() as connection:
            if self._row(connection, values["job_id"]) is not None:
                return False
            connection.execute(insert(jobs).values(state=JobState.SUBMITTED, refusals=b"", **values))
            return True

    def has(self, job_id: str) -> bool:
        """Whether there is a job of that id."""
        with reading(self._engine) as connection:
            return self._row(connection, job_id) is not None

    def get(self, job_id: str) -> StoredJob:
        """The job. Raises CoordinatorError if there is none of that id."""
        with reading(self._engine) as connection:
            row = self._row(connection, job_id)
        if row is None:
            raise CoordinatorError(
                f"there is no job {job_id[:80]}",
                blame="whoever asked for it",
                remedy="`consortia job list` shows the jobs of this network",
            )
        return _job(row)

    def statuses(self, after: network_pb2.JobStatus | None, most: int = 200) -> list[network_pb2.JobStatus]:
        """Where the next jobs after that one stand, or the first ones, oldest first; without their progress."""
        place = tuple_(jobs.c.submitted_ms, jobs.c.job_id)
        query = _STATUSES.order_by(jobs.c.submitted_ms, jobs.c.job_id).limit(most)
        if after is not None:
            query = query.where(place > tuple_(after.submitted_ms, after.job_id))
        with reading(self._engine) as connection:
            return [_status(row) for row in connection.execute(query)]

    def under_way(self) -> list[str]:
        """Whose jobs have not ended: the analyst's fingerprint for each."""
        with reading(self._engine) as connection:
            return list(connection.scalars(select(jobs.c.analyst).where(jobs.c.state.not_in(FINAL))))

    def unfinished(self) -> list[StoredJob]:
        """Jobs under way, which a restarted coordinator must take up again, oldest first."""
        query = _JOBS.where(jobs.c.state.not_in(FINAL)).order_by(jobs.c.submitted_ms)
        with reading(self._engine) as connection:
            return [_job(row) for row in connection.execute(query)]

    def move(self, job_id: str, state: JobState, **values: Any) -> None:
        """Go to ``state``, writing ``values`` with it. Raises CoordinatorError for a move the table forbids."""
        with self._engine.begin() as connection:
            row = self._row(connection, job_id)
            check_transition(JobState(row.state) if row else state, state)
            if state in FINAL:
                values = {**values, "progress": None}  # the result has all of it
            connection.execute(update(jobs).where(jobs.c.job_id == job_id).values(state=state, **values))

    def progress(self, job_id: str, stage: str, done: int, total: int) -> None:
        """Write what watchers see."""
        with recoverable(self._engine) as connection:
            connection.execute(
                update(jobs).where(jobs.c.job_id == job_id).values(stage=stage, steps_done=done, steps_total=total)
            )

    def tell(self, job_id: str, progress: network_pb2.Progress) -> None:
        """Write what the analyst is told of how the job goes."""
        with recoverable(self._engine) as connection:
            told = progress.SerializeToString()
            connection.execute(update(jobs).where(jobs.c.job_id == job_id).values(progress=told))

    def memo(self, job_id: str, name: str) -> bytes | None:
        """What an earlier run of the job kept under ``name``."""
        with reading(self._engine) as connection:
            where = (memos.c.job_id == job_id) & (memos.c.name == name)
            return connection.execute(select(memos.c.value).where(where)).scalar()

    def memos(self, job_id: str) -> dict[str, bytes]:
        """All that earlier runs of the job kept, by name."""
        with reading(self._engine) as connection:
            found = connection.execute(select(memos.c.name, memos.c.value).where(memos.c.job_id == job_id))
            return {name: bytes(value) for name, value in found}

    def keep(self, job_id: str, name: str, value: bytes, *, lasting: bool = True) -> None:
        """Keep ``value`` for a rerun of the job, in place of an earlier one.

        One that is not ``lasting`` may go in a power cut, unless something lasting was written after it.
        """
        with self._engine.begin() if lasting else recoverable(self._engine) as connection:
            connection.execute(_KEEP, {"job_id": job_id, "name": name, "value": value})

    def forget(self, job_id: str) -> None:
        """Drop the memos of a job that has ended."""
        with self._engine.begin() as connection:
            connection.execute(delete(memos).where(memos.c.job_id == job_id))

    @staticmethod
    def _row(connection: Connection, job_id: str) -> Row[Any] | None:
        return connection.execute(_JOBS.where(jobs.c.job_id == job_id)).one_or_none()


class Memos:
    """What one job has kept, for the one thread that keeps it: read once, and then known."""

    def __init__(self, store: JobStore, job_id: str) -> None:
        self._store = store
        self._job_id = job_id
        self._kept = store.memos(job_id)

    def get(self, name: str) -> bytes | None:
        """What this run or an earlier one kept under ``name``."""
        return self._kept.get(name)

    def keep(self, name: str, value: bytes, *, lasting: bool = True) -> None:
        """See JobStore."""
        self._store.keep(self._job_id, name, value, lasting=lasting)
        self._kept[name] = value


def encode_refusals(refusals: Mapping[str, exchange_pb2.Failure]) -> bytes:
    """Refusals by institution, in the form in which the table keeps them."""
    return network_pb2.JobStatus(
        refusals=[
            network_pb2.Refusal(institution=institution, failure=failure)
            for institution, failure in refusals.items()
        ]
    ).SerializeToString()


def _job(row: Row[Any]) -> StoredJob:
    return StoredJob(**row._asdict() | {"state": JobState(row.state)})


def _status(job: Any) -> network_pb2.JobStatus:
    """What is told of a StoredJob, or of a row with the columns for that."""
    status = network_pb2.JobStatus(
        job_id=job.job_id,
        kind=job.kind,
        name=job.name,
        state=job.state,
        stage=job.stage,
        steps_done=job.steps_done,
        steps_total=job.steps_total,
        submitted_ms=job.submitted_ms,
        finished_ms=job.finished_ms or 0,
        bytes_up=job.bytes_up,
        bytes_down=job.bytes_down,
    )
    status.MergeFromString(job.refusals)
    return status
