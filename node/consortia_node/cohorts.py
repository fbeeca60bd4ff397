"""Cohort files: the rows that a job may use, with valid consent and only the job's columns, as they stand now.

Order, never bent: log that the dataset is about to be read; read whose consent stands; select the rows; log how
many, how many were left out, and the root over every consent relied on; only then does anything compute on them.
A cohort is formed again when consent changed since, and at the latest after REFRESH_SECONDS, so a withdrawal or an
expiry takes effect in the next step of a running job.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from consortia_common import keyfiles
from consortia_common.database import reading
from consortia_common.documents.kinds import Reads
from consortia_common.gate import decide_rows
from consortia_node.accepted import AcceptedJob
from consortia_node.config import DatasetSettings
from consortia_node.consent import consent_root
from consortia_node.errors import RefusedError, SourceError
from consortia_node.sources.duckdb_source import Cohort, write_cohort
from consortia_node.store.consents import ConsentStore
from consortia_node.store.jobs import JobStore
from consortia_node.tools import Tools

COHORT = "cohort."
"""Prefix of the names under which a job keeps what its cohorts are."""
REFRESH_SECONDS = 60


class Cohorts:
    """Forms, keeps and erases the cohort files of running jobs."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._consents = ConsentStore(tools.engine, tools.keys)

    def ready(self, job: AcceptedJob) -> dict[str, Path]:
        """The cohort file of each dataset that the job reads here. Raises RefusedError, SourceError."""
        return {
            reads.dataset: self._ready(job, reads) for reads in job.spec.parameters.reads(self._tools.institution)
        }

    def erase(self, job_id: str) -> None:
        """Remove the job's files with rows."""
        shutil.rmtree(self._folder(job_id), ignore_errors=True)

    def _ready(self, job: AcceptedJob, reads: Reads) -> Path:
        path = self._folder(job.job_id) / f"{reads.dataset}.parquet"
        with reading(self._tools.engine) as connection:
            kept = JobStore(connection).value(job.job_id, COHORT + reads.dataset)
        state = json.loads(kept) if kept else None
        now = self._tools.now_ms()
        if not (state and path.exists() and self._is_fresh(state, now)):
            self._form(job, reads, path, now)
        return path

    def _is_fresh(self, state: Mapping[str, Any], now_ms: int) -> bool:
        unchanged = bool(state["consents"] == self._consents.version())
        return unchanged and now_ms - int(state["formed_ms"]) < REFRESH_SECONDS * 1000

    def _form(self, job: AcceptedJob, reads: Reads, path: Path, now_ms: int) -> None:
        cited = {"job": job.job_id, "purpose": job.spec.purpose, "agreement": job.agreement.reference}
        self._tools.log.append(
            "access.granted", **cited, dataset=reads.dataset, columns=reads.columns, policy_hash=job.spec.hash()
        )
        keyfiles.make_folder(path.parent)
        version = self._consents.version()
        allowed = self._consents.allowed(job.spec.purpose, self._tools.clock())
        cohort = write_cohort(self._dataset(reads), reads.columns, allowed, path, keep_subject=reads.subjects)
        decision = decide_rows(job.agreement, cohort.rows_used)
        if not decision.accepted:
            path.unlink(missing_ok=True)
            raise RefusedError(decision.clause, decision.sentence)
        members = cohort.members
        root = consent_root(
            list(zip(members["pseudonym"].to_pylist(), members["record_hash"].to_pylist(), strict=True))
        )
        self._tools.log.append(
            "access.cohort",
            **cited,
            dataset=reads.dataset,
            columns=reads.columns,
            rows_used=cohort.rows_used,
            rows_left_out=cohort.rows_left_out,
            consent_ref=root,
        )
        self._keep(job, reads.dataset, cohort, {"consents": version, "formed_ms": now_ms, "root": root})

    def _keep(self, job: AcceptedJob, dataset: str, cohort: Cohort, state: dict[str, object]) -> None:
        used = {
            "dataset": dataset,
            "rows_used": cohort.rows_used,
            "rows_left_out": cohort.rows_left_out,
            "consent_root": state.pop("root"),
        }
        with self._tools.engine.begin() as connection:
            jobs = JobStore(connection)
            jobs.put(job.job_id, COHORT + dataset, json.dumps(state | {"used": used}).encode())
            jobs.add_members(job.job_id, dataset, cohort.members["subject_id"])

    def _dataset(self, reads: Reads) -> DatasetSettings:
        dataset = self._tools.settings.dataset(reads.dataset)
        if dataset is None:
            raise SourceError(
                f"this node is not configured with dataset {reads.dataset} any more",
                blame="whoever changed node.toml while the job ran",
                remedy="put the dataset back and submit the job again",
            )
        return dataset

    def _folder(self, job_id: str) -> Path:
        return self._tools.settings.folder / "work" / job_id
