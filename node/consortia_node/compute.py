"""The steps that compute: agreement checked, cohort formed, letter opened, worker run, outcome logged and kept.

What the step keeps for the next one and what it says are stored in one transaction before anything is sent; if
the node dies before that, the step runs again from the state before it.
"""

import hashlib
import json
import secrets

from sqlalchemy import Connection

from consortia_common import keyfiles
from consortia_common.content import Content
from consortia_common.database import reading
from consortia_common.documents.fitted import Model
from consortia_common.documents.jobspec import PROGRESS
from consortia_common.sealed import reporters
from consortia_crypto.score.scale import room
from consortia_node import accepted, results
from consortia_node import jobs as rules
from consortia_node.accepted import ANALYST, AcceptedJob
from consortia_node.answers import Answer
from consortia_node.cohorts import Cohorts
from consortia_node.epochs import common_salt
from consortia_node.errors import RefusedError
from consortia_node.keptsums import sum_folder
from consortia_node.kinds import Step, step_of
from consortia_node.letters import open_content, seal_for, seal_letter
from consortia_node.offers import PEAK, RESULT
from consortia_node.sources.places import Cohort
from consortia_node.step import StepRequest, StepResult
from consortia_node.store.jobs import JobStore
from consortia_node.store.models import ModelStore
from consortia_node.tools import Tools
from consortia_proto.v1 import exchange_pb2 as pb

SCORED = "scores.returned"
"""The event that says how many customers were scored, which the agreement's budget counts."""
KEPT_FROM_WORKERS = "epoch."
"""Prefix of the names of values that no kind's step has any use for: the keys of a job's sums."""
RESULT_STEP = "result"
"""The step named in the envelope of a result."""


class Compute:
    """Answers every step that a kind defines."""

    def __init__(self, tools: Tools, cohorts: Cohorts) -> None:
        self._tools = tools
        self._cohorts = cohorts

    def step(self, job: AcceptedJob, task: pb.Task, content: Content) -> Answer:
        """Take one step of a job that is under way."""
        step = step_of(job.spec.kind, task.step)
        cohorts = self._cohorts.ready(job) if step.reads else {}
        asked = self._prepared(job, step, content)
        result = self._tools.workers.run(self._request(job, task, asked, cohorts))
        said = self._said(job, task, result, may_report=content.config.get("report") is True)

        def store(connection: Connection) -> None:
            jobs = JobStore(connection)
            for name, value in result.values.items():
                jobs.put(job.job_id, name, value)
            before = int(jobs.value(job.job_id, PEAK) or 0)
            jobs.put(job.job_id, PEAK, str(max(before, result.memory_mib)).encode())
            if result.result is not None:
                jobs.put(job.job_id, RESULT, hashlib.sha256(result.result).hexdigest().encode())
                self._keep_model(connection, job, result.result)
            for event in result.events:
                if event.name == SCORED:
                    jobs.set_scored_rows(job.job_id, room(event.detail["rows"]))
            if _state(jobs, job.job_id) == rules.ACCEPTED:
                jobs.advance(job.job_id, rules.RUNNING, self._tools.now_ms())

        return Answer(said, store=store)

    def _prepared(self, job: AcceptedJob, step: Step, content: Content) -> Content:
        """The request as the worker gets it: the letter opened."""
        if not step.letter_from:
            return content
        (sender,) = [party for party in job.spec.parties if party != self._tools.institution]
        return open_content(self._tools, job, step.letter_from, sender, content.config.get("envelope"))

    def _request(
        self, job: AcceptedJob, task: pb.Task, content: Content, cohorts: dict[str, Cohort]
    ) -> StepRequest:
        with reading(self._tools.engine) as connection:
            values = JobStore(connection).values(job.job_id)
            models = ModelStore(connection)
            names = job.spec.parameters.models(self._tools.institution)
            wanted = [stored for name in names if (stored := models.get(name))]
        for stored in wanted:
            stored.require_standing()
        return StepRequest(
            job_id=job.job_id,
            spec=job.spec.canonical(),
            institution=self._tools.institution,
            step=task.step,
            turn=task.round,
            min_cell=job.agreement.min_cell,
            content=content.to_bytes(),
            sums=sum_folder(self._tools, job.job_id),
            recipients=job.recipients(),
            lawful_basis=job.agreement.lawful_basis,
            cohorts=cohorts,
            values={name: value for name, value in values.items() if not name.startswith(KEPT_FROM_WORKERS)},
            models={stored.name: stored.model.canonical() for stored in wanted},
            salt=common_salt(values, job.job_id) or secrets.token_hex(16),
        )

    def _said(self, job: AcceptedJob, task: pb.Task, result: StepResult, *, may_report: bool) -> Content:
        """What goes to the coordinator, once everything in the outcome is logged and sealed."""
        content = Content.from_bytes(result.content, "this node's worker")
        over = {"over": True} if result.over else {}
        for event in result.events:
            logged = self._tools.log.append(event.name, job=job.job_id, purpose=job.spec.purpose, **event.detail)
            self._tools.witnessed(logged)
        self._keep_files(job, result)
        letters = {
            f"envelope.{party}": seal_letter(self._tools, job, task.step, party, plaintext)
            for party, plaintext in result.letters.items()
        }
        report = self._report(job, result.result) if result.result is not None and may_report else {}
        progress = self._progress(job, task, result.progress) if result.progress is not None else {}
        return Content(content.arrays, {**content.config, **letters, **report, **progress, **over}, content.metrics)

    def _progress(self, job: AcceptedJob, task: pb.Task, progress: bytes) -> dict[str, bytes]:
        """How the job goes, sealed to the analyst as the result will be, and by whom the result will be."""
        if self._tools.institution not in reporters(job.spec) or ANALYST not in job.recipients():
            return {}
        analyst = accepted.identity(self._tools, job, ANALYST)
        sealed = seal_for(self._tools, job, PROGRESS, ANALYST, analyst, progress, sequence=task.round)
        return {PROGRESS: sealed}

    def _report(self, job: AcceptedJob, result: bytes) -> dict[str, bytes]:
        """The result sealed to the analyst, by a party that the kind names and if the agreement says so."""
        reporters = job.spec.parameters.reporters(job.spec.parties)
        if self._tools.institution not in reporters or "analyst" not in job.recipients():
            return {}
        announced = self._tools.log.append(
            "result.sealed",
            job=job.job_id,
            purpose=job.spec.purpose,
            recipient=ANALYST,
            digest=hashlib.sha256(result).hexdigest(),
        )
        self._tools.witnessed(announced)
        analyst = accepted.identity(self._tools, job, ANALYST)
        # As long as the spec makes it, lest its length tell the coordinator how much was withheld.
        padded = result.ljust(job.spec.parameters.result_bytes())
        sealed_result = seal_for(self._tools, job, RESULT_STEP, ANALYST, analyst, padded)
        return {"envelope.analyst": sealed_result}

    def _keep_files(self, job: AcceptedJob, result: StepResult) -> None:
        """Files for this institution alone, where the agreement lets the data owner have the result."""
        if not result.files:
            return
        if not {"data_owner", "parties"} & set(job.recipients()):
            raise RefusedError(
                "job_kinds.recipients", f"The agreement does not let the data owner have a {job.spec.kind} result."
            )
        for name, data in result.files.items():
            folder = keyfiles.make_folder(results.folder_of(self._tools.settings.folder, job.job_id))
            keyfiles.write_file(folder / name, data)

    def _keep_model(self, connection: Connection, job: AcceptedJob, result: bytes) -> None:
        """A model that the parties may have becomes one of this institution's models, named like its job."""
        document = json.loads(result).get("model")
        if document is None or "parties" not in job.recipients():
            return
        model = Model.from_value(document, "the trained model")
        self._tools.log.append(
            "model.added", job=job.job_id, model=job.job_id, digest=model.hash(), origin=job.job_id
        )
        ModelStore(connection).put(job.job_id, model, job.job_id)


def _state(jobs: JobStore, job_id: str) -> str:
    stored = jobs.get(job_id)
    return stored.state if stored else ""
