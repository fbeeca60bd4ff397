"""The tag of a sum: a linear code word under a key that the coordinator has not, after which no sum can be altered.

Over F_p, p = 2^61 − 1, with r ∈ F_p^4096 and γ ∈ F_p drawn from the round's key: the vector q (signed
integers), cut into R rows of 4096 and filled up with zeros, has the tag

    τ(q) = Σ_row γ^(R − row) · ⟨r, q_row⟩ mod p,  row = 1 … R.

It is linear, so the tags of the summands add up to the tag of the sum. Each travels masked modulo p: not as
an integer, since how often the summands' tags wrap past p would tell more of them than their sum (ADR 19).

A coordinator that turns the sum Z into Z' ≠ Z, and the total of the tags into another, must hit, knowing
nothing of r and γ, Σ γ^(R−row)·⟨r, Z'_row − Z_row⟩ = the change of the total. Where Z' − Z is not zero modulo p
in some column, that column's coefficient is a polynomial in γ of degree below R, not zero: it vanishes for at
most R − 1 of the p values of γ, and if it does not, one in p values of that r fits. So it is accepted with
probability at most R / p: 2^-46 at 10^8 values. That Z' − Z is not zero modulo p is not automatic: values that
differ by p have one tag. Hence a key comes with the bound of the values that it is for, at most (p − 1)/2, and
gives no tag to a vector that goes beyond it.

Every institution knows the key: one that colludes with the coordinator can make a tag for any sum.
"""

from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from consortia_crypto.errors import SumError
from consortia_crypto.sum.keystream import PIECE_BYTES, Keystream, new_buffer
from consortia_crypto.sum.masking import Mask
from consortia_crypto.sum.vector import Integers, Octets

P = 2**61 - 1
ROW = 4096
LARGEST = (P - 1) // 2
_BYTES = 8
_MASK_BYTES = 32
_DIGIT, _DIGITS = 11, 6
_DRAWS = ROW + 65
_ROWS = PIECE_BYTES // (8 * ROW)
_EXACT_BITS = 31
_EXACT = 2**_EXACT_BITS
"""4096 products of |value| ≤ 2^31 and |digit| ≤ 2^10 sum to at most 2^53: float64 is exact all the way."""
_PLACES = range(0, _DIGIT * _DIGITS, _DIGIT)
_WEIGHTS = np.array([1 << start + place for start in (0, _EXACT_BITS) for place in _PLACES], object)
"""Of each digit's sum, for the lower and then the upper half of values; Python's integers, which don't overflow."""


class TagKey:
    """r and γ of one round, for vectors of |value| ≤ ``bound``."""

    def __init__(self, r: NDArray[np.int64], gamma: int, bound: int) -> None:
        if not 0 < bound <= LARGEST:
            raise ValueError("values may grow beyond what tags tell apart")
        self._digits = _digits(r)
        self._gamma = gamma
        self._bound = bound

    @classmethod
    def derive(cls, seed: bytes, bound: int) -> Self:
        """The key that ``seed`` (32 bytes from the key schedule) stands for: uniform, by rejection."""
        draws = np.frombuffer(Keystream(seed).read(8 * _DRAWS), "<u8") >> np.uint64(3)
        kept = draws[draws < P].astype(np.int64)
        return cls(kept[:ROW], int(kept[ROW]), bound)

    def rows(self, values: Integers, piece: Octets | None = None) -> list[int]:
        """⟨r, row⟩ of each row of ``values``, the last filled up with zeros; not reduced. Raises SumError.

        A few rows at a time, in ``piece`` (see ``new_buffer``) if there is one, so that they stay in the cache and
        the product is too small for numpy's linear algebra to share out among threads of its own.
        """
        if values.size and (int(values.min()) < -self._bound or int(values.max()) > self._bound):
            raise _refused("a value is beyond what summands within the policy can give")
        halves = 1 if self._bound <= _EXACT else 2
        sums = np.empty((-(-len(values) // ROW), halves * _DIGITS), np.float64)
        room = (new_buffer() if piece is None else piece)[: 8 * _ROWS * ROW].view(np.float64)
        for first in range(0, len(sums), _ROWS):
            block = values[first * ROW : (first + _ROWS) * ROW]
            for half, part in enumerate((block,) if halves == 1 else (block & (_EXACT - 1), block >> _EXACT_BITS)):
                place = sums[first : first + _ROWS, half * _DIGITS : (half + 1) * _DIGITS]
                np.matmul(_filled(part, room), self._digits, out=place)
        products: list[int] = (sums.astype(np.int64).astype(object) @ _WEIGHTS[: halves * _DIGITS]).tolist()
        return products

    def fold(self, tag: int, rows: Iterable[int]) -> int:
        """The tag of a vector that goes on with ``rows``, from the ``tag`` of what came before."""
        for row in rows:
            tag = (tag * self._gamma + row) % P
        return tag


def tag(key: TagKey, chunks: Iterable[Integers]) -> int:
    """τ of the vector that ``chunks`` make up, each but the last of whole rows. Raises SumError."""
    total, ended = 0, False
    for chunk in chunks:
        if ended:
            raise _refused("a chunk before the last is not of whole rows")
        ended = len(chunk) % ROW != 0
        total = key.fold(total, key.rows(chunk))
    return total


def shift(tag: int, masks: Sequence[Mask]) -> int:
    """``tag`` ± the first 32 bytes of each mask's keystream, modulo p; so much longer than p that it is uniform."""
    for mask in masks:
        tag += mask.sign * int.from_bytes(Keystream(mask.seed).read(_MASK_BYTES), "little")
    return tag % P


def accepts(found: int, total: int) -> bool:
    """Whether ``total``, the unmasked tags of the summands, is the tag ``found`` of their sum."""
    return found == total


def to_bytes(tag: int) -> bytes:
    """A tag as it travels."""
    return tag.to_bytes(_BYTES, "little")


def _digits(r: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each of ``r``, taken from ±(p − 1)/2, as digits from −2^10 to 2^10 − 1 of base 2^11; shape (4096, 6)."""
    rest = np.where(r > LARGEST, r - P, r)
    digits = np.empty((len(r), _DIGITS), np.float64, order="F")  # so the product takes two thirds of the time
    half = 1 << (_DIGIT - 1)
    for place in range(_DIGITS):
        low = ((rest + half) & (2 * half - 1)) - half
        digits[:, place] = low
        rest = (rest - low) >> _DIGIT
    return digits


def _filled(block: Integers, room: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows in ``room``, the last one filled up."""
    rows = room[: -(-len(block) // ROW) * ROW]
    rows[: len(block)] = block
    rows[len(block) :] = 0
    return rows.reshape(-1, ROW)


def _refused(why: str) -> SumError:
    return SumError(
        f"a sum's tag was refused: {why}",
        blame="the computation that made the values, or whoever sent the tag",
        remedy="stop the job and compare the logs of this round",
    )
