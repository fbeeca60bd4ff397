"""PRG(s) of the sealed sum: what AES-256-GCM makes of zeros under a seed and the number of a stretch as its nonce.

That is AES-256 in counter mode from the block nonce ‖ 2 onwards, and never the same block for two stretches; the
tag that GCM would give is not asked for. GCM because processors of servers do it more than twice as fast as bare
counter mode (ADR 61). A seed is used for one vector of one attempt only; that is the key schedule's to ensure, and
nothing here can check it. The stream is made in pieces that stay in a core's cache, and the
interpreter's lock is released meanwhile.
"""

from collections.abc import Iterator

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

SEED_BYTES = 32
PIECE_BYTES = 1 << 18
_NONCE_BYTES = 12
_BLOCK = 16
_LINE = 64
_ZEROS = memoryview(bytes(PIECE_BYTES))


class Keystream:
    """One stretch of the stream of ``seed``, read onwards from its start."""

    def __init__(self, seed: bytes, stretch: int = 0) -> None:
        if len(seed) != SEED_BYTES or not 0 <= stretch < 2**32:
            raise ValueError("a keystream has a seed of 32 bytes and stretches with numbers of 32 bits")
        nonce = stretch.to_bytes(_NONCE_BYTES, "big")
        self._encryptor = Cipher(algorithms.AES(seed), modes.GCM(nonce)).encryptor()

    def read_into(self, buffer: NDArray[np.uint8], count: int) -> None:
        """Put the next ``count`` ≤ PIECE_BYTES bytes at the start of ``buffer``; see ``new_buffer``."""
        self._encryptor.update_into(_ZEROS[:count], buffer.data)

    def read(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        return self._encryptor.update(bytes(count))


def new_buffer() -> NDArray[np.uint8]:
    """A buffer for ``read_into``: a piece, and what the library wants beyond it."""
    return memory(PIECE_BYTES + _BLOCK - 1)


def memory(count: int) -> NDArray[np.uint8]:
    """``count`` bytes that begin with a line of the cache: numbers that lie across two add up more slowly."""
    room = np.empty(count + _LINE - 1, np.uint8)
    start = -room.ctypes.data % _LINE
    return room[start : start + count]


def pieces(count: int) -> Iterator[tuple[int, int]]:
    """``count`` bytes cut into pieces: the start and the length of each."""
    for start in range(0, count, PIECE_BYTES):
        yield start, min(PIECE_BYTES, count - start)
