"""Cohorts: the rows that a job may use, with valid consent and only the job's columns, as they stand now.

Order, never bent: log that the dataset is about to be read; read whose consent stands; find whose rows those are;
log how many, how many were left out, and the root over every consent relied on; only then does anything compute on
them.
A cohort is formed again when consent changed since, and at the latest after REFRESH_SECONDS, so a withdrawal or an
expiry takes effect in the next step of a running job.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from consortia_common import keyfiles
from consortia_common.database import reading
from consortia_common.documents.agreement import Agreement
from consortia_common.documents.jobspec import JobSpec
from consortia_common.documents.kinds import Reads
from consortia_common.gate.rules import needs_consent
from consortia_node.accepted import AcceptedJob
from consortia_node.consent import Need
from consortia_node.consent_proofs import keep_pairs
from consortia_node.datasets import DatasetSettings
from consortia_node.differencing import Ids
from consortia_node.errors import RefusedError, SourceError
from consortia_node.guards import Guards
from consortia_node.kinds import step_of
from consortia_node.sources.forming import Known, form
from consortia_node.sources.places import Cohort, form_of, state_of
from consortia_node.sources.scans import require_state
from consortia_node.store.cohorts import CohortStore
from consortia_node.store.consents import Allowed
from consortia_node.store.current_register import version_of
from consortia_node.store.jobs import JobStore
from consortia_node.store.register import ordered_pairs
from consortia_node.store.subjects import on_record
from consortia_node.tools import Tools

COHORT = "cohort."
"""Prefix of the names under which a job keeps what its cohorts are."""
REFRESH_SECONDS = 60


class Cohorts:
    """Forms, keeps and erases the cohort files of running jobs."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._guards = Guards(tools)
        self._known = Known()

    def ready(self, job: AcceptedJob) -> dict[str, Cohort]:
        """The cohort of each dataset that the job reads here. Raises RefusedError, SourceError."""
        return {
            reads.dataset: self._ready(job, reads) for reads in job.spec.parameters.reads(self._tools.institution)
        }

    def erase(self, job_id: str) -> None:
        """Remove the job's files with rows."""
        shutil.rmtree(self._folder(job_id), ignore_errors=True)

    def _ready(self, job: AcceptedJob, reads: Reads) -> Cohort:
        with reading(self._tools.engine) as connection:
            kept = JobStore(connection).value(job.job_id, COHORT + reads.dataset)
        state = json.loads(kept) if kept else None
        cohort = self._place(job, reads, state["source"] if state else "")
        now = self._tools.now_ms()
        if state and cohort.is_there and self._is_fresh(state, now):
            return cohort
        if state and cohort.rows is None:
            require_state(cohort)
        return self._form(job, reads, now, again=state is not None)

    def _place(self, job: AcceptedJob, reads: Reads, state: str) -> Cohort:
        """Where the job's rows of the dataset are, or are to be."""
        dataset, folder = self._dataset(reads), self._folder(job.job_id)
        return Cohort(
            dataset,
            reads.columns,
            folder / f"{reads.dataset}.parquet" if is_copied(dataset, job.spec, self._tools.institution) else None,
            folder / f"{reads.dataset}.chosen.parquet" if needs_consent(job.agreement) else None,
            state,
            named=reads.subjects,
            spill=folder,
        )

    def _is_fresh(self, state: Mapping[str, Any], now_ms: int) -> bool:
        unchanged = bool(state["consents"] == self._tools.consents.version())
        return unchanged and now_ms - int(state["formed_ms"]) < REFRESH_SECONDS * 1000

    def _form(self, job: AcceptedJob, reads: Reads, now_ms: int, *, again: bool) -> Cohort:
        cited: dict[str, Any] = {
            "job": job.job_id,
            "purpose": job.spec.purpose,
            "agreement": job.agreement.reference,
            "lawful_basis": job.agreement.lawful_basis,
        }
        self._tools.log.append(
            "access.granted", **cited, dataset=reads.dataset, columns=reads.columns, policy_hash=job.spec.hash()
        )
        keyfiles.make_folder(self._folder(job.job_id))
        version = self._tools.consents.version()
        allowed, everybody = self._allowed(job, reads, now_ms)
        place = self._place(job, reads, state_of(self._dataset(reads)))
        formed = form(place, allowed.numbers, self._known)
        members = allowed.subject_ids.take(pa.array(formed.members)).to_numpy()
        try:
            with self._guards.admitting(job, formed.rows_used, members, again=again):
                relied_on = b"" if everybody else ordered_pairs(allowed.pairs[formed.members])
                root = keep_pairs(self._tools.settings.folder, relied_on)
                used: dict[str, Any] = {"rows_used": formed.rows_used, "rows_left_out": formed.rows_left_out}
                self._tools.log.append(
                    "access.cohort",
                    **cited,
                    dataset=reads.dataset,
                    columns=reads.columns,
                    **used,
                    consent_ref=root,
                )
                used |= {"dataset": reads.dataset, "consent_root": root}
                kept = {"consents": version, "formed_ms": now_ms, "source": place.state, "used": used}
                self._keep(job, reads.dataset, members, kept)
        except RefusedError:
            place.discard()
            raise
        return place

    def _allowed(self, job: AcceptedJob, reads: Reads, now_ms: int) -> tuple[Allowed, bool]:
        """Whose rows may be used; and whether everybody's may, on another basis than consent."""
        need = need_of(job.agreement, job.spec, job.analyst, reads, self._tools.institution)
        if need is None:
            return self._tools.consents.known(), True
        return self._tools.consents.allowed(need, now_ms), False

    def _keep(self, job: AcceptedJob, dataset: str, members: Ids, state: dict[str, Any]) -> None:
        with self._tools.engine.begin() as connection:
            JobStore(connection).put(job.job_id, COHORT + dataset, json.dumps(state).encode())
            if version_of(connection) != state["consents"]:
                members = on_record(connection, members)  # somebody may have been erased meanwhile
            CohortStore(connection).note(job.job_id, dataset, state["used"]["rows_used"], members)

    def _dataset(self, reads: Reads) -> DatasetSettings:
        dataset = self._tools.settings.dataset(reads.dataset)
        if dataset is None:
            raise SourceError(
                f"this node is not configured with dataset {reads.dataset} any more",
                blame="whoever changed datasets.toml while the job ran",
                remedy="put the dataset back and submit the job again",
            )
        return dataset

    def _folder(self, job_id: str) -> Path:
        return self._tools.settings.folder / "work" / job_id


def is_copied(dataset: DatasetSettings, spec: JobSpec, institution: str) -> bool:
    """Whether the job's rows are copied first, rather than that its steps scan the source (docs/adr/0038)."""
    steps = [step_of(spec.kind, turn.step) for turn in spec.parameters.turns(institution)]
    readers = [step for step in steps if step.reads]
    match form_of(dataset):
        case "postgresql":
            return True
        case "csv" if len(readers) > 1:
            return True
        case _:
            return not all(step.scans for step in readers)


def need_of(agreement: Agreement, spec: JobSpec, analyst: str, reads: Reads, institution: str) -> Need | None:
    """What the job needs consent for at ``institution``; None if the agreement names another basis than consent.

    ``analyst`` is the fingerprint of whoever submitted it.
    """
    if not needs_consent(agreement):
        return None
    analysts = {person.institution for person in agreement.analysts if person.key == analyst}
    recipients = frozenset({*spec.parties, *analysts} - {institution})
    scopes = frozenset(agreement.consent_required)
    return Need(spec.purpose, reads.dataset, frozenset(reads.columns), recipients, scopes)
