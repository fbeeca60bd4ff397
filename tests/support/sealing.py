"""Policies, values and masks for tests of the sealed sum's arithmetic, all drawn from small seeds."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consortia_crypto.sum.masking import Mask
from consortia_crypto.sum.terms import SumPolicy


def policy_of(word_bits: int, length: int, *, institutions: int = 3, **others: Any) -> SumPolicy:
    roster = tuple(f"bank-{number}" for number in range(institutions))
    return SumPolicy("job-1/1", roster, 0, word_bits, length, **others)


def values_of(policy: SumPolicy, seed: int) -> NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    return rng.integers(-policy.limit, policy.limit, policy.length, endpoint=True)


def seed_of(label: object) -> bytes:
    return hashlib.sha256(repr(label).encode()).digest()


def masks_of(label: object, count: int) -> tuple[Mask, ...]:
    return tuple(Mask(seed_of((label, number)), -1 if number % 3 == 0 else 1) for number in range(count))


def without(masks: tuple[Mask, ...]) -> tuple[Mask, ...]:
    """The masks that take ``masks`` off."""
    return tuple(Mask(mask.seed, 1 if mask.sign == -1 else -1) for mask in masks)
