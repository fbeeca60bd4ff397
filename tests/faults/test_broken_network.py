"""A connection that is cut or goes silent in mid-job, a node that never comes back, a coordinator that is away."""

import re
import threading
from typing import Any

import pytest

from consortia_common.documents.jobspec import JobSpec
from tests.support import evidence
from tests.support.processes import COORDINATOR, EVERYBODY, Processes, cpu_seconds, resident_bytes
from tests.support.proxy import proxied
from tests.support.specs import BANKS, spec

MIB = 1 << 20
WATCHED_SECONDS = 2.0


def test_a_job_goes_on_after_its_connection_was_cut(
    processes: Processes, training: JobSpec, undisturbed: Any
) -> None:
    processes.kill("bank-b")
    with proxied(processes.consortium.port) as proxy:
        processes.start("bank-b", NODE__COORDINATOR=f"127.0.0.1:{proxy.port}")
        job_id = processes.consortium.submit(training)
        processes.reach(job_id, stage="the columns")
        proxy.cut_after = 0
        processes.reach(job_id, stage="round 2")
        proxy.cut_after = 20_000
        status = processes.finish(job_id)
        assert proxy.connections >= 3
        processes.kill("bank-b")
    assert status.state == "finished", status
    assert processes.outcome(job_id) == undisturbed
    for name in EVERYBODY:
        assert evidence.repetitions(processes.consortium, name, job_id) == 0
    assert evidence.verdicts(processes.consortium, EVERYBODY) == dict.fromkeys(EVERYBODY, "verified")


def test_nodes_wait_quietly_for_a_coordinator_that_is_away(processes: Processes) -> None:
    processes.kill(COORDINATOR)
    processes.until("the nodes notice", lambda: not any(processes.connected(bank) for bank in BANKS))
    pids = [processes.pid(bank) for bank in BANKS]
    before, memory = sum(map(cpu_seconds, pids)), sum(map(resident_bytes, pids))
    threading.Event().wait(WATCHED_SECONDS)
    assert sum(map(cpu_seconds, pids)) - before < 0.2 * WATCHED_SECONDS
    assert sum(map(resident_bytes, pids)) - memory < 60 * MIB


@pytest.mark.slow
def test_a_node_that_never_comes_back_ends_its_job_and_no_other(processes: Processes, training: JobSpec) -> None:
    job_id = processes.consortium.submit(training)
    processes.reach(job_id, stage="round 2")
    processes.kill("bank-c")
    of_the_others = processes.finish(processes.consortium.submit(spec("score")))
    assert of_the_others.state == "finished", of_the_others
    processes.kill(COORDINATOR)  # it would wait for an hour
    # Long enough for the others to come back first: whoever is not there for a step is late too.
    processes.start(COORDINATOR, COORDINATOR__STEP_SECONDS="6", COORDINATOR__OFFER_SECONDS="4")
    _require_late(processes, job_id, r"step '(train|sum\.\w+\.update\.\d)'")  # whichever it was in
    processes.gather(*BANKS[:2])
    never_offered = processes.consortium.submit(training)
    _require_late(processes, never_offered, "step 'offer'")
    processes.start("bank-c")
    for ended in (job_id, never_offered):
        processes.until("bank-c hears that the job is over", lambda ended=ended: _over(processes, ended))
    assert evidence.verdicts(processes.consortium, EVERYBODY) == dict.fromkeys(EVERYBODY, "verified")


def _require_late(processes: Processes, job_id: str, step: str) -> None:
    status = processes.finish(job_id)
    assert status.state == "failed", status
    (refusal,) = status.refusals
    assert refusal.institution == "bank-c"
    assert re.match(f"no answer to {step}", refusal.failure.what), refusal.failure.what
    assert "bank-c" in refusal.failure.blame
    assert "bank-c" in refusal.failure.remedy


def _over(processes: Processes, job_id: str) -> bool:
    consortium = processes.consortium
    return (
        evidence.job_states(consortium, "bank-c", job_id) in ([], ["failed"])
        and evidence.unanswered(consortium, "bank-c", job_id) == []
        and evidence.kept_values(consortium, "bank-c", job_id) == 0
        and evidence.cohort_files(consortium, "bank-c", job_id) == []
    )
