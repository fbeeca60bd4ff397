"""Serialised TenSEAL contexts: read field by field, compared with what the named set must give, then loaded.

    context = params ‖ {public key, scale} ‖ [{secret key}]          (protobuf; nothing else, in this order)

Only the keys may differ between two contexts of one set, so the check takes the keys out, writes the context that
must hold them, and compares bytes. A secret key where a public context belongs is a PrivateKeyMaterialError, of
whatever set it is; the side that loads secrets is he/secret.py.
"""

import struct
from typing import Any

import tenseal as ts

from consortia_crypto.errors import PrivateKeyMaterialError
from consortia_crypto.he.params import ParameterSet
from consortia_crypto.he.wire import check_key, chunk, refused, translated

_PARAMS, _PUBLIC, PRIVATE = 1, 2, 3
KEY = 1
_MAX_FIELDS = 8
_BYTES, _INTEGER, _DOUBLE = 2, 0, 1


def load_public(params: ParameterSet, data: bytes, owner: str) -> Any:
    """The TenSEAL context in ``data``, public and of ``params``. Raises CiphertextError."""
    fields = fields_of(data, owner)
    if PRIVATE in fields:
        raise PrivateKeyMaterialError(
            "a context came with its secret key and was not loaded",
            blame=owner,
            remedy="send the public part; treat this key as exposed and agree on a new one",
        )
    public_key = public_key_in(params, fields, owner)
    if encoded(params, public_key) != data:
        raise refused(f"a context is not exactly that of {params.name}", owner)
    context = load(data, owner)
    if context.is_private():
        raise refused("a context without a secret key turned out to hold one", owner)
    return context


def public_key_in(params: ParameterSet, fields: dict[int, bytes], owner: str) -> bytes:
    """The public key of a context's fields, its headers checked. Raises CiphertextError."""
    public_key = fields_of(fields.get(_PUBLIC, b""), owner).get(KEY, b"")
    check_key(public_key, 97 + 16 * params.degree * len(params.modulus_bits), owner)
    return public_key


def encoded(params: ParameterSet, public_key: bytes, secret_key: bytes | None = None) -> bytes:
    """The only context of ``params`` that holds these keys, as TenSEAL writes it."""
    scale = params.scale if params.scheme == "ckks" else -1.0  # TenSEAL's word for "none"
    public = chunk(KEY, public_key) + b"\x19" + struct.pack("<d", scale)
    private = b"" if secret_key is None else chunk(PRIVATE, chunk(KEY, secret_key))
    return chunk(_PARAMS, params.encoded) + chunk(_PUBLIC, public) + private


def load(data: bytes, owner: str) -> Any:
    """The TenSEAL context in checked ``data``, without a thread pool. Raises CiphertextError."""
    with translated("reading a context", owner):
        return ts.context_from(data, 1)


def fields_of(data: bytes, owner: str) -> dict[int, bytes]:
    """The fields of a protobuf message, by number; of a repeated one the last, as protobuf itself takes it."""
    if not isinstance(data, bytes):
        raise refused("a context is not bytes", owner)
    fields: dict[int, bytes] = {}
    position = 0
    for _ in range(_MAX_FIELDS):
        if position == len(data):
            return fields
        number, value, position = _field(data, position, owner)
        fields[number] = value
    raise refused("a context has more fields than any context has", owner)


def _field(data: bytes, position: int, owner: str) -> tuple[int, bytes, int]:
    tag, position = _varint(data, position, owner)
    kind = tag & 7
    if kind == _BYTES:
        length, position = _varint(data, position, owner)
    elif kind == _INTEGER:
        _, end = _varint(data, position, owner)
        length = end - position
    elif kind == _DOUBLE:
        length = 8
    else:
        raise refused("a context holds a field of unknown type", owner)
    if position + length > len(data):
        raise refused("a context is cut short", owner)
    return tag >> 3, data[position : position + length], position + length


def _varint(data: bytes, position: int, owner: str) -> tuple[int, int]:
    number = 0
    for shift in range(0, 35, 7):
        if position >= len(data):
            raise refused("a context is cut short", owner)
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
    raise refused("a context holds an integer that is too long", owner)
