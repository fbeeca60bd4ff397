"""No room on a party's disk in mid-job: it ends instead of going on without a log, and goes on once it has room."""

from typing import Any

import pytest

from consortia_common.documents.jobspec import JobSpec
from tests.support import evidence, vitals
from tests.support.aftermath import require_honest_logs, require_trained
from tests.support.disks import SmallDisk, small_disk
from tests.support.processes import COORDINATOR, Processes
from tests.support.specs import BANKS, spec
from tests.support.spoilt import check_explained

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("victim", ["bank-b", COORDINATOR])
def test_a_job_waits_for_a_party_whose_disk_is_full_or_fails_and_says_so(
    victim: str, processes: Processes, training: JobSpec, undisturbed: Any
) -> None:
    worked = processes.finish(processes.consortium.submit(spec("statistics")))
    assert worked.state == "finished", worked  # else memory is held against that of a process just started
    before = vitals.of_all(processes)
    processes.kill(victim)
    with small_disk(processes.consortium.root / victim) as disk:
        processes.start(victim)
        processes.gather(*BANKS)
        job_id = processes.consortium.submit(training)
        processes.reach(job_id, stage="round 2")
        disk.fill()
        assert processes.end(victim) == 1
        _refuses_to_start(processes, victim, disk)
        processes.start(victim)
        _require_finished_or_explained(processes, job_id, undisturbed, victim)
        require_honest_logs(processes.consortium, job_id)
        processes.kill(victim)
    processes.mend()
    vitals.require_calm(processes, before)


def _require_finished_or_explained(processes: Processes, job_id: str, expected: Any, victim: str) -> None:
    """Whether the log or a step first met the full disk is chance; in the middle of a step the job ends."""
    status = processes.finish(job_id)
    if status.state == "finished":
        require_trained(processes, job_id, expected, {victim: 2})
        return
    assert status.state == "failed", status
    (refusal,) = status.refusals
    assert refusal.institution == victim
    check_explained(refusal.failure.what, refusal.failure.blame, refusal.failure.remedy)
    for bank in BANKS:
        processes.until(
            f"{bank} ends it too",
            lambda bank=bank: evidence.job_states(processes.consortium, bank, job_id) == ["failed"],
        )


def _refuses_to_start(processes: Processes, victim: str, disk: SmallDisk) -> None:
    """Started by its supervisor on a full disk, it ends and says why; with room again it starts."""
    assert "the audit log can't be used" in processes.output(victim)
    disk.fill()  # its end has given some room back
    with pytest.raises(AssertionError, match="ended with 1"):
        processes.start(victim)
    assert "free the disk" in processes.output(victim)
    disk.free()
