"""The engine ``lattice`` at an institution: it encrypts masked slots and decrypts sums.

The coordinator may not import this module.

All institutions of an epoch share one BFV secret, of which the coordinator gets the public part. A total that
is refused ends the epoch and its secret: BFV ciphertexts can be altered, and a coordinator that could go on
asking which alterations are refused would learn the key bit by bit. It is told that, never why.
"""

from collections.abc import Sequence

import numpy as np

from consortia_crypto.he import secret as keys
from consortia_crypto.he.params import SUM
from consortia_crypto.sum.lattice import FORM, blocks, joined, missing_key
from consortia_crypto.sum.masking import Mask, MemberGroup
from consortia_crypto.sum.rooms import Room
from consortia_crypto.sum.slots import slots_of
from consortia_crypto.sum.terms import SumPolicy
from consortia_crypto.sum.vector import Integers, Octets
from consortia_crypto.sum.wire import wire_layout
from consortia_crypto.sum.words import Words


def new_secret() -> bytes:
    """A fresh secret for one epoch, to be shared with its institutions only."""
    return keys.generate(SUM)


def public_part(secret: bytes) -> bytes:
    """What the coordinator gets: the context without its secret key. Raises CiphertextError."""
    return keys.public_part(SUM, secret)


class LatticeMember:
    """Implements MemberGroup."""

    parallel = False

    def __init__(self, policy: SumPolicy, secret: bytes) -> None:
        """Raises CiphertextError if ``secret`` is not a private context of the engine's parameter set."""
        self.wire = wire_layout(policy)
        self._slots = slots_of(policy, self.wire.per_frame)
        self.values = self._slots.values
        self._context = keys.SecretContext(SUM, secret)

    def seal(self, frame: int, values: Integers, masks: Sequence[Mask], room: Room | None = None) -> Octets:
        """See MemberGroup."""
        del room
        return joined([self._context.encrypt(row) for row in self._slots.seal(frame, values, masks)])

    def open(self, frame: int, sealed: Octets, masks: Sequence[Mask], room: Room | None = None) -> Integers:
        """See MemberGroup."""
        del room
        rows = [self._context.decrypt_integers(block, FORM, "the coordinator") for block in blocks(sealed)]
        return self._slots.open(frame, np.stack(rows), masks)


def member_group(policy: SumPolicy, secret: bytes | None) -> MemberGroup:
    """An institution's group for the policy's engine; ``secret`` is the epoch's BFV secret, for lattice."""
    if policy.engine == "masked":
        return Words(policy)
    if secret is None:
        raise missing_key("secret")
    return LatticeMember(policy, secret)
