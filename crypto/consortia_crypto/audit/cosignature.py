"""What exactly is signed under a checkpoint, by kind of key; after C2SP tlog-cosignature.

A plain signature (0x01) is over the checkpoint's text. A cosignature (0x04, 0x06) carries the time at which it
was made, in seconds since 1970, as eight bytes in front of the bare signature. By giving a time, its maker says
that the tree was then the largest that it knew of this log, and that it continues all that it had seen of it.

An Ed25519 cosignature does not name its maker, so a seed must serve one name only. One by ML-DSA-44 names maker and
log, and leaves out extension lines (which ``checkpoint`` refuses anyway).
"""

import struct
from typing import NoReturn

from consortia_crypto.audit.notekeys import SIGNATURE_LENGTHS, KeyKind, VerifierKey
from consortia_crypto.errors import NoteError

MAX_TIMESTAMP = 2**63 - 1
_TIME_LENGTH = 8


def signed_message(key: VerifierKey, timestamp: int, text: str, origin: str, size: int, root: bytes) -> bytes:
    """The bytes that ``key`` signs at ``timestamp`` for a checkpoint of these contents and this text."""
    match key.kind:
        case KeyKind.ED25519:
            return text.encode()
        case KeyKind.ED25519_COSIGNATURE:
            return ed25519_message(text, timestamp)
        case KeyKind.MLDSA44:
            return mldsa44_message(key.name, timestamp, origin, size, root)


def ed25519_message(text: str, timestamp: int) -> bytes:
    """What an Ed25519 cosignature is over."""
    _check_timestamp(timestamp)
    return f"cosignature/v1\ntime {timestamp}\n{text}".encode()


def mldsa44_message(name: str, timestamp: int, origin: str, size: int, root: bytes) -> bytes:
    """What an ML-DSA-44 cosignature by ``name`` is over: the whole tree, so its range starts at leaf 0."""
    _check_timestamp(timestamp)
    return b"".join([
        b"subtree/v1\n\0",
        _short_text(name),
        struct.pack(">Q", timestamp),
        _short_text(origin),
        struct.pack(">QQ", 0, size),
        root,
    ])  # fmt: skip


def pack(key: VerifierKey, timestamp: int, signature: bytes) -> bytes:
    """The value of a signature line: the bare signature, behind its time if its kind has one."""
    if key.kind is KeyKind.ED25519:
        return signature
    return struct.pack(">Q", timestamp) + signature


def unpack(key: VerifierKey, value: bytes) -> tuple[int | None, bytes]:
    """Time (None for a plain signature) and bare signature out of the value of a line. Raises NoteError."""
    timed = key.kind is not KeyKind.ED25519
    if len(value) != SIGNATURE_LENGTHS[key.kind] + (_TIME_LENGTH if timed else 0):
        _refuse("it has the wrong length")
    if not timed:
        return None, value
    timestamp = int.from_bytes(value[:_TIME_LENGTH], "big")
    _check_timestamp(timestamp)
    return timestamp, value[_TIME_LENGTH:]


def _short_text(text: str) -> bytes:
    data = text.encode()
    if not 1 <= len(data) <= 255:
        _refuse("a name in it is empty or longer than 255 bytes")
    return bytes([len(data)]) + data


def _check_timestamp(timestamp: int) -> None:
    if not 0 <= timestamp <= MAX_TIMESTAMP:
        _refuse("its time is impossible")


def _refuse(why: str) -> NoReturn:
    raise NoteError(
        f"a cosignature was refused: {why}",
        blame="whoever made or sent it",
        remedy="ask the witness to sign again",
    )
