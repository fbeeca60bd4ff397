"""PRG(s) of the sealed sum: the AES-256-CTR keystream under a seed, IV 0, from any multiple of 16 bytes onwards.

A seed is used for one vector of one attempt only; that is the key schedule's to ensure, and nothing here can
check it. The stream is made in pieces that stay in a core's cache, and the interpreter's lock is released
meanwhile.
"""

from collections.abc import Iterator

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

SEED_BYTES = 32
PIECE_BYTES = 1 << 17
_BLOCK = 16
_ZEROS = memoryview(bytes(PIECE_BYTES))


class Keystream:
    """One stream, read onwards from ``offset``."""

    def __init__(self, seed: bytes, offset: int = 0) -> None:
        if len(seed) != SEED_BYTES or offset % _BLOCK or offset < 0:
            raise ValueError("a keystream has a seed of 32 bytes and starts at a multiple of 16 bytes")
        counter = (offset // _BLOCK).to_bytes(_BLOCK, "big")
        self._encryptor = Cipher(algorithms.AES(seed), modes.CTR(counter)).encryptor()

    def read_into(self, buffer: NDArray[np.uint8], count: int) -> None:
        """Put the next ``count`` ≤ PIECE_BYTES bytes at the start of ``buffer``; see ``new_buffer``."""
        self._encryptor.update_into(_ZEROS[:count], buffer.data)

    def read(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        return self._encryptor.update(bytes(count))


def new_buffer() -> NDArray[np.uint8]:
    """A buffer for ``read_into``: a piece, and what the library wants beyond it."""
    return np.empty(PIECE_BYTES + _BLOCK - 1, np.uint8)


def pieces(count: int) -> Iterator[tuple[int, int]]:
    """``count`` bytes cut into pieces: the start and the length of each."""
    for start in range(0, count, PIECE_BYTES):
        yield start, min(PIECE_BYTES, count - start)
