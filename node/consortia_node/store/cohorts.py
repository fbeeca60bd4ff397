"""Whose rows earlier jobs used, as sets that can be compared with a new cohort.

Works within the caller's connection. A cohort that was formed again while its job ran counts as all who were ever
in it.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from consortia_node.differencing import Ids
from consortia_node.store.tables import cohort_members, cohorts, jobs


@dataclass(frozen=True)
class KeptCohort:
    """A cohort as it was noted: how many rows and customers, and a digest of their ids."""

    job_id: str
    dataset: str
    row_count: int
    customers: int
    digest: bytes


class CohortStore:
    """Reads and writes of cohorts on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def note(self, job_id: str, dataset: str, row_count: int) -> None:
        """Note the members that the job has now (see JobStore.add_members) as its cohort."""
        ids = self.members(job_id, dataset)
        values = {"row_count": row_count, "customers": ids.size, "digest": digest(ids)}
        statement = insert(cohorts).values(job_id=job_id, dataset=dataset, **values)
        self._connection.execute(statement.on_conflict_do_update(index_elements=["job_id", "dataset"], set_=values))

    def of(self, job_ids: list[str]) -> list[KeptCohort]:
        """The cohorts of these jobs, in their order."""
        rank = {job_id: place for place, job_id in enumerate(job_ids)}
        rows = self._connection.execute(select(cohorts)).all()
        kept = [KeptCohort(**row._mapping) for row in rows if row.job_id in rank]
        return sorted(kept, key=lambda cohort: (rank[cohort.job_id], cohort.dataset))

    def last(self, dataset: str) -> KeptCohort | None:
        """Of the newest job that used the dataset."""
        query = select(cohorts).join(jobs, jobs.c.job_id == cohorts.c.job_id).where(cohorts.c.dataset == dataset)
        row = self._connection.execute(query.order_by(jobs.c.accepted_ms.desc()).limit(1)).one_or_none()
        return KeptCohort(**row._mapping) if row else None

    def members(self, job_id: str, dataset: str) -> Ids:
        """The ids of the customers in the cohort who have not been erased, ascending."""
        table = cohort_members.c
        query = select(table.subject_id).where(table.job_id == job_id, table.dataset == dataset)
        return np.sort(np.fromiter(self._connection.execute(query).scalars(), np.int64))


def digest(ids: Ids) -> bytes:
    """Of a set of ids, given in ascending order."""
    return hashlib.sha256(ids.astype("<i8").tobytes()).digest()
