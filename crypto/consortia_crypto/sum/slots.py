"""How values lie in the slots of BFV blocks, masked. A slot is an integer modulo a 48-bit prime t. No keys of BFV.

Words of 16, 24 and 32 bits (Packed) lie three, two and one to a slot, as the signed number Σ v_k·2^(w·k). Sums
of words below 2^(w−1) in size keep it below 2^47 − 2^13, which is t / 2, so that every sum comes out as it is.
Masks are uniform modulo t: 48-bit numbers, the upper part of 8 bytes of keystream, of which those from t
upwards (one in 10^10) are passed over. Each block of a frame draws 32 numbers more than it has slots from the
stretch that has the frame's number; that more are passed over does not happen.

Words of 64 bits (Limbs) are masked modulo 2^64, as in words.py, and then cut into two limbs of 32 bits, a slot
each, whose sums have room in a slot. Limbs of the values themselves, masked modulo t, would not do: their sums
tell how often the lower halves carry, and that is more of two institutions' inputs than their sum.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from consortia_crypto.he.params import SUM
from consortia_crypto.sum.keystream import Keystream
from consortia_crypto.sum.masking import Mask
from consortia_crypto.sum.terms import SumPolicy
from consortia_crypto.sum.vector import Integers, Layout, fitted
from consortia_crypto.sum.words import Words

SLOTS, MODULUS = SUM.slots, SUM.plain_modulus
_PER_SLOT = {16: 3, 24: 2, 32: 1}
_DRAWS = SLOTS + 32

Slots = NDArray[np.int64]


class SlotGroup(Protocol):
    """What is masked inside the ciphertexts of one frame: slots in [0, t), shape (blocks, SLOTS)."""

    @property
    def values(self) -> Layout:
        """How values in the clear are cut."""

    def seal(self, frame: int, values: Integers, masks: Sequence[Mask]) -> Slots:
        """Values as slots, masked; none of them is beyond the limit."""

    def shift(self, frame: int, blocks: int, masks: Sequence[Mask]) -> Slots:
        """What is to be added to the slots of a sum to put ``masks`` on."""

    def open(self, frame: int, slots: Slots, masks: Sequence[Mask]) -> Integers:
        """The sums of values that sums of slots hold, after ``masks``."""


class Packed:
    """Implements SlotGroup for words of 16, 24 and 32 bits."""

    def __init__(self, policy: SumPolicy, blocks: int) -> None:
        self._bits = policy.word_bits
        self.values = Layout(policy.length, policy.value_bytes, blocks * values_per_block(policy.word_bits))

    def seal(self, frame: int, values: Integers, masks: Sequence[Mask]) -> Slots:
        """See SlotGroup."""
        return self._masked(frame, pack(self._bits, values), masks)

    def shift(self, frame: int, blocks: int, masks: Sequence[Mask]) -> Slots:
        """See SlotGroup."""
        return self._masked(frame, np.zeros((blocks, SLOTS), np.int64), masks)

    def open(self, frame: int, slots: Slots, masks: Sequence[Mask]) -> Integers:
        """See SlotGroup."""
        values = unpack(self._bits, self._masked(frame, slots, masks))
        return fitted(values[: self.values.count(frame)], self.values.unit_bytes)

    def _masked(self, frame: int, slots: Slots, masks: Sequence[Mask]) -> Slots:
        masked = slots.copy()  # up to 2^15 numbers of 48 bits add up below 2^63
        for mask in masks:
            masked += mask.sign * _drawn(mask.seed, frame, len(slots))
        np.mod(masked, MODULUS, out=masked)
        return masked


class Limbs:
    """Implements SlotGroup for words of 64 bits."""

    def __init__(self, policy: SumPolicy, blocks: int) -> None:
        self._words = Words(policy, blocks * values_per_block(64))
        self.values = self._words.values

    def seal(self, frame: int, values: Integers, masks: Sequence[Mask]) -> Slots:
        """See SlotGroup."""
        return _limbs(self._words.seal(frame, values, masks))

    def shift(self, frame: int, blocks: int, masks: Sequence[Mask]) -> Slots:
        """See SlotGroup; one word for all masks together, so that limbs keep their room."""
        nothing = np.zeros(self._words.wire.length(frame), np.uint8)
        return _limbs(self._words.adjust(frame, nothing, masks))[:blocks]

    def open(self, frame: int, slots: Slots, masks: Sequence[Mask]) -> Integers:
        """See SlotGroup."""
        limbs = slots.reshape(-1, 2).astype(np.uint64)[: self.values.count(frame)]
        words = limbs[:, 0] + (limbs[:, 1] << np.uint64(32))  # modulo 2^64
        return self._words.open(frame, words.view(np.uint8), masks)


def slots_of(policy: SumPolicy, blocks: int) -> SlotGroup:
    """The one for the policy's words; ``blocks`` is how many make up a frame."""
    return Limbs(policy, blocks) if policy.word_bits == 64 else Packed(policy, blocks)


def values_per_block(word_bits: int) -> int:
    """How many values one ciphertext carries."""
    return SLOTS // 2 if word_bits == 64 else SLOTS * _PER_SLOT[word_bits]


def pack(word_bits: int, values: Integers) -> Slots:
    """Values of 16, 24 or 32 bits as slots, whole blocks; places left over hold 0."""
    words = _filled(values, SLOTS * _PER_SLOT[word_bits]).reshape(-1, _PER_SLOT[word_bits])
    slots: Slots = np.sum(words << (word_bits * np.arange(words.shape[1])), axis=1)
    np.mod(slots, MODULUS, out=slots)
    return slots.reshape(-1, SLOTS)


def unpack(word_bits: int, slots: Slots) -> Slots:
    """The sums of values that sums of packed slots hold."""
    rest = np.where(slots > MODULUS // 2, slots - MODULUS, slots).reshape(-1)
    half = 1 << (word_bits - 1)
    words = np.empty((rest.size, _PER_SLOT[word_bits]), np.int64)
    for place in range(words.shape[1] - 1):
        words[:, place] = ((rest + half) & (2 * half - 1)) - half
        rest = (rest - words[:, place]) >> word_bits
    words[:, -1] = rest
    return words.reshape(-1)


def uniform(draws: NDArray[np.uint64], count: int, modulus: int) -> NDArray[np.uint64]:
    """The first ``count`` of each row of ``draws`` that are below ``modulus``, which are then uniform."""
    fit = draws < modulus
    if fit[:, :count].all():
        return draws[:, :count]
    return np.stack([row[kept][:count] for row, kept in zip(draws, fit, strict=True)])


def _drawn(seed: bytes, frame: int, blocks: int) -> Slots:
    stream = Keystream(seed, frame).read(blocks * _DRAWS * 8)
    draws = np.frombuffer(stream, "<u8").reshape(blocks, _DRAWS) >> np.uint64(16)
    return uniform(draws, SLOTS, MODULUS).astype(np.int64)


def _limbs(words: NDArray[np.uint8]) -> Slots:
    """The lower and upper half of each word of 64 bits, whole blocks."""
    return _filled(words.view("<u4").astype(np.int64), SLOTS).reshape(-1, SLOTS)


def _filled(values: Integers, multiple: int) -> NDArray[np.int64]:
    filled = np.zeros(-(-len(values) // multiple) * multiple, np.int64)
    filled[: len(values)] = values
    return filled
