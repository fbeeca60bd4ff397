"""How the protocol's small documents lie in bytes: one declared layout each, and one byte string per value.

    number      8 bytes, little-endian
    octets      exactly the declared number of bytes
    text        len16 ‖ UTF-8, not empty
    blob        len32 ‖ bytes
    names       len16 ‖ texts
    table       len16 ‖ names in ascending order, each a text followed by its entry
    optional    0, or 1 ‖ the value

A document starts with four bytes that name it. ``decode`` accepts only what ``encode`` would have made, and raises
nothing but SumError. Binary rather than JSON, since a round's small messages must stay small beside the vector.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, Protocol, TypeVar

from consortia_crypto.errors import SumError

MAX_ENTRIES = 50
MAX_TEXT = 1000
_Document = TypeVar("_Document")


class Reader:
    """Takes bytes from the front of a document that came from outside."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes. Raises SumError if there are fewer."""
        taken = self._data[self._at : self._at + count]
        if len(taken) != count:
            raise unreadable("it is cut short")
        self._at += count
        return taken

    def number(self, width: int) -> int:
        """The next ``width`` bytes as a number."""
        return int.from_bytes(self.take(width), "little")

    def end(self) -> None:
        """Return if nothing is left; else raise SumError."""
        if self._at != len(self._data):
            raise unreadable("something follows its end")


class Part(Protocol):
    """How one field lies in bytes."""

    def write(self, value: Any) -> bytes:
        """The bytes of ``value``. Raises SumError for a value that the part can't hold."""

    def read(self, reader: Reader) -> Any:
        """The value at the front of ``reader``. Raises SumError."""


@dataclass(frozen=True)
class Number:
    """An integer from 0 to ``below`` − 1."""

    below: int = 2**64

    def write(self, value: Any) -> bytes:
        """See Part."""
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < self.below:
            raise unreadable("a number is out of range")
        return value.to_bytes(8, "little")

    def read(self, reader: Reader) -> int:
        """See Part."""
        value = reader.number(8)
        if value >= self.below:
            raise unreadable("a number is out of range")
        return value


@dataclass(frozen=True)
class Octets:
    """Exactly ``length`` bytes."""

    length: int

    def write(self, value: Any) -> bytes:
        """See Part."""
        if not isinstance(value, bytes) or len(value) != self.length:
            raise unreadable(f"a field does not have {self.length} bytes")
        return value

    def read(self, reader: Reader) -> bytes:
        """See Part."""
        return reader.take(self.length)


@dataclass(frozen=True)
class Text:
    """Text of 1 to MAX_TEXT bytes."""

    def write(self, value: Any) -> bytes:
        """See Part."""
        try:
            data: bytes = value.encode()
        except (AttributeError, UnicodeEncodeError) as error:
            raise unreadable("a name is not text") from error
        if not 1 <= len(data) <= MAX_TEXT:
            raise unreadable("a name is empty or too long")
        return len(data).to_bytes(2, "little") + data

    def read(self, reader: Reader) -> str:
        """See Part."""
        length = reader.number(2)
        if not 1 <= length <= MAX_TEXT:
            raise unreadable("a name is empty or too long")
        try:
            return reader.take(length).decode()
        except UnicodeDecodeError as error:
            raise unreadable("a name is not text") from error


@dataclass(frozen=True)
class Blob:
    """Up to ``most`` bytes."""

    most: int

    def write(self, value: Any) -> bytes:
        """See Part."""
        if not isinstance(value, bytes) or len(value) > self.most:
            raise unreadable(f"a field has more than {self.most} bytes")
        return len(value).to_bytes(4, "little") + value

    def read(self, reader: Reader) -> bytes:
        """See Part."""
        length = reader.number(4)
        if length > self.most:
            raise unreadable(f"a field has more than {self.most} bytes")
        return reader.take(length)


@dataclass(frozen=True)
class Table:
    """Up to MAX_ENTRIES entries under as many names."""

    entry: Part

    def write(self, value: Any) -> bytes:
        """See Part."""
        if not isinstance(value, Mapping) or len(value) > MAX_ENTRIES:
            raise unreadable("a table has too many entries")
        rows = (Text().write(name) + self.entry.write(value[name]) for name in sorted(value))
        return len(value).to_bytes(2, "little") + b"".join(rows)

    def read(self, reader: Reader) -> dict[str, Any]:
        """See Part."""
        count = reader.number(2)
        if count > MAX_ENTRIES:
            raise unreadable("a table has too many entries")
        rows = [(Text().read(reader), self.entry.read(reader)) for _ in range(count)]
        names = [name for name, _ in rows]
        if any(one >= other for one, other in pairwise(names)):
            raise unreadable("a table's names are not in ascending order")
        return dict(rows)


@dataclass(frozen=True)
class Names:
    """Up to MAX_ENTRIES texts, in the order that they have."""

    def write(self, value: Any) -> bytes:
        """See Part."""
        if len(value) > MAX_ENTRIES:
            raise unreadable("a list has too many names")
        return len(value).to_bytes(2, "little") + b"".join(Text().write(name) for name in value)

    def read(self, reader: Reader) -> tuple[str, ...]:
        """See Part."""
        count = reader.number(2)
        if count > MAX_ENTRIES:
            raise unreadable("a list has too many names")
        return tuple(Text().read(reader) for _ in range(count))


@dataclass(frozen=True)
class Nested:
    """A document of its own, of the class ``kind`` with its ``parts``."""

    kind: type[Any]
    parts: Sequence[Part]

    def write(self, value: Any) -> bytes:
        """See Part."""
        if not isinstance(value, self.kind):
            raise unreadable("a field holds another kind of document")
        return _fields(value, self.parts)

    def read(self, reader: Reader) -> Any:
        """See Part."""
        return self.kind(*(part.read(reader) for part in self.parts))


@dataclass(frozen=True)
class Optional:
    """Nothing, or what ``part`` holds."""

    part: Part

    def write(self, value: Any) -> bytes:
        """See Part."""
        return b"\0" if value is None else b"\1" + self.part.write(value)

    def read(self, reader: Reader) -> Any:
        """See Part."""
        match reader.take(1):
            case b"\0":
                return None
            case b"\1":
                return self.part.read(reader)
            case _:
                raise unreadable("a field is neither there nor absent")


def encode(magic: bytes, parts: Sequence[Part], document: Any) -> bytes:
    """The bytes of a dataclass whose fields, in order, are laid out as ``parts``. Raises SumError."""
    return magic + _fields(document, parts)


def decode(magic: bytes, parts: Sequence[Part], kind: type[_Document], data: bytes) -> _Document:
    """The inverse of ``encode``. Raises SumError."""
    if not isinstance(data, bytes):
        raise unreadable("it is not bytes")
    reader = Reader(data)
    if reader.take(len(magic)) != magic:
        raise unreadable("it is another kind of document")
    document = kind(*(part.read(reader) for part in parts))
    reader.end()
    return document


def unreadable(why: str) -> SumError:
    """What is raised for bytes or values that have no place in a layout."""
    return SumError(
        f"a message of a sealed sum was not understood: {why}",
        blame="whoever sent it",
        remedy="both ends must run compatible versions of Consortia",
    )


def _fields(document: Any, parts: Sequence[Part]) -> bytes:
    names = [item.name for item in fields(document)]
    return b"".join(part.write(getattr(document, name)) for name, part in zip(names, parts, strict=True))
