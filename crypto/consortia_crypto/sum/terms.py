"""What a sealed sum is about: who adds what, under which engine, and how many must stay and may collude. Pure.

The terms are never negotiated: each institution derives them from its own copy of the job and the agreement, and
compares their digest with what the coordinator says before it gives anything away. The digest is bound into every
key of the round.
"""

import hashlib
import math
from dataclasses import dataclass
from typing import Literal

from consortia_crypto import canonical
from consortia_crypto.errors import SumError

MIN_INSTITUTIONS = 3
MAX_INSTITUTIONS = 50
MAX_LENGTH = 200_000_000
MAX_ATTEMPTS = 1000
MAX_NAME = 255
MAX_SESSION = 1000
WORD_BITS = (16, 24, 32, 64)
_TAG_BITS = 61
"""A tag tells sums apart modulo 2^61 − 1 (tag.py), so no sum may reach half of that, also in words of 64 bits."""

Engine = Literal["masked", "lattice"]


def threshold(institutions: int, colluding: int) -> int:
    """How many must stay to the end, t = ⌊(N + k)/2⌋ + 1. Raises SumError for N < 3, k < 0 or N − k < 2.

    Any two groups of t share an institution that does not collude, hence no round is opened in two ways.
    """
    if not MIN_INSTITUTIONS <= institutions <= MAX_INSTITUTIONS:
        raise _bad_policy(f"a sum is over {MIN_INSTITUTIONS} to {MAX_INSTITUTIONS} institutions")
    if colluding < 0 or institutions - colluding < 2:
        raise _bad_policy("fewer than two institutions would be left that do not collude")
    return (institutions + colluding) // 2 + 1


def largest(institutions: int, word_bits: int) -> int:
    """The largest |value| that one may add: the sum of all fits one signed word, and what a tag tells apart."""
    head = math.ceil(math.log2(institutions))
    return int(2 ** (min(word_bits, _TAG_BITS) - 1 - head) - 1)


@dataclass(frozen=True)
class Scale:
    """The public scale of one tensor: its ``length`` values, each clipped to ±``clip``."""

    length: int
    clip: float

    def __post_init__(self) -> None:
        if self.length < 1 or not (math.isfinite(self.clip) and self.clip > 0):
            raise _bad_policy("a scale needs a length of at least 1 and a finite clip above 0")


@dataclass(frozen=True)
class SumPolicy:
    """One sum: each of ``roster`` adds ``length`` integers of ``word_bits``, and up to ``colluding`` are traitors.

    ``session`` names the job, its spec and which sum it is, so that it is fresh for every sum. ``scales`` are those
    of real numbers; a sum of integers has none.
    """

    session: str
    roster: tuple[str, ...]
    colluding: int
    word_bits: int
    length: int
    engine: Engine = "masked"
    scales: tuple[Scale, ...] = ()

    def __post_init__(self) -> None:
        if self.engine not in ("masked", "lattice"):
            raise _bad_policy("its engine is not known here")
        if not self.session or not all(self.roster) or len(set(self.roster)) != len(self.roster):
            raise _bad_policy("the session or an institution has no name, or an institution is named twice")
        if max(len(name.encode()) for name in self.roster) > MAX_NAME or len(self.session.encode()) > MAX_SESSION:
            raise _bad_policy("the session's name or that of an institution is too long")
        threshold(len(self.roster), self.colluding)
        if self.word_bits not in WORD_BITS:
            raise _bad_policy("words have 16, 24, 32 or 64 bits")
        if not 1 <= self.length <= MAX_LENGTH:
            raise _bad_policy(f"a vector has 1 to {MAX_LENGTH} values")
        if self.scales and sum(scale.length for scale in self.scales) != self.length:
            raise _bad_policy("its scales are for another number of values")

    @property
    def threshold(self) -> int:
        """How many institutions must stay to the end."""
        return threshold(len(self.roster), self.colluding)

    @property
    def limit(self) -> int:
        """See ``largest``."""
        return largest(len(self.roster), self.word_bits)

    @property
    def value_bytes(self) -> int:
        """Bytes of a value, or a sum of values, in the clear: a signed integer."""
        return 4 if self.word_bits <= 32 else 8

    def digest(self) -> str:
        """SHA-256 of the canonical policy: what the parties compare."""
        return canonical.digest(
            {
                "v": 2,
                "engine": self.engine,
                "session": self.session,
                "roster": list(self.roster),
                "colluding": self.colluding,
                "threshold": self.threshold,
                "word_bits": self.word_bits,
                "length": self.length,
                "scales": [[scale.length, float(scale.clip).hex()] for scale in self.scales],
            }
        )

    def rid(self, attempt: int) -> str:
        """The round's id, 64 hexadecimal digits, of the session and which ``attempt`` at it this is."""
        if not 1 <= attempt <= MAX_ATTEMPTS:
            raise _bad_policy(f"attempts are counted from 1 to {MAX_ATTEMPTS}")
        return hashlib.sha256(f"consortia/v1/rid\0{attempt}\0{self.session}".encode()).hexdigest()


def check_offer(policy: SumPolicy, attempt: int, rid: str, digest: str) -> None:
    """Return if the coordinator's ``rid`` and ``digest`` (R0) are this institution's own; else raise SumError."""
    if (rid, digest) != (policy.rid(attempt), policy.digest()):
        raise SumError(
            f"a sealed sum was not joined: the coordinator asks for attempt {attempt} under other terms than "
            "the job specification and the agreement give here",
            blame="the coordinator",
            remedy="compare the job specification on both sides; nothing was sent",
        )


def _bad_policy(why: str) -> SumError:
    return SumError(
        f"a sealed sum was not set up: {why}",
        blame="the job specification or the agreement",
        remedy="change the job so that it keeps to these bounds and submit it again",
    )
