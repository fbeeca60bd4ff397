"""SIGKILL to the coordinator and to nodes in the middle of a job: nothing is lost, nothing counts twice."""

import random
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from consortia_common.documents.jobspec import JobSpec
from tests.support import evidence
from tests.support.consortium import BANKS
from tests.support.processes import COORDINATOR, EVERYBODY, Child, Processes

MOMENTS = ("the parties agree", "the features", "round 2", "round 5", "the model is tested", "the parties open")
"""Stages of a training job, early to late."""


def require_sound(processes: Processes, job_id: str, expected: Any, kills: Mapping[str, int]) -> None:
    """The job came to ``expected``; everybody did each thing once, or once more where a kill fell in between."""
    consortium = processes.consortium
    status = processes.finish(job_id)
    assert status.state == "finished", status
    assert processes.outcome(job_id) == expected
    for bank in BANKS:
        assert evidence.job_states(consortium, bank, job_id) == ["finished"]
        assert evidence.kept_values(consortium, bank, job_id) == 0
        assert evidence.models(consortium, bank, job_id) == 1
        assert evidence.cohort_files(consortium, bank, job_id) == []
        assert evidence.count(consortium, bank, "job.decided", job_id) <= 1 + kills.get(bank, 0)
    for name in EVERYBODY:
        assert evidence.repetitions(consortium, name, job_id) <= kills.get(name, 0)
    assert evidence.verdicts(consortium, EVERYBODY) == dict.fromkeys(EVERYBODY, "verified")


def test_a_job_survives_the_death_of_the_coordinator_and_of_a_node(
    processes: Processes, training: JobSpec, undisturbed: Any
) -> None:
    job_id = processes.consortium.submit(training)
    started: set[Child] = set()
    for moment, victims in {
        "the features": ["bank-a"],
        "round 2": [COORDINATOR],
        "the model is tested": ["bank-b", COORDINATOR],
    }.items():
        processes.reach(job_id, stage=moment)
        for victim in victims:
            started |= processes.kill(victim)
        processes.start(*victims)
    require_sound(processes, job_id, undisturbed, {"bank-a": 1, "bank-b": 1, COORDINATOR: 2})
    assert started
    processes.bury(started)


@pytest.mark.slow
def test_two_jobs_survive_that_everybody_dies_before_they_run(
    processes: Processes, training: JobSpec, undisturbed: Any
) -> None:
    processes.pause("bank-c")
    jobs = [processes.consortium.submit(training) for _ in range(2)]
    for job_id in jobs:
        processes.reach(job_id, state="offered")
    for name in EVERYBODY:
        processes.kill(name)
    processes.start(*EVERYBODY)
    for job_id in jobs:
        require_sound(processes, job_id, undisturbed, dict.fromkeys(EVERYBODY, 1))


@pytest.mark.slow
@pytest.mark.parametrize("victim", [COORDINATOR, "bank-a", "bank-b"])
def test_a_job_survives_that_one_of_its_parties_dies_at_every_stage(
    victim: str, processes: Processes, training: JobSpec, undisturbed: Any
) -> None:
    job_id = processes.consortium.submit(training)
    for moment in MOMENTS:
        processes.reach(job_id, stage=moment)
        processes.kill(victim)
        processes.start(victim)
    require_sound(processes, job_id, undisturbed, {victim: len(MOMENTS)})


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_a_job_survives_a_death_at_a_random_moment(
    seed: int, processes: Processes, training: JobSpec, undisturbed: Any
) -> None:
    generator = random.Random(seed)
    victim = generator.choice(EVERYBODY)
    job_id = processes.consortium.submit(training)
    threading.Event().wait(generator.uniform(0, 5))
    processes.kill(victim)
    processes.start(victim)
    require_sound(processes, job_id, undisturbed, {victim: 1})
