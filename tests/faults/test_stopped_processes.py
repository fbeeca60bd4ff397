"""SIGTERM to the coordinator and to nodes: an orderly end within seconds, and their job goes on afterwards."""

from typing import Any

import pytest

from consortia_common.documents.jobspec import JobSpec
from tests.support import evidence
from tests.support.processes import COORDINATOR, EVERYBODY, Processes
from tests.support.specs import BANKS

SECONDS = 9.0
"""Within the ten that a container is given before it is killed, on a busy machine too."""


def partings(processes: Processes) -> list[tuple[str, bool, str]]:
    """How the coordinator's log says that streams ended: whose, whether in order, and why."""
    return [
        (entry.body["detail"]["peer"].split("/")[0], entry.body["detail"]["orderly"], entry.body["reason"])
        for entry in evidence.entries(processes.consortium, COORDINATOR)
        if entry.type == "peer.disconnected"
    ]


@pytest.mark.slow
def test_an_orderly_stop_says_bye_and_neither_ends_nor_waits_for_a_job(
    processes: Processes, training: JobSpec, undisturbed: Any
) -> None:
    before = len(partings(processes))
    job_id = processes.consortium.submit(training)
    processes.reach(job_id, stage="round 2")
    worker = processes.stick("bank-b", job_id)
    status, seconds = processes.stop("bank-b", with_workers=True)
    assert (status, seconds < SECONDS) == (0, True)
    assert not worker.is_alive()
    status, seconds = processes.stop(COORDINATOR)
    assert (status, seconds < SECONDS) == (0, True)
    first, *others = partings(processes)[before:]
    assert first == ("bank-b", True, "the node is stopping")
    assert sorted(others) == [(bank, True, "the coordinator is stopping") for bank in ("bank-a", "bank-c")]
    assert evidence.verdicts(processes.consortium, EVERYBODY) == dict.fromkeys(EVERYBODY, "verified")

    processes.start(COORDINATOR, "bank-b")
    ended = processes.finish(job_id)
    assert ended.state == "finished", ended
    assert processes.outcome(job_id) == undisturbed
    assert [evidence.job_states(processes.consortium, bank, job_id) for bank in BANKS] == [["finished"]] * 3
