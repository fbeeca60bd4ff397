"""The named homomorphic parameter sets: the only ones that exist, so that no caller ever picks a modulus.

Each set pins, besides the numbers, two byte strings that SEAL 4.3 derives from them: ``encoded`` (how it writes
the parameters) and ``digest`` (its hash of them, found in every ciphertext). A context or ciphertext made under
anything else differs in these bytes and is refused before SEAL reads it. Both sets use ring dimension 4096 with
109 bits of modulus, the most that the HomomorphicEncryption.org table allows there for 128-bit security.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ParameterSet:
    """One reviewed choice of scheme, ring, moduli and scale."""

    name: str
    scheme: Literal["bfv", "ckks"]
    degree: int
    modulus_bits: tuple[int, ...]
    data_modulus: int
    """The prime that a ciphertext's coefficients are reduced by (the last prime serves keys only)."""
    encoded: bytes = field(repr=False)
    digest: bytes = field(repr=False)
    plain_modulus: int = 0
    """BFV: the batching prime; slots are integers modulo it."""
    scale_bits: int = 0
    """CKKS: values and weights are each encoded with a scale of this many bits."""

    @property
    def slots(self) -> int:
        """How many numbers one ciphertext holds."""
        return self.degree if self.scheme == "bfv" else self.degree // 2

    @property
    def scale(self) -> float:
        """The scale of a fresh ciphertext as SEAL records it; 1 for BFV, which has none."""
        return 2.0**self.scale_bits

    @property
    def product_scale(self) -> float:
        """The scale of a ciphertext multiplied once by a plaintext and not rescaled."""
        return self.scale**2


SUM = ParameterSet(
    name="sum-bfv-4096",
    scheme="bfv",
    degree=4096,
    modulus_bits=(60, 49),
    data_modulus=1152921504606830593,
    # The largest prime below 2^48 that is 1 mod 8192. SEAL refuses a 49-bit one here, and one of 48 bits leaves
    # the noise of 50 added ciphertexts two bits of room.
    plain_modulus=281474976694273,
    encoded=bytes.fromhex(
        "5ea11004030200004b0000000000000028b52ffd205995010024020100100002005ea1100403000000180001c0ff0fe0fcffffff"
        "0100c0ffffffff0000060060b69d73011b002330f80244"
    ),
    digest=bytes.fromhex("35b6ff3e1b69c51c229527fb4051e42b0b45c4ba4917580689a2438b77b99be5"),
)

SCORE = ParameterSet(
    name="score-ckks-4096",
    scheme="ckks",
    degree=4096,
    modulus_bits=(60, 49),
    data_modulus=1152921504606830593,
    # Two factors of 24 bits leave 2^11 below half the modulus for the score itself; see score/scale.py for how
    # features and weights share the 48 bits.
    scale_bits=24,
    encoded=bytes.fromhex(
        "5ea1100403020000450000000000000028b52ffd2059650100d80200100002005ea1100403000000180001c0ff0fe0fcffffff01"
        "000700800000b19d73011b002330f80244"
    ),
    digest=bytes.fromhex("6afd21c68eaea2fa8274edfa3723ade74760cc4465d33aa4aa8ca90de97960fe"),
)


def centred(params: ParameterSet, slots: NDArray[Any]) -> NDArray[np.int64]:
    """BFV slots in [0, plain modulus) as the signed numbers that TenSEAL encodes."""
    modulus = params.plain_modulus
    return np.where(slots > modulus // 2, slots - modulus, slots).astype(np.int64)
