"""PURE: the content of tasks and replies as plain values, and its encoding on the wire.

Content is Flower's three records (arrays, config, metrics) without Flower, so that job kinds never import it.
Bytes from a peer become either a Content whose every array has a known type and the size it claims, or an
ExchangeError; nothing else can come of them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from consortia_common.errors import ExchangeError
from consortia_proto.v1 import content_pb2 as pb

Values = Mapping[str, Any]
"""bool, int, float, str, bytes, or a list of one of the last four."""

DTYPES = ("float32", "float64", "int32", "int64", "uint8")
MAX_ARRAYS = 65_536
MAX_FIELDS = 4_096
MAX_DIMENSIONS = 8
MAX_EXTENT = 1 << 40
"""Bytes that an array's dimensions may span, those of no length counted as one."""
_LISTS: dict[type, tuple[str, type]] = {
    str: ("texts", pb.Texts),
    int: ("integers", pb.Integers),
    float: ("reals", pb.Reals),
    bytes: ("blobs", pb.Blobs),
}
_NUMBERS = frozenset({"integer", "real", "integers", "reals"})
_SCALARS: dict[type, str] = {bool: "flag", int: "integer", float: "real", str: "text", bytes: "blob"}


@dataclass(frozen=True)
class Content:
    """``arrays`` by name in order, ``config`` for settings and blobs, ``metrics`` for numbers."""

    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    config: Values = field(default_factory=dict)
    metrics: Values = field(default_factory=dict)

    def to_proto(self) -> pb.Content:
        """The wire form. Raises ExchangeError for what has none."""
        try:
            return pb.Content(
                arrays=[_array_to_proto(name, array) for name, array in self.arrays.items()],
                config={name: _value_to_proto(name, value) for name, value in self.config.items()},
                metrics={name: _value_to_proto(name, value) for name, value in self.metrics.items()},
            )
        except (
            TypeError,
            ValueError,
        ) as error:  # 65 bits, half a character, a name of no text
            raise _refused("a name or value in it does not travel", "this process") from error

    def to_bytes(self) -> bytes:
        """The wire form, serialised. Raises ExchangeError for what has none."""
        return self.to_proto().SerializeToString(deterministic=True)

    @classmethod
    def from_bytes(cls, data: bytes, sender: str) -> "Content":
        """The inverse of ``to_bytes``. Raises ExchangeError."""
        try:
            message = pb.Content.FromString(data)
        except DecodeError as error:
            raise _refused("it can't be decoded", sender) from error
        return cls.from_proto(message, sender)

    @classmethod
    def from_proto(cls, message: pb.Content, sender: str) -> "Content":
        """The content of a message from ``sender``, copied and checked. Raises ExchangeError."""
        if len(message.arrays) > MAX_ARRAYS or len(message.config) + len(message.metrics) > MAX_FIELDS:
            raise _refused("it has too many arrays or fields", sender)
        arrays = {array.name: _array_from_proto(array, sender) for array in message.arrays}
        if len(arrays) != len(message.arrays):
            raise _refused("two arrays have one name", sender)
        return cls(
            arrays,
            {name: _value_from_proto(value, sender) for name, value in message.config.items()},
            {name: _number_from_proto(value, sender) for name, value in message.metrics.items()},
        )


def _array_to_proto(name: str, array: NDArray[Any]) -> pb.Array:
    if array.dtype.name not in DTYPES or array.ndim > MAX_DIMENSIONS:
        shape = f"type {array.dtype.name} and {array.ndim} dimensions"
        raise _refused(f"array {name} has {shape}, which does not travel", "this process")
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return pb.Array(name=name, dtype=array.dtype.name, shape=list(array.shape), data=little.tobytes())


def _array_from_proto(message: pb.Array, sender: str) -> NDArray[Any]:
    if message.dtype not in DTYPES:
        raise _refused(f"an array has the unknown type {message.dtype[:20]!r}", sender)
    if len(message.shape) > MAX_DIMENSIONS:
        raise _refused(f"an array has more than {MAX_DIMENSIONS} dimensions", sender)
    dtype = np.dtype(message.dtype).newbyteorder("<")
    extent = math.prod(max(size, 1) for size in message.shape) * dtype.itemsize
    if extent > MAX_EXTENT or math.prod(message.shape) * dtype.itemsize != len(message.data):
        raise _refused("an array's bytes do not match its shape", sender)
    return np.frombuffer(message.data, dtype).reshape(tuple(message.shape)).astype(dtype.newbyteorder("="))


def _value_to_proto(name: str, value: Any) -> pb.Value:
    if type(value) in _SCALARS:
        return pb.Value(**{_SCALARS[type(value)]: value})
    kinds = {type(item) for item in value} or {bytes} if isinstance(value, list) else set()
    if len(kinds) == 1 and kinds <= _LISTS.keys():
        field_name, wrapper = _LISTS[kinds.pop()]
        return pb.Value(**{field_name: wrapper(items=value)})
    raise _refused(f"field {name} has type {type(value).__name__}, which does not travel", "this process")


def _value_from_proto(message: pb.Value, sender: str) -> Any:
    kind = message.WhichOneof("kind")
    if kind is None:
        raise _refused("a field has no value", sender)
    value = getattr(message, kind)
    return list(value.items) if hasattr(value, "items") else value


def _number_from_proto(message: pb.Value, sender: str) -> Any:
    if message.WhichOneof("kind") not in _NUMBERS:
        raise _refused("a metric is no number", sender)
    return _value_from_proto(message, sender)


def _refused(why: str, sender: str) -> ExchangeError:
    return ExchangeError(
        f"a message was refused: {why}",
        blame=sender,
        remedy="both ends must run compatible versions of Consortia; if they do, report it to the sender",
    )
