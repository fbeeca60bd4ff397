"""How a sealed vector is cut into frames on the wire: a function of the policy, for whoever only carries it. Pure.

Neither SEAL nor a key is needed to know it, so a node's agent and tests can ask without loading either.
"""

from collections.abc import Mapping

from consortia_crypto.he.params import SUM
from consortia_crypto.he.wire import form
from consortia_crypto.sum import slots
from consortia_crypto.sum.terms import Engine, SumPolicy
from consortia_crypto.sum.vector import FRAME_BYTES, Layout
from consortia_crypto.sum.words import Words

PARAMETERS: Mapping[Engine, str] = {
    "masked": "words masked by AES-256 in counter mode, keys from X-Wing",
    "lattice": "the same masks inside BFV ciphertexts, n = 4096, moduli of 60 and 49 bits",
}
"""What each engine seals with, for people to read."""


def wire_layout(policy: SumPolicy) -> Layout:
    """The frames of an upload and of the total."""
    if policy.engine == "masked":
        return Words(policy).wire
    length = form(SUM, SUM.scale).length
    blocks = -(-policy.length // slots.values_per_block(policy.word_bits))
    # An even number to a frame, so that the values of a frame, also of 64 bits, are whole rows of the tag.
    return Layout(blocks, length, FRAME_BYTES // length // 2 * 2)
