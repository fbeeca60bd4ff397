"""``train``: moments, rounds of a Flower strategy over sealed updates, and a sealed evaluation."""

from typing import cast

from consortia_common.documents.kinds.train import Parameters
from consortia_coordinator.kinds import Job


def conduct(job: Job) -> None:
    """Keys, moments, ``rounds`` rounds, evaluation, the result."""
    parameters = cast("Parameters", job.spec.parameters)
    total = parameters.rounds + 3
    job.progress("the parties agree on a key", 0, total)
    job.open_epoch()
    job.progress("the features' means and spreads are summed", 1, total)
    job.sum("moments", "query.moments")
    job.fit(parameters.rounds)
    if parameters.test_dataset:
        job.progress("the model is tested at every party", total - 2, total)
        job.sum("evaluation", "evaluate")
    job.progress("the parties open the result", total - 1, total)
    job.conclude()
