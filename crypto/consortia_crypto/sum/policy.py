"""What a sealed sum is about: its policy, what travels, and the two sides that every engine has.

The policy is never negotiated: each institution derives it from its own copy of the job and the agreement, and
its digest is bound into every block. An engine is a pair of classes of the shapes below; "lattice" is the first.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from consortia_crypto import canonical
from consortia_crypto.errors import SumError

MIN_INSTITUTIONS = 3
MAX_INSTITUTIONS = 50
MAX_LENGTH = 16_000_000
WORD_BITS = (16, 24, 64)


@dataclass(frozen=True)
class SumPolicy:
    """One sum: ``session`` names job and round; each of ``roster`` gives ``length`` integers of ``word_bits``."""

    session: str
    roster: tuple[str, ...]
    word_bits: int
    length: int
    engine: Literal["lattice"] = "lattice"

    def __post_init__(self) -> None:
        if self.engine != "lattice":
            raise _bad_policy("its engine is not known here")
        if not self.session or not all(self.roster) or len(set(self.roster)) != len(self.roster):
            raise _bad_policy("the session or an institution has no name, or an institution is named twice")
        if not MIN_INSTITUTIONS <= len(self.roster) <= MAX_INSTITUTIONS:
            raise _bad_policy(f"a sum is over {MIN_INSTITUTIONS} to {MAX_INSTITUTIONS} institutions")
        if self.word_bits not in WORD_BITS:
            raise _bad_policy("words have 16, 24 or 64 bits")
        if not 1 <= self.length <= MAX_LENGTH:
            raise _bad_policy(f"a vector has 1 to {MAX_LENGTH} values")

    @property
    def limit(self) -> int:
        """The largest |value| that one institution may add: the sum of all still fits one signed word."""
        return int(2 ** (self.word_bits - 1 - math.ceil(math.log2(len(self.roster)))) - 1)

    def digest(self) -> str:
        """SHA-256 of the canonical policy: what the parties compare and the roll call is derived from."""
        return canonical.digest(
            {
                "v": 1,
                "engine": self.engine,
                "session": self.session,
                "roster": list(self.roster),
                "word_bits": self.word_bits,
                "length": self.length,
            }
        )


@dataclass(frozen=True)
class Sealed:
    """A sealed vector, one upload or the total: opaque blocks in order."""

    blocks: tuple[bytes, ...]

    @classmethod
    def from_list(cls, blocks: Sequence[bytes]) -> Self:
        """What came over the wire; nothing is checked until an engine takes it."""
        return cls(tuple(blocks))

    def to_list(self) -> list[bytes]:
        """What goes over the wire."""
        return list(self.blocks)


class SumInstitution(Protocol):
    """An institution's side of an engine."""

    def seal(self, values: NDArray[np.int64], index_of_self: int) -> Sealed:
        """This institution's summand, sealed. Raises SumError for values outside the policy."""

    def open(self, total: Sealed) -> NDArray[np.int64]:
        """The exact sum over the roster. Raises SumError or CiphertextError, never gives a partial sum."""


class SumCoordinator(Protocol):
    """The coordinator's side of an engine: it adds and can't read."""

    def add(self, uploads: Mapping[str, Sealed]) -> Sealed:
        """The sealed total of one upload from each of the roster. Raises SumError or CiphertextError."""


def _bad_policy(why: str) -> SumError:
    return SumError(
        f"a sealed sum was not set up: {why}",
        blame="the job specification or the agreement",
        remedy="change the job so that it keeps to these bounds and submit it again",
    )
