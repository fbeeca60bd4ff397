"""Worker processes that die under their job: an idle one costs nothing, one in a step at most its job."""

import os
import signal
from typing import Any

import pytest

from consortia_common.documents.jobspec import JobSpec
from tests.support import evidence
from tests.support.processes import EVERYBODY, Child, Processes
from tests.support.specs import BANKS, spec


@pytest.mark.slow
def test_a_worker_ignores_signals_to_stop_and_is_replaced_when_it_dies(
    processes: Processes, training: JobSpec, undisturbed: Any
) -> None:
    job_id = processes.consortium.submit(training)
    processes.reach(job_id, stage="round 1")
    (worker,) = processes.workers("bank-b")
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(worker.pid, number)
    processes.reach(job_id, stage="round 3")
    assert processes.workers("bank-b") == {worker}
    processes.pause("bank-a")  # so bank-b's worker has nothing to do
    processes.until("bank-b is idle", lambda: evidence.unanswered(processes.consortium, "bank-b", job_id) == [])
    _kill(processes, worker)
    processes.wake("bank-a")
    processes.reach(job_id, stage="round 4")
    _kill(processes, processes.stick("bank-c", job_id))
    status = processes.finish(job_id)
    assert status.state == "finished", status
    assert processes.outcome(job_id) == undisturbed


@pytest.mark.slow
def test_a_worker_that_dies_twice_in_a_step_ends_its_job_and_no_other(
    processes: Processes, training: JobSpec
) -> None:
    job_id = processes.consortium.submit(training)
    processes.reach(job_id, stage="round 2")
    stuck = processes.stick("bank-b", job_id)
    steps = processes.waiting("bank-b", job_id)
    _kill(processes, stuck)
    processes.until("another takes its place", lambda: bool(processes.workers("bank-b")))
    _kill(processes, *processes.workers("bank-b"))
    status = processes.finish(job_id)
    assert status.state == "failed"
    (refusal,) = status.refusals
    assert refusal.institution == "bank-b"
    assert refusal.failure.what in [
        f"the worker for step {step!r} ended unexpectedly, perhaps for lack of memory" for step in steps
    ]
    assert "bank-b" in refusal.failure.blame
    assert "worker_memory_mib" in refusal.failure.remedy
    after = processes.finish(processes.consortium.submit(spec("statistics")))
    assert after.state == "finished", after
    for bank in BANKS:
        processes.until("every node ends the job", lambda bank=bank: _ended(processes, bank, job_id))
    assert evidence.verdicts(processes.consortium, EVERYBODY) == dict.fromkeys(EVERYBODY, "verified")


def _kill(processes: Processes, *workers: Child) -> None:
    assert workers
    for worker in workers:
        os.kill(worker.pid, signal.SIGKILL)
    processes.bury(workers)


def _ended(processes: Processes, bank: str, job_id: str) -> bool:
    """Failed there too, and nothing of it left: no keys, no rows."""
    consortium = processes.consortium
    return (
        evidence.job_states(consortium, bank, job_id) == ["failed"]
        and evidence.kept_values(consortium, bank, job_id) == 0
        and evidence.cohort_files(consortium, bank, job_id) == []
    )
