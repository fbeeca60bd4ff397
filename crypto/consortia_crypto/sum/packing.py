"""How integers lie in the slots of BFV blocks, and come out of their sums again. Pure numpy, no keys.

A slot is an integer modulo a 48-bit prime t; the first slots of each block belong to the roll call. Words of 16
and 24 bits lie three and two to a slot: each institution adds ``limit``, so that a word is in [0, 2·limit] and the
sum of N words at most 2^w − 2^(h+1) with h = ⌈log2 N⌉ ≥ 2; hence no word carries into the next, and a full slot
sums to at most 2^48 − 7·2^24 (three words: 2^48 − 7·2^32), below t = 2^48 − 16383. Words of 64 bits are two
32-bit limbs in two slots, two's complement, exact modulo 2^64.
"""

import numpy as np
from numpy.typing import NDArray

from consortia_crypto.errors import SumError
from consortia_crypto.he.params import SUM
from consortia_crypto.sum.policy import SumPolicy

COMMON = 128
"""Slots of the roll call beside each institution's own; see roll_call.py for what the number is worth."""
_WORDS_PER_SLOT = {16: 3, 24: 2}
_LIMB = 32


def roll_call_slots(policy: SumPolicy) -> int:
    """The first slots of a block: one of each institution's own, then those that all share."""
    return len(policy.roster) + COMMON


def data_slots(policy: SumPolicy) -> int:
    """Slots of a block that carry values: those left by the roll call, an even number."""
    return (SUM.slots - roll_call_slots(policy)) // 2 * 2


def blocks(policy: SumPolicy) -> int:
    """How many ciphertexts one upload has."""
    return -(-policy.length // _values_per_block(policy))


def pack(policy: SumPolicy, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Checked values as slots, shape (blocks, data_slots), each in [0, t); unused words hold the value 0."""
    padded = np.zeros(blocks(policy) * _values_per_block(policy), np.int64)
    padded[: policy.length] = values
    if policy.word_bits == 64:
        unsigned = padded.view(np.uint64)
        limbs = np.stack([unsigned & np.uint64(2**_LIMB - 1), unsigned >> np.uint64(_LIMB)], axis=1)
        return limbs.astype(np.int64).reshape(blocks(policy), -1)
    words = (padded + policy.limit).reshape(-1, _WORDS_PER_SLOT[policy.word_bits])
    slots: NDArray[np.int64] = np.sum(words << _shifts(policy), axis=1)
    return slots.reshape(blocks(policy), -1)


def unpack(policy: SumPolicy, slots: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sums of values from the sums of slots. Raises SumError for a sum that no honest uploads give."""
    if policy.word_bits == 64:
        limbs = slots.reshape(-1, 2).astype(np.uint64)
        sums = (limbs[:, 0] + (limbs[:, 1] << np.uint64(_LIMB))).view(np.int64)
    else:
        sums = _words(policy, slots) - len(policy.roster) * policy.limit
    bound = len(policy.roster) * policy.limit
    if np.any((sums < -bound) | (sums > bound)) or sums[policy.length :].any():
        raise SumError(
            "a sealed sum holds a value that summands within the policy can't give",
            blame="an institution that sealed values beyond its limit, or the coordinator",
            remedy="stop the job and have every institution seal again at one version of Consortia",
        )
    return sums[: policy.length]


def _words(policy: SumPolicy, slots: NDArray[np.int64]) -> NDArray[np.int64]:
    words = slots.reshape(-1, 1) >> _shifts(policy)
    words[:, :-1] &= 2**policy.word_bits - 1
    return words.reshape(-1)


def _shifts(policy: SumPolicy) -> NDArray[np.int64]:
    return policy.word_bits * np.arange(_WORDS_PER_SLOT[policy.word_bits], dtype=np.int64)


def _values_per_block(policy: SumPolicy) -> int:
    if policy.word_bits == 64:
        return data_slots(policy) // 2
    return data_slots(policy) * _WORDS_PER_SLOT[policy.word_bits]
