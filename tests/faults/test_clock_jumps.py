"""A party's clock jumps in mid-job, forth and back: times in logs are odd, and nothing else is.

Nothing is excepted. What a machine's own clock still decides stands in docs/exchange.md, "Clocks": three days are
less than the life of any certificate, consent or agreement here.
"""

from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from consortia_common.documents.jobspec import JobSpec
from tests.support import evidence
from tests.support.aftermath import require_honest_logs, require_trained
from tests.support.processes import COORDINATOR, Processes
from tests.support.specs import BANKS

HOUR = 3600
DAY = 24 * HOUR

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seconds", [HOUR, -HOUR, 3 * DAY])
@pytest.mark.parametrize("victim", ["bank-b", COORDINATOR])
def test_a_job_goes_on_when_a_clock_jumps_and_comes_back(
    victim: str, seconds: int, processes: Processes, training: JobSpec, undisturbed: Any, tmp_path: Path
) -> None:
    clock = tmp_path / "clock"
    _set(clock, 0)
    processes.kill(victim)
    processes.start(victim, clock=clock)
    processes.gather(*BANKS)
    job_id = processes.consortium.submit(training)
    for stage, wrong in (("round 1", seconds), ("round 4", 0)):
        processes.reach(job_id, stage=stage)
        _set(clock, wrong)
    require_trained(processes, job_id, undisturbed, {})
    assert abs(seconds) - HOUR / 2 < _largest_leap(processes, victim, job_id) < abs(seconds) + HOUR / 2
    require_honest_logs(processes.consortium, job_id)


def _set(clock: Path, seconds: int) -> None:
    """Whole at any moment, since it is read at every look at the clock."""
    new = clock.with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(clock)


def _largest_leap(processes: Processes, victim: str, job_id: str) -> float:
    """The most seconds, to and fro, between two neighbours in its log of the job."""
    times = [datetime.fromisoformat(entry.time) for entry in evidence.entries(processes.consortium, victim, job_id)]
    return max(abs((late - early).total_seconds()) for early, late in pairwise(times))
