"""SIGKILL to everybody at random moments of the demo's three jobs: each comes out as if nothing had happened."""

import random
import threading
from collections import Counter
from typing import Any

import pytest

from consortia_common.documents.jobspec import JobSpec
from tests.support import vitals
from tests.support.aftermath import require_honest_logs, require_over, require_trained
from tests.support.processes import COORDINATOR, EVERYBODY, Processes
from tests.support.specs import spec

LONGEST_WAIT = 2.5
"""Seconds between two kills at most; the three jobs take about ten together."""
FINISH_SECONDS = 120.0


@pytest.fixture(scope="module")
def expected(shared_processes: Processes) -> dict[str, Any]:
    """What statistics and a score come to when nothing happens to them."""
    shared_processes.mend()
    jobs = {kind: shared_processes.consortium.submit(spec(kind)) for kind in ("statistics", "score")}
    assert {shared_processes.finish(job_id).state for job_id in jobs.values()} == {"finished"}
    return {kind: shared_processes.outcome(job_id) for kind, job_id in jobs.items()}


@pytest.mark.parametrize(
    ("seed", "victims"),
    [
        (0, [COORDINATOR, "bank-b"]),
        *(pytest.param(seed, list(EVERYBODY), marks=pytest.mark.slow) for seed in range(1, 51)),
    ],
)
def test_the_demos_jobs_survive_deaths_at_random_moments(
    seed: int,
    victims: list[str],
    processes: Processes,
    training: JobSpec,
    undisturbed: Any,
    expected: dict[str, Any],
) -> None:
    generator, before = random.Random(seed), vitals.of_all(processes)
    trained = processes.consortium.submit(training)
    others = {kind: processes.consortium.submit(spec(kind)) for kind in expected}
    generator.shuffle(victims)
    for victim in victims:
        threading.Event().wait(generator.uniform(0, LONGEST_WAIT))
        processes.kill(victim)
        processes.start(victim)
    kills = Counter(victims)
    for kind, job_id in others.items():
        status = processes.finish(job_id, FINISH_SECONDS)
        assert status.state == "finished", status
        assert processes.outcome(job_id) == expected[kind]
        require_over(processes, job_id, kills, spec(kind).parties)
    require_trained(processes, trained, undisturbed, kills)
    require_honest_logs(processes.consortium, trained, *others.values())
    vitals.require_calm(processes, before)
