"""The cryptography of one upload and nothing round it, in warm memory: masks and tag, and encryption under CKKS."""

import time
from functools import partial
from os import urandom
from typing import Any

import numpy as np
import tenseal as ts

from benchmarks.figures import timed
from benchmarks.sum import ckks, sealed
from benchmarks.sum.alone import Shape, alone
from consortia_crypto.sum import opening
from consortia_crypto.sum.masking import Mask
from consortia_crypto.sum.plans import MaskPlan
from consortia_crypto.sum.vector import MemoryVector
from consortia_crypto.sum.words import Words

_TIMES = 3


def masking(shape: Shape) -> float:
    """CPU seconds of sealing a vector of integers: a mask for each institution, tag and hash with it."""
    policy = sealed.policy_of(shape, "masked")
    group = Words(policy)
    drawn = np.random.default_rng(1).integers(-policy.limit, policy.limit, shape.length)
    values = MemoryVector(group.values.octets(drawn))
    sink = MemoryVector.zeros(group.wire.size)
    masks = tuple(Mask(urandom(32), 1) for _ in range(shape.institutions))
    return _least(partial(opening.seal, policy, group, values, sink, MaskPlan(masks, masks, urandom(32))))


def encryption(shape: Shape) -> float:
    """CPU seconds of encrypting a vector of real numbers; TenSEAL's own form of it is not yet bytes."""
    secret, _ = ckks.keys()
    values = np.random.default_rng(1).normal(0, 0.1, shape.length)
    return _least(partial(ts.ckks_vector, ts.context_from(secret), values))


def measured(act: Any, shape: Shape) -> float:
    """What ``act`` finds, in a process of its own."""
    found: float = alone(act, (shape,), None)[0]
    return found


def _least(act: Any) -> float:
    act()
    return min(timed(act, 1, time.process_time) for _ in range(_TIMES))
