"""SIGKILL to the coordinator and to nodes in the middle of a job: nothing is lost, nothing counts twice."""

import random
from typing import Any

import pytest

from consortia_common.documents.jobspec import JobSpec
from tests.support import evidence
from tests.support.consortium import BANKS
from tests.support.processes import COORDINATOR, EVERYBODY, Processes, is_alive

MOMENTS = ("the parties agree", "round 2", "round 5", "the model is tested")
"""Stages of a training job, early to late."""


def require_sound(processes: Processes, job_id: str, expected: Any, killed: dict[str, int]) -> None:
    """The job came to ``expected``; everybody did each thing once, or twice where a kill fell between."""
    consortium = processes.consortium
    assert consortium.result(job_id) == expected
    for bank in BANKS:
        assert evidence.job_states(consortium, bank, job_id) == ["finished"]
        assert evidence.kept_values(consortium, bank, job_id) == 0
        assert evidence.models(consortium, bank, job_id) == 1
        assert evidence.cohort_files(consortium, bank, job_id) == []
    for name in EVERYBODY:
        assert evidence.repetitions(consortium, name, job_id) <= killed.get(name, 0)
    assert evidence.verdicts(consortium, EVERYBODY) == dict.fromkeys(EVERYBODY, "verified")


def test_the_coordinator_is_killed_again_and_again(
    processes: Processes, training: JobSpec, undisturbed: Any
) -> None:
    job_id = processes.consortium.submit(training)
    for moment in MOMENTS:
        processes.reach(job_id, stage=moment)
        processes.kill(COORDINATOR)
        processes.start(COORDINATOR)
    status = processes.finish(job_id)
    assert status.state == "finished", status
    require_sound(processes, job_id, undisturbed, {COORDINATOR: len(MOMENTS)})


def test_a_node_is_killed_again_and_again(processes: Processes, training: JobSpec, undisturbed: Any) -> None:
    job_id = processes.consortium.submit(training)
    started = set()
    for moment in MOMENTS:
        processes.reach(job_id, stage=moment)
        started |= processes.kill("bank-b")
        processes.start("bank-b")
    status = processes.finish(job_id)
    assert status.state == "finished", status
    require_sound(processes, job_id, undisturbed, {"bank-b": len(MOMENTS)})
    assert started
    processes.until("no worker outlives its node", lambda: not any(map(is_alive, started)), 10)


def test_everybody_is_killed_between_offer_and_answer(
    processes: Processes, training: JobSpec, undisturbed: Any
) -> None:
    processes.pause("bank-c")
    job_id = processes.consortium.submit(training)
    processes.reach(job_id, state="offered")
    for name in EVERYBODY:
        processes.kill(name)
    processes.start(*EVERYBODY)
    status = processes.finish(job_id)
    assert status.state == "finished", status
    require_sound(processes, job_id, undisturbed, dict.fromkeys(EVERYBODY, 1))
    for bank in BANKS:
        assert evidence.count(processes.consortium, bank, "job.decided", job_id) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_somebody_is_killed_at_a_random_moment(
    seed: int, processes: Processes, training: JobSpec, undisturbed: Any
) -> None:
    generator = random.Random(seed)
    victim = generator.choice(EVERYBODY)
    job_id = processes.consortium.submit(training)
    moment = generator.uniform(0, 6)
    began = processes.now()
    processes.until("the moment comes", lambda: processes.now() - began > moment)
    processes.kill(victim)
    processes.start(victim)
    status = processes.finish(job_id)
    assert status.state == "finished", status
    require_sound(processes, job_id, undisturbed, {victim: 1})
