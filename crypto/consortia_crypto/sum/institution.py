"""An institution's side of the lattice engine: it seals its summand, and opens the total that came back.

All institutions of a job share one BFV secret, which they give each other in sealed envelopes; the coordinator
never has it. Whoever holds it can read any single upload that he gets hold of: an institution that colludes with
the coordinator reads the others' summands until the pairwise masks of a later issue lie inside the ciphertexts.

A total that is refused ends the job and its secret: BFV ciphertexts can be altered, and a coordinator that could
go on asking which alterations are refused would learn the key bit by bit. It is told that, never why.
"""

import hashlib

import numpy as np
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from numpy.typing import NDArray

from consortia_crypto.errors import SumError
from consortia_crypto.he import secret as keys
from consortia_crypto.he.params import SUM
from consortia_crypto.he.wire import form
from consortia_crypto.sum import packing, roll_call
from consortia_crypto.sum.policy import Sealed, SumPolicy


def new_secret() -> bytes:
    """A fresh secret for one job cohort, to be shared with its institutions only."""
    return keys.generate(SUM)


def public_part(secret: bytes) -> bytes:
    """What the coordinator gets: the context without its secret key. Raises CiphertextError."""
    return keys.public_part(SUM, secret)


def common_salt(secret: bytes, label: str) -> str:
    """32 hexadecimal digits that all who hold ``secret`` derive alike from ``label``, and nobody else can guess.

    Whoever sees the digest of something that has few possible values could try them all; with this in it, not.
    """
    info = b"consortia/v1/salt" + label.encode()
    return HKDFExpand(SHA256(), 16, info).derive(hashlib.sha256(secret).digest()).hex()


class LatticeInstitution:
    """Seals and opens under one policy and one shared secret."""

    def __init__(self, policy: SumPolicy, secret: bytes) -> None:
        """Raises CiphertextError if ``secret`` is not a private context of the engine's parameter set."""
        self._policy = policy
        self._context = keys.SecretContext(SUM, secret)
        self._secret = secret

    def seal(self, values: NDArray[np.int64], index_of_self: int) -> Sealed:
        """Encrypt int64 ``values``, |value| ≤ policy.limit, as institution ``index_of_self`` of the roster."""
        self._check(values, index_of_self)
        answers = roll_call.answers(self._policy, self._secret, index_of_self)
        packed = packing.pack(self._policy, values)
        return Sealed(tuple(self._encrypted(*row) for row in zip(answers, packed, strict=True)))

    def open(self, total: Sealed) -> NDArray[np.int64]:
        """The exact sum of everybody's values, from everybody exactly once. Raises SumError, CiphertextError."""
        if len(total.blocks) != packing.blocks(self._policy):
            raise _refused("the total has another number of blocks than the policy's length", "the coordinator")
        shape = form(SUM, SUM.scale)
        slots = np.stack(
            [self._context.decrypt_integers(block, shape, "the coordinator") for block in total.blocks]
        )
        present, data = self._split(slots)
        roll_call.check(self._policy, roll_call.expected(self._policy, self._secret), present)
        return packing.unpack(self._policy, data)

    def _encrypted(self, answers: NDArray[np.int64], values: NDArray[np.int64]) -> bytes:
        slots = np.zeros(SUM.slots, np.int64)
        slots[: len(answers)] = answers
        slots[len(answers) : len(answers) + len(values)] = values
        return self._context.encrypt(slots)

    def _split(self, slots: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        count = packing.roll_call_slots(self._policy)
        return slots[:, :count], slots[:, count : count + packing.data_slots(self._policy)]

    def _check(self, values: NDArray[np.int64], index: int) -> None:
        if not isinstance(values, np.ndarray) or values.dtype != np.int64:
            raise _refused("the values are not a numpy array of int64", "this institution's job code")
        if values.shape != (self._policy.length,):
            raise _refused(f"the values are not one vector of {self._policy.length}", "this institution's job code")
        if np.any((values < -self._policy.limit) | (values > self._policy.limit)):
            raise _refused("a value is beyond the policy's limit", "this institution's job code")
        if not 0 <= index < len(self._policy.roster):
            raise _refused("this institution is not at that place of the roster", "this institution's job code")


def _refused(why: str, blame: str) -> SumError:
    return SumError(
        f"a sealed sum was refused: {why}",
        blame=blame,
        remedy="compare the sum policy on both sides with the job specification",
    )
