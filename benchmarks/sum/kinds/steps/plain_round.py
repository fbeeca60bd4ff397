"""``plain_round`` at the institution."""

import numpy as np

from consortia_common.content import Content
from consortia_node.kinds import Outcome, Step, Work


def train(work: Work, request: Content) -> Outcome:
    """Take in the last total, which came with the request; the next update goes out as it is."""
    if work.turn > 1:
        request.arrays["total"].astype(np.float64)
    update = np.random.default_rng(work.turn).random(work.spec.parameters.length, np.float32)
    return Outcome(Content(arrays={"update": update}))


def conclude(work: Work, request: Content) -> Outcome:
    """Nothing but that it is over."""
    del work, request
    return Outcome(result={"kind": "plain_round"})


STEPS = {"train": Step(train), "query.conclude": Step(conclude)}
