"""Who is in a sum: every block carries one answer from each institution, and the sum shows all of them or fails.

Institution i puts into slot i of each block an answer that only holders of the shared secret can compute, since it
is drawn from that secret, the policy's digest, the block's place and i. In the total each slot must hold exactly
that answer, so an upload that was dropped, doubled, scaled, moved to another block or taken from another round or
job is noticed. This finds faults, and a coordinator that leaves somebody out; it does not stop one that adds
numbers of its own to the values, for which the keyed tag of a later issue is needed.
"""

import hashlib
import struct

import numpy as np
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from numpy.typing import NDArray

from consortia_crypto.errors import SumError
from consortia_crypto.he.params import SUM
from consortia_crypto.sum.packing import blocks
from consortia_crypto.sum.policy import SumPolicy


def answers(policy: SumPolicy, secret: bytes) -> NDArray[np.int64]:
    """What each slot of the roll call must sum to: shape (blocks, institutions), in [1, t)."""
    digest = bytes.fromhex(policy.digest())
    info = b"consortia/v1/roll-call" + struct.pack("<H", len(digest)) + digest
    seed = HKDFExpand(SHA256(), 32, info).derive(hashlib.sha256(secret).digest())
    shape = (blocks(policy), len(policy.roster))
    drawn = np.frombuffer(hashlib.shake_256(seed).digest(8 * shape[0] * shape[1]), "<u8")
    return (drawn % np.uint64(SUM.plain_modulus - 1)).astype(np.int64).reshape(shape) + 1


def check(policy: SumPolicy, expected: NDArray[np.int64], found: NDArray[np.int64]) -> None:
    """Return if everybody answered exactly once in every block; else raise SumError with their names."""
    wrong = (expected != found).any(axis=0)
    if not wrong.any():
        return
    names = ", ".join(name for name, bad in zip(policy.roster, wrong, strict=True) if bad)
    raise SumError(
        f"a sealed sum does not hold each institution's upload exactly once; the roll call fails for {names}",
        blame="the coordinator that added them, or a ciphertext damaged on its way",
        remedy="stop the job, compare the logs of this round, and start it again",
    )
