"""``train``: moments, rounds of a Flower strategy over sealed updates, and a sealed evaluation."""

from typing import cast

from consortia_common.documents.kinds.train import Parameters
from consortia_coordinator.kinds import Job


def conduct(job: Job) -> None:
    """Keys, what preparation needs to know, bins for trees, the rounds, the test, the result."""
    parameters = cast("Parameters", job.spec.parameters)
    rounds = parameters.model.rounds_in_all
    total = rounds + 3
    job.progress("the parties agree on a key", 0, total)
    job.open_epoch()
    job.progress("the columns' counts, means and spreads are summed", 1, total)
    job.sum("prepared", "query.prepare")
    if "spread" in parameters.sums():
        job.progress("the bins of the trees are agreed on", 1, total)
        job.sum("spread", "query.spread")
    job.fit(rounds)
    if parameters.test_dataset:
        job.progress("the model is tested at every party", total - 2, total)
        job.sum("evaluation", "evaluate")
    job.progress("the parties open the result", total - 1, total)
    job.conclude()
