"""Whose rows jobs used: what a withdrawal reaches, and sets that can be compared with a new cohort.

Works within the caller's connection. A set is kept once for all jobs that used it, in parts by the first bits of
the customers' ids, which are random: the jobs that used one customer's row are found by reading one part of each
set. A cohort that was formed again while its job ran counts as all who were ever in it.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import overload

import numpy as np
from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects.sqlite import insert

from consortia_node.differencing import Ids
from consortia_node.store.tables import cohort_parts, cohorts, jobs

_PART_SHIFT = 55
"""Of ids of 63 bits: 256 parts, so that one has some 3 KiB where a hundred thousand customers are in the set."""
_STORED = np.dtype("<i8")


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

    def note(self, job_id: str, dataset: str, row_count: int, ids: Ids) -> None:
        """Note whose rows the job uses, all of customers on record, besides those that were noted before."""
        before = self._digest(job_id, dataset)
        members = np.union1d(ids, self._ids(before)) if before else np.unique(ids)
        name = digest(members)
        self._save(name, members)
        values = {"row_count": row_count, "customers": members.size, "digest": name}
        statement = insert(cohorts).values(job_id=job_id, dataset=dataset, **values)
        self._connection.execute(statement.on_conflict_do_update(index_elements=["job_id", "dataset"], set_=values))
        unused = cohort_parts.c.digest == before, ~select(cohorts).where(cohorts.c.digest == before).exists()
        self._connection.execute(delete(cohort_parts).where(*unused))

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
        return self._ids(self._digest(job_id, dataset))

    def reached_by(self, subject_id: int) -> list[str]:
        """The jobs that used a row of this customer: what a withdrawal reaches."""
        used = [name for name, ids in self._sets(_part(subject_id)) if _has(ids, subject_id)]
        query = select(cohorts.c.job_id).where(cohorts.c.digest.in_(used)).distinct()
        return list(self._connection.execute(query.order_by(cohorts.c.job_id)).scalars())

    def used(self, subject_ids: Ids) -> set[int]:
        """Those of these customers whose rows jobs have used."""
        found: set[int] = set()
        for part in np.unique(_part(subject_ids)):
            asked = subject_ids[_part(subject_ids) == part]
            for _, ids in self._sets(int(part)):
                found.update(asked[np.isin(asked, ids)].tolist())
        return found

    def forget(self, subject_id: int) -> None:
        """Take an erased customer out of every set; as how many it was noted stays."""
        part = _part(subject_id)
        for name, ids in list(self._sets(part)):
            if _has(ids, subject_id):
                here = cohort_parts.c.part == part, cohort_parts.c.digest == name
                left = ids[ids != subject_id].tobytes()
                self._connection.execute(update(cohort_parts).where(*here).values(ids=left))

    def forget_all(self) -> None:
        """Take everybody out of every set."""
        self._connection.execute(delete(cohort_parts))

    def _digest(self, job_id: str, dataset: str) -> bytes | None:
        query = select(cohorts.c.digest).where(cohorts.c.job_id == job_id, cohorts.c.dataset == dataset)
        return self._connection.execute(query).scalar()

    def _ids(self, name: bytes | None) -> Ids:
        query = select(cohort_parts.c.ids).where(cohort_parts.c.digest == name).order_by(cohort_parts.c.part)
        return _read(b"".join(self._connection.execute(query).scalars()))

    def _sets(self, part: int) -> Iterator[tuple[bytes, Ids]]:
        """That part of each set."""
        query = select(cohort_parts.c.digest, cohort_parts.c.ids).where(cohort_parts.c.part == part)
        for name, ids in self._connection.execute(query):
            yield name, _read(ids)

    def _save(self, name: bytes, ids: Ids) -> None:
        parts, starts = np.unique(_part(ids), return_index=True)
        rows = [
            {"part": part, "digest": name, "ids": of_part.astype(_STORED).tobytes()}
            for part, of_part in zip(parts.tolist(), np.split(ids, starts[1:]), strict=False)
        ]
        if rows:
            self._connection.execute(insert(cohort_parts).on_conflict_do_nothing(), rows)


def digest(ids: Ids) -> bytes:
    """Of a set of ids, given in ascending order."""
    return hashlib.sha256(ids.astype(_STORED).tobytes()).digest()


@overload
def _part(ids: int) -> int: ...
@overload
def _part(ids: Ids) -> Ids: ...
def _part(ids: int | Ids) -> int | Ids:
    return ids >> _PART_SHIFT


def _read(stored: bytes) -> Ids:
    return np.frombuffer(stored, _STORED)


def _has(ids: Ids, subject_id: int) -> bool:
    place = int(np.searchsorted(ids, subject_id))
    return place < ids.size and int(ids[place]) == subject_id
