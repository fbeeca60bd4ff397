"""``statistics``: every party tabulates its own rows, the tables are added sealed, the parties open the sum."""

from consortia_coordinator.kinds import Job


def conduct(job: Job) -> None:
    """Keys, one table from each party, closer looks for quantiles, the result."""
    rounds = [turn.round for turn in job.spec.parameters.turns("") if turn.step == "query.refine"]
    total = 3 + len(rounds)
    job.progress("the parties agree on a key", 0, total)
    job.open_epoch()
    job.progress("every party tabulates its own rows", 1, total)
    job.sum("table", "query.tabulate")
    for turn in rounds:
        job.progress("every party looks closer for the quantiles", 1 + turn, total)
        job.sum("refined", "query.refine", turn)
    job.progress("the parties open the sum", total - 1, total)
    job.conclude()
