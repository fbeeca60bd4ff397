"""Who is in a sum: every block carries answers from each institution, and the sum shows all of them or fails.

Institution i puts into slot i of each block, and into COMMON slots that all share, numbers that only holders of the
shared secret can compute, since they are drawn from that secret, the policy's digest, the block's place and i. In
the total each of these slots must hold exactly the sum of what belongs there, so an upload that was dropped,
doubled, scaled, moved to another block or taken from another round or job is noticed, and its own slot says whose.

The common slots are against a coordinator that multiplies an upload by a polynomial which is 1 where the answers
lie and 0 where values lie. Noise leaves room for coefficients of about 2^5 in all (Euclidean norm). Lattice
reduction finds such polynomials within a second if only one slot must stay right; for 129 none so short is
expected to exist (docs/sealed-sum.md). What is not stopped is a coordinator that adds numbers of its own to the
values, for which the keyed tag of a later issue is needed.
"""

import hashlib
import struct

import numpy as np
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from numpy.typing import NDArray

from consortia_crypto.errors import SumError
from consortia_crypto.he.params import SUM
from consortia_crypto.sum.packing import COMMON, blocks, roll_call_slots
from consortia_crypto.sum.policy import SumPolicy


def answers(policy: SumPolicy, secret: bytes, index: int) -> NDArray[np.int64]:
    """What institution ``index`` puts into the roll call: shape (blocks, roll_call_slots), in [0, t)."""
    drawn = _drawn(policy, secret, index)
    placed = np.zeros((len(drawn), roll_call_slots(policy)), np.int64)
    placed[:, index] = drawn[:, 0]
    placed[:, len(policy.roster) :] = drawn[:, 1:]
    return placed


def expected(policy: SumPolicy, secret: bytes) -> NDArray[np.int64]:
    """What the total must hold: the answers of the whole roster, added modulo t; same shape."""
    total = answers(policy, secret, 0)
    for index in range(1, len(policy.roster)):
        total = (total + answers(policy, secret, index)) % SUM.plain_modulus
    return total


def check(policy: SumPolicy, expected: NDArray[np.int64], found: NDArray[np.int64]) -> None:
    """Return if everybody answered exactly once in every block; else raise SumError with their names."""
    wrong = (expected != found).any(axis=0)
    if not wrong.any():
        return
    named = [name for name, bad in zip(policy.roster, wrong[: len(policy.roster)], strict=True) if bad]
    raise SumError(
        "a sealed sum does not hold each institution's upload exactly once; the roll call fails for "
        + (", ".join(named) or "uploads that were altered"),
        blame="the coordinator that added them, or a ciphertext damaged on its way",
        remedy="stop the job, compare the logs of this round, and start it again",
    )


def _drawn(policy: SumPolicy, secret: bytes, index: int) -> NDArray[np.int64]:
    """Numbers in [1, t): one for the institution's own slot and COMMON others, for each block."""
    digest = bytes.fromhex(policy.digest())
    info = b"consortia/v1/roll-call" + struct.pack("<H32sHH", len(digest), digest, 2, index)
    seed = HKDFExpand(SHA256(), 32, info).derive(hashlib.sha256(secret).digest())
    shape = (blocks(policy), 1 + COMMON)
    drawn = np.frombuffer(hashlib.shake_256(seed).digest(8 * shape[0] * shape[1]), "<u8")
    return (drawn % np.uint64(SUM.plain_modulus - 1)).astype(np.int64).reshape(shape) + 1
