"""Hostile bytes made of good ones: what a peer sends that knows the contract and means harm."""

import struct
from collections.abc import Sequence
from random import Random

from google.protobuf.message import Message

EXTREMES = (
    *(struct.pack(f"<{size}", -1 if size.islower() else 2**64 - 1) for size in "bhiqQ"),
    *(b"\xff\xff\xff\xff\x0f", b"\xff" * 9 + b"\x01", b"\0", b"\n", b'"', b"{", b"[" * 200, b"\xc3"),
    *(b"9" * 400, b"-0", b"1e999", b"NaN", b"null", b"\\u0000", b"\\ud800", "\u202e".encode()),
)  # fmt: skip
"""Lengths, numbers and letters that parsers stumble over."""
LONGEST = 1 << 18


def mutate(good: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """``good`` after one to six changes; ``others`` are what pieces are taken from."""
    data = bytearray(good)
    for _ in range(random.randint(1, 6)):
        _change(data, others, random)
    return bytes(data[:LONGEST])


def mutate_fields(message: Message, random: Random) -> bytes:
    """``message`` after changes to its fields of bytes and of text, one in two: it can be decoded as before."""
    _spoil(message, random)
    return bytes(message.SerializeToString())


def _spoil(message: Message, random: Random) -> None:
    for field, value in message.ListFields():
        if isinstance(value, Message):
            _spoil(value, random)
        elif isinstance(value, bytes) and random.random() < 0.5:
            setattr(message, field.name, mutate(value, [], random))
        elif isinstance(value, str) and random.random() < 0.5:
            setattr(message, field.name, mutate(value.encode(), [], random).decode(errors="replace"))
        elif field.type == field.TYPE_MESSAGE:
            for item in value:
                _spoil(item, random)


def _change(data: bytearray, others: Sequence[bytes], random: Random) -> None:
    start = random.randint(0, len(data))
    end = min(len(data), start + random.choice((0, 1, 1, 2, 4, 8, 32, len(data))))
    match random.randrange(7):
        case 0 if data:
            data[min(start, len(data) - 1)] ^= random.randint(1, 255)
        case 1:
            data[start:end] = random.choice(EXTREMES)
        case 2:
            del data[start:end]
        case 3:
            data[start:start] = data[start:end] * random.choice((1, 2, 50))
        case 4:
            data[start:end] = random.randbytes(random.choice((1, 2, 4, 8)))
        case 5:
            other = random.choice(others) if others else b""
            first = random.randint(0, len(other))
            data[start:end] = other[first : first + random.choice((1, 4, 32, 500))]
        case _:
            del data[start:]
