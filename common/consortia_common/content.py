"""PURE: the content of tasks and replies as plain values, and its encoding on the wire.

Content is Flower's three records (arrays, config, metrics) without Flower, so that job kinds never import it.
Long arrays and blobs may travel beside the message, in its body, and are not copied by every layer. Arrays that
came can't be written to: they are the bytes that came.
Bytes from a peer become either a Content whose every array has a known type and the size it claims, or an
ExchangeError; nothing else can come of them, and never more bytes than came.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import is_
from typing import Any, Protocol

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
SPAN_BYTES = 64 << 10
"""Arrays and blobs from this length on go into the body, where there is one."""
Octets = bytes | memoryview
"""One of them; of an array it is the array's own memory, which is not to change before it is written."""
_LISTS: dict[type, tuple[str, type]] = {
    str: ("texts", pb.Texts),
    int: ("integers", pb.Integers),
    float: ("reals", pb.Reals),
    bytes: ("blobs", pb.Blobs),
}
_NUMBERS = frozenset({"integer", "real", "integers", "reals"})
_SCALARS: dict[type, str] = {bool: "flag", int: "integer", float: "real", str: "text", bytes: "blob"}


class HashedBlobs(list[bytes]):
    """Blobs whose bytes, one after the other, have the SHA-256 ``digest``, in hexadecimal.

    Whoever makes one vouches for that. If nothing else is in a message's body, neither end hashes them again.
    """

    def __init__(self, blobs: Iterable[bytes], digest: str) -> None:
        super().__init__(blobs)
        self.digest = digest


class Body(Protocol):
    """What goes with a message, and is read from where it is kept."""

    @property
    def size(self) -> int:
        """How many bytes there are."""

    @property
    def digest(self) -> str:
        """SHA-256 of all of it, in hexadecimal; empty if it is not known."""

    def read(self, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset`` on, both within ``size``."""


@dataclass(frozen=True)
class Bytes:
    """A body in memory."""

    data: bytes = field(default=b"", repr=False)
    digest: str = ""

    @property
    def size(self) -> int:
        """See Body."""
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        """See Body."""
        return self.data[offset : offset + length]


@dataclass(frozen=True)
class Content:
    """``arrays`` by name in order, ``config`` for settings and blobs, ``metrics`` for numbers."""

    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    config: Values = field(default_factory=dict)
    metrics: Values = field(default_factory=dict)

    def to_proto(self, beside: "Beside | None" = None) -> pb.Content:
        """The wire form; what is long is put ``beside`` it, if that may be. Raises ExchangeError."""
        try:
            return pb.Content(
                arrays=[_array_to_proto(name, array, beside) for name, array in self.arrays.items()],
                config={name: _value_to_proto(name, value, beside) for name, value in self.config.items()},
                metrics={name: _value_to_proto(name, value, beside) for name, value in self.metrics.items()},
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
    def from_proto(cls, message: pb.Content, sender: str, body: Body = Bytes()) -> "Content":
        """The content of a message from ``sender``, checked. Raises ExchangeError."""
        tail = _Tail(body, sender)
        if len(message.arrays) > MAX_ARRAYS or len(message.config) + len(message.metrics) > MAX_FIELDS:
            raise _refused("it has too many arrays or fields", sender)
        arrays = {array.name: _array_from_proto(array, tail) for array in message.arrays}
        if len(arrays) != len(message.arrays):
            raise _refused("two arrays have one name", sender)
        return cls(
            arrays,
            {name: _value_from_proto(value, tail) for name, value in message.config.items()},
            {name: _number_from_proto(value, tail) for name, value in message.metrics.items()},
        )


class Beside:
    """The body of a message that is being made: what is long in it."""

    def __init__(self) -> None:
        self.parts: list[Octets] = []
        self.size = 0
        self.digest = ""
        """SHA-256 of all of it, in hexadecimal; empty if it is not known."""

    def is_same(self, other: "Beside") -> bool:
        """Whether both are made of the very same values, in the same order."""
        return len(self.parts) == len(other.parts) and all(map(is_, self.parts, other.parts))

    def put(self, data: Octets) -> pb.Span:
        """Where it is now."""
        self.digest = ""
        self.parts.append(data)
        self.size += len(data)
        return pb.Span(offset=self.size - len(data), length=len(data))

    def put_all(self, blobs: list[bytes]) -> pb.Spans:
        """Where each is now."""
        alone = not self.parts
        spans = pb.Spans(items=map(self.put, blobs))
        self.digest = blobs.digest if alone and isinstance(blobs, HashedBlobs) else ""
        return spans


class _Tail:
    """Reads what is beside a message, no more of it than there is."""

    def __init__(self, body: Body, sender: str) -> None:
        self._body = body
        self._left = body.size
        self.sender = sender

    def read_all(self, spans: Sequence[pb.Span]) -> list[bytes]:
        """The bytes of each, with their digest if they are the whole body in its order. Raises ExchangeError."""
        blobs, end = [self.read(span) for span in spans], 0
        for span in spans:
            end = end + span.length if span.offset == end else -1
        return HashedBlobs(blobs, self._body.digest) if end == self._body.size and self._body.digest else blobs

    def read(self, span: pb.Span) -> bytes:
        """The bytes of ``span``. Raises ExchangeError for those that are not there, or were read before."""
        if span.offset + span.length > self._body.size or span.length > self._left:
            raise _refused("a value points behind its end", self.sender)
        self._left -= span.length
        return self._body.read(span.offset, span.length)


def _array_to_proto(name: str, array: NDArray[Any], beside: Beside | None) -> pb.Array:
    if array.dtype.name not in DTYPES or array.ndim > MAX_DIMENSIONS:
        shape = f"type {array.dtype.name} and {array.ndim} dimensions"
        raise _refused(f"array {name} has {shape}, which does not travel", "this process")
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    made = pb.Array(name=name, dtype=array.dtype.name, shape=list(array.shape))
    if beside is not None and little.nbytes >= SPAN_BYTES:
        made.span.CopyFrom(beside.put(little.reshape(-1).view(np.uint8).data))
    else:
        made.data = little.tobytes()
    return made


def _array_from_proto(message: pb.Array, tail: _Tail) -> NDArray[Any]:
    sender = tail.sender
    if message.dtype not in DTYPES:
        raise _refused(f"an array has the unknown type {message.dtype[:20]!r}", sender)
    if len(message.shape) > MAX_DIMENSIONS:
        raise _refused(f"an array has more than {MAX_DIMENSIONS} dimensions", sender)
    dtype = np.dtype(message.dtype).newbyteorder("<")
    extent = math.prod(max(size, 1) for size in message.shape) * dtype.itemsize
    data = tail.read(message.span) if message.HasField("span") else message.data
    if extent > MAX_EXTENT or math.prod(message.shape) * dtype.itemsize != len(data):
        raise _refused("an array's bytes do not match its shape", sender)
    found = np.frombuffer(data, dtype).reshape(tuple(message.shape))
    return found.astype(dtype.newbyteorder("="), copy=False)


def _value_to_proto(name: str, value: Any, beside: Beside | None) -> pb.Value:
    if beside is not None and type(value) is bytes and len(value) >= SPAN_BYTES:
        return pb.Value(span=beside.put(value))
    if type(value) in _SCALARS:
        return pb.Value(**{_SCALARS[type(value)]: value})
    kinds = {type(item) for item in value} or {bytes} if isinstance(value, list) else set()
    if len(kinds) == 1 and kinds <= _LISTS.keys():
        if beside is not None and kinds == {bytes} and sum(map(len, value)) >= SPAN_BYTES:
            return pb.Value(spans=beside.put_all(value))
        field_name, wrapper = _LISTS[kinds.pop()]
        return pb.Value(**{field_name: wrapper(items=value)})
    raise _refused(f"field {name} has type {type(value).__name__}, which does not travel", "this process")


def _value_from_proto(message: pb.Value, tail: _Tail) -> Any:
    kind = message.WhichOneof("kind")
    if kind is None:
        raise _refused("a field has no value", tail.sender)
    value = getattr(message, kind)
    if kind == "span":
        return tail.read(value)
    if kind == "spans":
        return tail.read_all(value.items)
    return list(value.items) if hasattr(value, "items") else value


def _number_from_proto(message: pb.Value, tail: _Tail) -> Any:
    if message.WhichOneof("kind") not in _NUMBERS:
        raise _refused("a metric is no number", tail.sender)
    return _value_from_proto(message, tail)


def _refused(why: str, sender: str) -> ExchangeError:
    return ExchangeError(
        f"a message was refused: {why}",
        blame=sender,
        remedy="both ends must run compatible versions of Consortia; if they do, report it to the sender",
    )
