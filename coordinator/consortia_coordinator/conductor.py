"""Runs the jobs: one thread a job, taken up again after a restart where the journal left it.

A job is offered to its parties, conducted by its kind, and closed; whatever goes wrong ends it with the party, the
stage and the cause on record, and leaves the other jobs alone.
"""

import hashlib
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import OperationalError

from consortia_common import logs
from consortia_common.audit_endings import given_up
from consortia_common.content import Content
from consortia_common.documents.jobspec import Submission
from consortia_coordinator.approvals import await_officers
from consortia_coordinator.errors import CoordinatorError, PartiesRefusedError, StoppingError
from consortia_coordinator.jobrun import JobRun
from consortia_coordinator.jobs import FINAL, JobState
from consortia_coordinator.jobtasks import Tools
from consortia_coordinator.kinds import conduct_of
from consortia_coordinator.replies import short_blob
from consortia_coordinator.store.jobs import StoredJob, encode_refusals
from consortia_crypto import canonical
from consortia_crypto.errors import ConsortiaError
from consortia_crypto.keys import PublicIdentity
from consortia_proto.v1 import exchange_pb2, network_pb2

Identities = Callable[[], list[PublicIdentity]]
"""The active members' public identities."""


CANCELLED = "cancelled"
"""The memo of a job whose analyst wants no more of it."""
_CRASHED = CoordinatorError(
    "the coordinator met an error that it did not expect",
    blame="this coordinator",
    remedy="its operator finds job.crashed with this job's id in the process log",
)


@dataclass(frozen=True)
class _Ending:
    state: JobState
    stage: str
    failures: Mapping[str, exchange_pb2.Failure]


_CANCELLED = _Ending(
    JobState.CANCELLED,
    "cancelled by the analyst",
    {
        "analyst": exchange_pb2.Failure(
            code="cancelled",
            what="the analyst cancelled the job",
            blame="nobody: whoever submitted it decided so",
            remedy="submit it again if that was a mistake",
        )
    },
)


class Conductor:
    """Starts, resumes and ends jobs. ``failing`` is told, in a job's thread, that its end could not be stored."""

    def __init__(
        self,
        tools: Tools,
        identities: Identities,
        now_ms: Callable[[], int],
        failing: Callable[[ConsortiaError], object] = bool,
    ) -> None:
        self._tools = tools
        self._identities = identities
        self._now_ms = now_ms
        self._failing = failing
        self._threads: dict[str, threading.Thread] = {}
        self._runs: dict[str, JobRun] = {}
        self._endings: dict[str, _Ending] = {}
        """Of the jobs that are to be let go."""

    def start(self, job_id: str, failed: Mapping[str, Any] | None = None) -> None:
        """Run the job in a thread of its own; or only end it, if the log says already that it has ``failed``."""
        thread = threading.Thread(target=self._run, args=(job_id, failed), name=job_id, daemon=True)
        self._threads[job_id] = thread
        thread.start()

    def give_up(self, job_id: str, why: ConsortiaError) -> None:
        """End a job that is under way, with what it waits for; its parties are told. From any thread."""
        self._let_go(job_id, _Ending(JobState.FAILED, str(why), {"coordinator": _failure(why)}))

    def cancel(self, job_id: str) -> None:
        """End the job, as its analyst wishes; it is on record before anybody lets go. Raises CoordinatorError."""
        state = self._tools.store.get(job_id).state
        if state in FINAL:
            raise CoordinatorError(
                f"job {job_id} can't be cancelled: it is {state}",
                blame="nobody: it had ended before",
                remedy="`consortia job show` says how",
            )
        self._tools.store.keep(job_id, CANCELLED, b"cancelled")
        self._let_go(job_id, _CANCELLED)

    def _let_go(self, job_id: str, ending: _Ending) -> None:
        self._endings[job_id] = ending
        if run := self._runs.get(job_id):
            run.give_up()

    def resume(self) -> None:
        """Take up every job that had not ended when the coordinator stopped."""
        unfinished = [job.job_id for job in self._tools.store.unfinished()]
        failed = given_up(self._tools.log, unfinished)
        for job_id in unfinished:
            self.start(job_id, failed.get(job_id))

    def stop(self, seconds: float) -> None:
        """Wait for the threads, which end once the mailbox is closed; their jobs are resumed at the next start."""
        for thread in list(self._threads.values()):
            thread.join(seconds)

    def _run(self, job_id: str, failed: Mapping[str, Any] | None) -> None:
        try:
            self._conduct(job_id, failed)
        except Exception as error:  # not even the end could be stored; the next start takes the job up again
            logs.failure("job.unended", error, job_id=job_id)
            self._failing(_unended(job_id))
        finally:
            self._runs.pop(job_id, None)
            self._endings.pop(job_id, None)
            del self._threads[job_id]

    def _conduct(self, job_id: str, failed: Mapping[str, Any] | None) -> None:
        job = self._tools.store.get(job_id)
        run = None
        try:
            spec = Submission.from_canonical(job.submission, "the stored submission").spec
            run = self._runs[job_id] = JobRun(job_id, spec, self._tools)
            if self._tools.store.memo(job_id, CANCELLED) is not None:
                self._endings[job_id] = _CANCELLED
            if job_id in self._endings:
                run.give_up()
            if failed is not None:
                raise PartiesRefusedError({_institution(failed): _failure(_failed_before(failed))})
            self._offer(run, job)
            conduct_of(job.kind).conduct(run)
            self._finish(run)
        except StoppingError:
            if ending := self._endings.get(job_id):
                self._end(job_id, run, ending)
        except OperationalError:  # the database's disk: to end the job would need it
            raise
        except PartiesRefusedError as error:
            state = JobState.REFUSED if error.refused else JobState.FAILED
            self._end(job_id, run, _Ending(state, str(error), error.failures))
        except ConsortiaError as error:
            self._end(job_id, run, _Ending(JobState.FAILED, str(error), {"coordinator": _failure(error)}))
        except Exception as error:
            logs.failure("job.crashed", error, job_id=job_id)
            self._end(job_id, run, _Ending(JobState.FAILED, str(_CRASHED), {"coordinator": _failure(_CRASHED)}))

    def _offer(self, run: JobRun, job: StoredJob) -> None:
        """Ask every party's gate. Goes on only if all accept."""
        if job.state is JobState.SUBMITTED:
            self._tools.store.move(run.job_id, JobState.OFFERED, stage="offered to the parties")
        parties = run.spec.parties
        known = [identity.document() for identity in self._identities() if _concerned(identity, job, parties)]
        offer = Content(
            config={
                "submission": job.submission,
                "signature": job.signature,
                "identities": [canonical.encode(document) for document in known],
            }
        )
        offered = run.offer(offer)
        await_officers(run, offered, self._tools.mailbox, self._tools.now_ms)
        if self._tools.store.get(run.job_id).state is JobState.OFFERED:
            self._tools.store.move(run.job_id, JobState.RUNNING)

    def _finish(self, run: JobRun) -> None:
        """Gather the receipts and publish the sealed result. Every party that is there must have seen the same."""
        closing = run.close()
        receipts = [
            network_pb2.SignedReceipt(
                institution=party,
                document=short_blob(content, "receipt", party),
                signature=short_blob(content, "signature", party),
            )
            for party, content in closing.items()
        ]
        for receipt in receipts:
            digest = hashlib.sha256(receipt.document).hexdigest()
            run.log_once(
                f"receipt/{receipt.institution}", "job.receipt", institution=receipt.institution, digest=digest
            )
        run.require_wanted()
        sealed_by, envelope = run.result
        result = network_pb2.JobResult(job_id=run.job_id, envelope=envelope, sealed_by=sealed_by, receipts=receipts)
        self._tools.witnessed(self._tools.log.append("job.finished", job=run.job_id, kind=run.spec.kind))
        self._tools.store.move(
            run.job_id,
            JobState.FINISHED,
            stage="finished",
            finished_ms=self._now_ms(),
            result=result.SerializeToString(),
        )
        self._forget(run.job_id, JobState.FINISHED)

    def _end(self, job_id: str, run: JobRun | None, ending: _Ending) -> None:
        """Record why the job ended and tell the parties, without waiting for them.

        There is no run where the stored submission can't be read any more, and then nobody to be told.
        """
        institution, failure = next(iter(ending.failures.items()))
        self._tools.log.append("job.failed", job=job_id, reason=failure.what, institution=institution)
        if run is not None:
            closing = Content(config={"outcome": str(ending.state), "reason": failure.what})
            run.post("close", 1, dict.fromkeys(run.spec.parties, closing))
        self._tools.store.move(
            job_id,
            ending.state,
            stage=ending.stage,
            finished_ms=self._now_ms(),
            refusals=encode_refusals(ending.failures),
        )
        self._forget(job_id, ending.state)

    def _forget(self, job_id: str, state: JobState) -> None:
        """Erase what the job left in transit."""
        self._tools.workers.end(job_id)
        shutil.rmtree(self._tools.sums / job_id, ignore_errors=True)
        self._tools.store.forget(job_id)
        self._tools.mailbox.erase(job_id)
        logs.event("job.ended", job_id=job_id, state=str(state))


def _institution(failed: Mapping[str, Any]) -> str:
    return str(failed.get("detail", {}).get("institution", "coordinator"))


def _failed_before(failed: Mapping[str, Any]) -> CoordinatorError:
    return CoordinatorError(
        str(failed.get("reason", "the job failed")),
        blame=_institution(failed),
        remedy="submit the job again; the coordinator was ended before it could store why this one failed",
    )


def _unended(job_id: str) -> CoordinatorError:
    return CoordinatorError(
        f"how {job_id} ended could not be stored",
        blame="this machine's disk, most likely",
        remedy="free the disk, and start this process again; the job goes on by itself",
    )


def _concerned(identity: PublicIdentity, job: StoredJob, parties: tuple[str, ...]) -> bool:
    is_party = identity.role == "node" and identity.institution in parties
    return is_party or identity.fingerprint == job.analyst


def _failure(error: ConsortiaError) -> exchange_pb2.Failure:
    return exchange_pb2.Failure(code="failed", what=error.what, blame=error.blame, remedy=error.remedy)
