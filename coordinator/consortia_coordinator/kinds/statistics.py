"""``statistics``: every party tabulates its own rows, the tables are added sealed, the parties open the sum."""

from consortia_coordinator.kinds import Job


def conduct(job: Job) -> None:
    """Three steps: keys, one table from each party, the result."""
    job.progress("the parties agree on a key", 0, 3)
    job.open_epoch()
    job.progress("every party tabulates its own rows", 1, 3)
    job.sum("table", "query.tabulate")
    job.progress("the parties open the sum", 2, 3)
    job.conclude()
