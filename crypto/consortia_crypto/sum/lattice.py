"""The engine ``lattice`` at the coordinator: masked slots in BFV ciphertexts, added under a public context only.

It is the protocol of the masked engine with another group: the slots of slots.py instead of words modulo 2^w, each
block of 4096 encrypted under a key that the institutions share. What an upload hides from the coordinator it
hides twice; from an institution that colludes with it, and so can decrypt, the masks still hide it.
"""

from collections.abc import Sequence

import numpy as np

from consortia_crypto.errors import SumError
from consortia_crypto.he.evaluate import Evaluator
from consortia_crypto.he.params import SUM
from consortia_crypto.he.wire import form
from consortia_crypto.sum.masking import CollectorGroup, Mask
from consortia_crypto.sum.rooms import Room
from consortia_crypto.sum.slots import slots_of
from consortia_crypto.sum.terms import SumPolicy
from consortia_crypto.sum.vector import Octets
from consortia_crypto.sum.wire import wire_layout
from consortia_crypto.sum.words import Words

FORM = form(SUM, SUM.scale)


class LatticeCollector:
    """Implements CollectorGroup. TenSEAL holds the interpreter's lock, so that threads gain nothing."""

    parallel = False

    def __init__(self, policy: SumPolicy, public: bytes, sender: str) -> None:
        """``sender`` made the context ``public``. Raises CiphertextError, PrivateKeyMaterialError."""
        self.wire = wire_layout(policy)
        self._slots = slots_of(policy, self.wire.per_frame)
        self._evaluator = Evaluator(SUM, public, sender)

    def add(self, total: Octets | None, sealed: Octets, sender: str, room: Room | None = None) -> Octets:
        """See CollectorGroup."""
        del room
        if total is None:
            return joined([self._evaluator.checked(block, sender) for block in blocks(sealed)])
        pairs = zip(blocks(total), blocks(sealed), strict=True)
        return joined([self._evaluator.add({"the running total": one, sender: other}) for one, other in pairs])

    def adjust(self, frame: int, sealed: Octets, masks: Sequence[Mask], room: Room | None = None) -> Octets:
        """See CollectorGroup."""
        del room
        cut = blocks(sealed)
        shifts = self._slots.shift(frame, len(cut), masks)
        return joined(
            [self._evaluator.add_plain(block, row, "the total") for block, row in zip(cut, shifts, strict=True)]
        )


def collector_group(policy: SumPolicy, public: bytes | None, sender: str) -> CollectorGroup:
    """The coordinator's group for the policy's engine; ``public`` is the context that ``sender`` made, or None."""
    if policy.engine == "masked":
        return Words(policy)
    if public is None:
        raise missing_key("public context")
    return LatticeCollector(policy, public, sender)


def blocks(sealed: Octets) -> list[bytes]:
    """The ciphertexts of one frame."""
    return [row.tobytes() for row in sealed.reshape(-1, FORM.length)]


def joined(ciphertexts: Sequence[bytes]) -> Octets:
    """Ciphertexts as one frame."""
    return np.frombuffer(b"".join(ciphertexts), np.uint8)


def missing_key(what: str) -> SumError:
    """The error for a lattice sum whose key has not come."""
    return SumError(
        f"a sum with the engine lattice can't go on without its {what}",
        blame="the institution that makes the job's key, the first of the roster",
        remedy="run the job again; its epoch gives every party what it needs",
    )
