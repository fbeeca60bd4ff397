"""The group of the engine ``masked``: vectors of words modulo 2^w, little-endian, on the wire w/8 bytes each.

A frame is masked by the stretch of a mask's keystream that has the frame's number, word by word: 2, 4, 4 or 8 bytes
of it for w = 16, 24, 32, 64, reduced modulo 2^w, so that they are uniform. In memory words of 24 bits lie in 32,
whose highest byte is dropped when they are written.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from consortia_crypto.sum.keystream import Keystream, pieces
from consortia_crypto.sum.masking import Mask
from consortia_crypto.sum.rooms import Room
from consortia_crypto.sum.tag import ROW
from consortia_crypto.sum.terms import SumPolicy
from consortia_crypto.sum.vector import FRAME_BYTES, Integers, Layout, Octets

Elements: TypeAlias = NDArray[np.unsignedinteger]
_TYPES = {16: "<u2", 24: "<u4", 32: "<u4", 64: "<u8"}


class Words:
    """Implements MemberGroup and CollectorGroup: here both sides compute alike, and neither needs a key."""

    parallel = True

    def __init__(self, policy: SumPolicy, per_frame: int | None = None) -> None:
        """``per_frame`` values to a frame, or what fills it."""
        self._bits = policy.word_bits
        self._type = np.dtype(_TYPES[policy.word_bits])
        width = policy.word_bits // 8
        per_frame = per_frame or FRAME_BYTES // width // ROW * ROW
        self.values = Layout(policy.length, policy.value_bytes, per_frame)
        self.wire = Layout(policy.length, width, per_frame)

    def seal(self, frame: int, values: Integers, masks: Sequence[Mask], room: Room | None = None) -> Octets:
        """See MemberGroup."""
        if values.itemsize == self._type.itemsize:
            values = values.view(self._type)  # the same bits, modulo 2^w
        return self._store(self._masked(frame, values, masks, room or Room.new()))

    def open(self, frame: int, sealed: Octets, masks: Sequence[Mask], room: Room | None = None) -> Integers:
        """See MemberGroup."""
        return self._centred(self._masked(frame, self._words(sealed), masks, room or Room.new()))

    def add(self, total: Octets | None, sealed: Octets, sender: str, room: Room | None = None) -> Octets:
        """See CollectorGroup; any bytes of the right length are words, so that no sender is to blame."""
        del sender
        if total is None:
            return sealed
        words = self._words(sealed)
        return self._store(np.add(self._words(total), words, out=self._elements(len(words), room or Room.new())))

    def adjust(self, frame: int, sealed: Octets, masks: Sequence[Mask], room: Room | None = None) -> Octets:
        """See CollectorGroup."""
        return self._store(self._masked(frame, self._words(sealed), masks, room or Room.new()))

    def _masked(self, frame: int, numbers: Integers | Elements, masks: Sequence[Mask], room: Room) -> Elements:
        """``numbers`` and the frame's stretch of each mask, piece by piece, so that both stay in the cache."""
        elements = self._elements(len(numbers), room)
        item = self._type.itemsize
        streams = [(Keystream(mask.seed, frame), np.add if mask.sign == 1 else np.subtract) for mask in masks]
        for start, count in pieces(elements.nbytes):
            part = slice(start // item, (start + count) // item)
            piece, drawn = elements[part], room.piece[:count].view(self._type)
            before = numbers[part].astype(self._type, copy=False)
            for stream, put in streams:
                stream.read_into(room.piece, count)
                put(before, drawn, out=piece)
                before = piece
            if not streams:
                piece[:] = before
        return elements

    def _elements(self, count: int, room: Room) -> Elements:
        return room.made[: count * self._type.itemsize].view(self._type)

    def _words(self, sealed: Octets) -> Elements:
        """What lies in ``sealed``; of words of 24 bits the highest byte of 32 is whatever comes next."""
        if self._bits != 24:
            return sealed.view(self._type)
        return np.ndarray((len(sealed) // 3,), self._type, np.append(sealed, np.uint8(0)), strides=(3,))

    def _store(self, elements: Elements) -> Octets:
        octets = elements.view(np.uint8)
        if self._bits != 24:
            return octets
        packed = np.empty((len(elements), 3), np.uint8)
        for place in range(3):  # byte by byte is four times as fast as three at once
            packed[:, place] = octets[place::4]
        return packed.reshape(-1)

    def _centred(self, elements: Elements) -> Integers:
        signed: Integers = elements.view(f"<i{self._type.itemsize}")
        if unused := self._type.itemsize * 8 - self._bits:
            signed = (signed << unused) >> unused
        return signed.astype(f"<i{self.values.unit_bytes}", copy=False)


def group_of(policy: SumPolicy) -> Words:
    """The group of the engine ``masked``; for either engine see lattice.py and lattice_secret.py."""
    return Words(policy)
