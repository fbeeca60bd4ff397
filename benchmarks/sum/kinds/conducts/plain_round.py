"""``plain_round`` at the coordinator."""

from functools import reduce

import numpy as np

from consortia_common.content import Content
from consortia_coordinator.kinds import Job


def conduct(job: Job) -> None:
    """The rounds, the result. The total of a round goes out with the request of the next."""
    said, rounds = Content(), len(job.spec.course(job.spec.parties[0])) - 1
    for turn in range(1, rounds + 1):
        job.progress(f"round {turn} of {rounds}", turn, rounds)
        replies = job.ask_all("train", said, turn)
        total = reduce(np.add, (content.arrays["update"] for content in replies.values()))
        said = Content(arrays={"total": total})
    job.conclude()
