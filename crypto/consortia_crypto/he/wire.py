"""What TenSEAL's bytes must look like, checked in Python before SEAL reads any of them.

SEAL 4.3, which TenSEAL 0.3.18 embeds, has had faults in reading hostile input. A ciphertext of a named set needs
none of its flexibility: fresh polynomials don't compress, so SEAL stores them raw, and everything but the
coefficients is one fixed string of bytes:

    protobuf (slot count, length) ‖ SEAL header ‖ zstd frame of one raw block ‖ parameter hash, sizes, scale ‖
    array header ‖ 2·4096 coefficients, u64 little-endian, each below the prime ‖ CKKS: scale again

So a ciphertext is accepted only if its length and all the fixed bytes are exactly these, which leaves a sender
nothing to choose but numbers in range. Keys do compress: their headers and inner sizes are exact, their length
is bounded, and SEAL unpacks them. Whoever calls this does so in a job's worker process, within its limits.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np

from consortia_crypto.errors import CiphertextError, CryptoError
from consortia_crypto.he.params import ParameterSet

_HEADER = struct.Struct("<HBBBBHQ")  # magic, own length, version 4.3, compression, reserved, total length
_ZSTD = b"\x28\xb5\x2f\xfd"
_POLYNOMIALS = 2


@dataclass(frozen=True)
class Form:
    """Everything about one kind of ciphertext that its sender can't choose."""

    prefix: bytes
    suffix: bytes
    degree: int
    modulus: int

    @property
    def length(self) -> int:
        """The exact number of bytes of a ciphertext of this form."""
        return len(self.prefix) + _POLYNOMIALS * self.degree * 8 + len(self.suffix)


@cache
def form(params: ParameterSet, scale: float) -> Form:
    """The form of ciphertexts of ``params`` at ``scale`` (1.0 for BFV)."""
    count = _POLYNOMIALS * params.degree
    is_ntt = params.scheme == "ckks"
    inner = params.digest + struct.pack("<?QQQdQ", is_ntt, _POLYNOMIALS, params.degree, 1, scale, 1)
    inner += seal_header(_HEADER.size + 8 + 8 * count, compressed=False) + struct.pack("<Q", count)
    content = len(inner) + 8 * count
    body = zstd_header(content) + (content << 3 | 1).to_bytes(3, "little") + inner
    total = _HEADER.size + len(body) + 8 * count
    prefix = chunk(1, varint(params.slots)) + b"\x12" + varint(total) + seal_header(total) + body
    suffix = b"\x19" + struct.pack("<d", scale) if is_ntt else b""
    return Form(prefix, suffix, params.degree, params.data_modulus)


def check_ciphertext(data: bytes, expected: Form, sender: str) -> None:
    """Return if SEAL may read ``data``, which ``sender`` made; else raise CiphertextError."""
    if not isinstance(data, bytes) or len(data) != expected.length:
        raise refused(f"a ciphertext is not exactly {expected.length} bytes", sender)
    if not (data.startswith(expected.prefix) and data.endswith(expected.suffix)):
        raise refused("a ciphertext's header is not that of its parameter set", sender)
    count = _POLYNOMIALS * expected.degree
    coefficients = np.frombuffer(data, "<u8", count, len(expected.prefix))
    if coefficients.max() >= expected.modulus:
        raise refused("a ciphertext's coefficient is outside its modulus", sender)
    if not coefficients[expected.degree :].any():
        raise refused("a ciphertext is not encrypted at all: its second polynomial is zero", sender)


def check_key(data: bytes, content: int, sender: str) -> None:
    """Return if ``data`` is a compressed SEAL key of ``content`` bytes by its headers; else CiphertextError."""
    opening = seal_header(len(data)) + zstd_header(content)
    if not data.startswith(opening) or len(data) > content + 128:
        raise refused("a key's header or length is not that of its parameter set", sender)


@contextmanager
def translated(doing: str, blame: str) -> Iterator[None]:
    """Turn whatever TenSEAL raises inside into a CiphertextError; its own words stay in the cause."""
    try:
        yield
    except CryptoError:
        raise
    except Exception as error:
        raise refused(f"the homomorphic library failed while {doing}", blame) from error


def refused(why: str, blame: str) -> CiphertextError:
    """The error of this package for bytes or values that ``blame`` supplied."""
    return CiphertextError(
        why, blame=blame, remedy="make it again with Consortia's own tools, both sides at one version"
    )


def seal_header(total: int, *, compressed: bool = True) -> bytes:
    """SEAL 4.3's header of an object of ``total`` bytes, header included."""
    return _HEADER.pack(0xA15E, _HEADER.size, 4, 3, 2 if compressed else 0, 0, total)


def zstd_header(content: int) -> bytes:
    """The header of the single-segment zstd frame that SEAL makes of ``content`` bytes."""
    if content < 256 + 2**16:
        return _ZSTD + b"\x60" + struct.pack("<H", content - 256)
    return _ZSTD + b"\xa0" + struct.pack("<I", content)


def chunk(number: int, value: bytes) -> bytes:
    """A protobuf field of bytes."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(number: int) -> bytes:
    """A protobuf integer."""
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])
