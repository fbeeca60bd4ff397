"""A party's clock jumps in mid-job, forth and back: times in logs are odd, or the job fails and says why."""

from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from consortia_common.documents.jobspec import JobSpec
from tests.support import evidence
from tests.support.aftermath import require_honest_logs, require_trained
from tests.support.consortium import ENDED
from tests.support.processes import COORDINATOR, Processes
from tests.support.specs import BANKS, spec

HOUR = 3600
DAY = 24 * HOUR
FAR_SECONDS = 120.0

pytestmark = pytest.mark.slow


GIVEN_UP = {
    "bank-b": ("nothing was released: the log's checkpoint was not cosigned", "came after the time that"),
    COORDINATOR: (),
}
"""Why a job may fail: a party whose clock is wrong can neither check witnesses nor tell whether it is too late."""


@pytest.mark.parametrize("seconds", [HOUR, -HOUR, 3 * DAY])
@pytest.mark.parametrize("victim", ["bank-b", COORDINATOR])
def test_a_job_goes_on_when_a_clock_jumps_and_comes_back_or_fails_and_says_so(
    victim: str, seconds: int, processes: Processes, training: JobSpec, undisturbed: Any, tmp_path: Path
) -> None:
    clock = tmp_path / "clock"
    _set(clock, 0)
    processes.kill(victim)
    processes.start(victim, clock=clock)
    processes.gather(*BANKS)
    job_id = processes.consortium.submit(training)
    processes.reach(job_id, stage="round 1")
    _set(clock, seconds)
    processes.until("it comes further, or ends", lambda: _is_far(processes, job_id), FAR_SECONDS)
    _set(clock, 0)
    status = processes.finish(job_id, FAR_SECONDS)
    if status.state == "finished":
        require_trained(processes, job_id, undisturbed, {})
        assert abs(seconds) - HOUR / 2 < _largest_leap(processes, victim, job_id) < abs(seconds) + HOUR / 2
    else:
        assert any(why in status.stage and victim in status.stage for why in GIVEN_UP[victim]), status
        after = processes.finish(processes.consortium.submit(spec("statistics")), FAR_SECONDS)
        assert after.state == "finished", after
    require_honest_logs(processes.consortium, job_id)


def _set(clock: Path, seconds: int) -> None:
    """Whole at any moment, since it is read at every look at the clock."""
    new = clock.with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(clock)


def _is_far(processes: Processes, job_id: str) -> bool:
    status = processes.status(job_id)
    return status is not None and (status.stage.startswith("round 4") or status.state in ENDED)


def _largest_leap(processes: Processes, victim: str, job_id: str) -> float:
    """The most seconds, to and fro, between two neighbours in its log of the job."""
    times = [datetime.fromisoformat(entry.time) for entry in evidence.entries(processes.consortium, victim, job_id)]
    return max(abs((late - early).total_seconds()) for early, late in pairwise(times))
