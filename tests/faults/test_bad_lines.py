"""A line that stalls or is slow, and two nodes under one name: the job comes out as ever, nobody grows or spins."""

import threading
from typing import Any

import pytest

from consortia_common.documents.jobspec import JobSpec
from tests.support import vitals
from tests.support.aftermath import require_honest_logs, require_trained
from tests.support.processes import Processes
from tests.support.proxy import proxied

pytestmark = pytest.mark.slow

SLOW_BYTES_PER_SECOND = 40_000
STALL_SECONDS = 3.0
"""Shorter than three heartbeats, so that nobody is taken for dead."""
LONG_STALL_SECONDS = 20.0
"""Longer than that: the connection is given up and made anew."""


@pytest.mark.parametrize("seconds", [STALL_SECONDS, LONG_STALL_SECONDS])
def test_a_job_goes_on_after_its_line_has_stalled(
    seconds: float, processes: Processes, training: JobSpec, undisturbed: Any
) -> None:
    before = vitals.of_all(processes)
    processes.kill("bank-b")
    with proxied(processes.consortium.port) as proxy:
        processes.start("bank-b", NODE__COORDINATOR=f"127.0.0.1:{proxy.port}")
        processes.gather("bank-b")
        job_id = processes.consortium.submit(training)
        processes.reach(job_id, stage="round 2")
        proxy.stalled = True
        threading.Event().wait(seconds)
        proxy.stalled = False
        require_trained(processes, job_id, undisturbed, {})
        processes.kill("bank-b")
    processes.mend()
    require_honest_logs(processes.consortium, job_id)
    vitals.require_calm(processes, before)


def test_a_job_goes_on_over_a_slow_line(processes: Processes, training: JobSpec, undisturbed: Any) -> None:
    before = vitals.of_all(processes)
    processes.kill("bank-b")
    with proxied(processes.consortium.port) as proxy:
        proxy.bytes_per_second = SLOW_BYTES_PER_SECOND
        processes.start("bank-b", NODE__COORDINATOR=f"127.0.0.1:{proxy.port}")
        processes.gather("bank-b")
        job_id = processes.consortium.submit(training)
        require_trained(processes, job_id, undisturbed, {})
        processes.kill("bank-b")
    processes.mend()
    vitals.require_calm(processes, before)
