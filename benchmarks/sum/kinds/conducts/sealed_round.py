"""``sealed_round`` at the coordinator."""

from consortia_coordinator.kinds import Job


def conduct(job: Job) -> None:
    """Keys, the rounds, the result."""
    job.open_epoch()
    job.fit(len(job.spec.summed()))
    job.conclude()
