"""Canonical JSON: one value, one byte string; what is signed and hashed everywhere.

RFC 8785 restricted to what Consortia needs: objects with ASCII keys, arrays, UTF-8 strings, integers within
±(2^53 − 1), booleans and null. Floats are refused (amounts travel as integers in micro-units), so no two
implementations can disagree about a number. ``decode`` accepts only bytes that ``encode`` would have made.
"""

import hashlib
import json
from typing import Any

from consortia_crypto.errors import EncodingError

MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 32


def encode(value: Any) -> bytes:
    """The canonical bytes of ``value``. Raises EncodingError for anything outside the subset."""
    _check(value, 0)
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def decode(data: bytes) -> Any:
    """The value whose canonical bytes are exactly ``data``. Raises EncodingError otherwise."""
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _refused("the bytes are not UTF-8 JSON") from error
    if encode(value) != data:
        raise _refused("the JSON is not in canonical form")
    return value


def digest(value: Any) -> str:
    """SHA-256 of the canonical bytes of ``value``, as 64 hexadecimal digits."""
    return hashlib.sha256(encode(value)).hexdigest()


def _check(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _refused(f"nested deeper than {MAX_DEPTH} levels")
    match value:
        case None | bool():
            return
        case int() if abs(value) <= MAX_INTEGER:
            return
        case int():
            raise _refused("an integer is outside ±(2^53 − 1)")
        case str():
            _check_text(value)
        case list() | tuple():
            for item in value:
                _check(item, depth + 1)
        case dict():
            _check_object(value, depth)
        case _:
            raise _refused(f"a {type(value).__name__} has no canonical form")


def _check_object(value: dict[Any, Any], depth: int) -> None:
    for key, item in value.items():
        if not isinstance(key, str) or not key.isascii():
            raise _refused("an object key is not an ASCII string")
        _check(item, depth + 1)


def _check_text(value: str) -> None:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _refused("a string holds a lone surrogate") from error


def _refused(why: str) -> EncodingError:
    return EncodingError(
        f"not canonical JSON: {why}",
        blame="whoever made these bytes",
        remedy="encode the document with Consortia's own tools and do not edit it afterwards",
    )
