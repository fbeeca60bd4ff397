"""``evaluate``: every party tests the model on its own rows, and the tallies are added sealed."""

from consortia_coordinator.kinds import Job


def conduct(job: Job) -> None:
    """Keys, one tally from each party, the result."""
    job.progress("the parties agree on a key", 0, 3)
    job.open_epoch()
    job.progress("every party tests the model on its own rows", 1, 3)
    job.sum("evaluation", "evaluate")
    job.progress("the parties open the sum", 2, 3)
    job.conclude()
