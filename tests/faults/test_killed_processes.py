"""SIGKILL to the coordinator and to nodes in the middle of a job: nothing is lost, nothing counts twice."""

from typing import Any

import pytest

from consortia_common.documents.jobspec import JobSpec
from tests.support.aftermath import require_honest_logs, require_trained
from tests.support.processes import COORDINATOR, EVERYBODY, Child, Processes
from tests.support.specs import averaging, spec

MOMENTS = ("the parties agree", "the columns", "round 2", "round 5", "the model is tested", "the parties open")
"""Stages of a training job, early to late."""


@pytest.mark.slow
def test_a_job_survives_the_death_of_the_coordinator_and_of_a_node(
    processes: Processes, training: JobSpec, undisturbed: Any
) -> None:
    job_id = processes.consortium.submit(training)
    started: set[Child] = set()
    for moment, victims in {
        "the columns": ["bank-a"],
        "round 2": [COORDINATOR],
        "the model is tested": ["bank-b", COORDINATOR],
    }.items():
        processes.reach(job_id, stage=moment)
        for victim in victims:
            started |= processes.kill(victim)
        processes.start(*victims)
    require_trained(processes, job_id, undisturbed, {"bank-a": 1, "bank-b": 1, COORDINATOR: 2})
    require_honest_logs(processes.consortium, job_id)
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
        require_trained(processes, job_id, undisturbed, dict.fromkeys(EVERYBODY, 1))


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
    require_trained(processes, job_id, undisturbed, {victim: len(MOMENTS)})


_STOPPING = {"share": "0.3", "patience": 2, "tolerance": "0.001"}
FITS = {
    "trees": {"type": "boosted_trees", "trees": 8, "depth": 2, "min_rows": 5, "early_stopping": _STOPPING},
    "regression": {"type": "logistic_regression", "rounds": 12, "l2": "0.001"},
    "network": averaging(rounds=6, early_stopping=_STOPPING),
}


@pytest.mark.slow
@pytest.mark.parametrize("fit", FITS)
def test_a_fit_goes_on_at_the_last_finished_round_whoever_died(fit: str, processes: Processes) -> None:
    """One after the other in the middle of the rounds; model, curve and end are those of a quiet day."""
    asked = spec("train", model=FITS[fit])
    quiet = processes.consortium.submit(asked)
    assert processes.finish(quiet).state == "finished"
    job_id = processes.consortium.submit(asked)
    for number, victim in enumerate(("bank-a", COORDINATOR, "bank-c"), start=2):
        processes.reach(job_id, stage=f"round {number}")
        processes.kill(victim)
        processes.start(victim)
    kills = {"bank-a": 1, COORDINATOR: 1, "bank-c": 1}
    require_trained(processes, job_id, processes.outcome(quiet), kills)
    require_honest_logs(processes.consortium, quiet, job_id)
