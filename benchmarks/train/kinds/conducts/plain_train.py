"""``plain_train`` at the coordinator: each step's answers are added in plain sight, and go out with the next."""

from functools import reduce
from typing import Any

import numpy as np

from consortia_common.content import Content
from consortia_coordinator.kinds import Job


def conduct(job: Job) -> None:
    """The steps of ``train`` in their order; no keys. Rounds that are over are left out, as with sealed sums."""
    parameters: Any = job.spec.parameters
    rounds, said, over = parameters.model.rounds_in_all, Content(), False
    for turn in parameters.as_train().turns(job.spec.parties[0])[:-1]:
        if over and turn.optional:
            continue
        if turn.step == "train":
            job.progress(f"round {turn.round} of {rounds}", turn.round, rounds)
        replies = job.ask_all(turn.step, said, turn.round)
        total = reduce(np.add, (content.arrays["summand"] for content in replies.values()))
        said = Content(arrays={turn.gives: total})
        over = all(content.config.get("over") is True for content in replies.values())
    job.ask_all("query.total", said)
    job.conclude()
