"""PURE: the exchange's framing: messages cut into chunks, chunks put together, and the order of frames.

A message is any run of 1 to ``limit`` bytes under an id. It travels as chunks of at most 1 MiB in order of their
offsets; the first one also carries the SHA-256 of the whole. Chunks of a few messages may be interleaved. Memory
follows what has arrived, never what a peer announces, and never passes the limit. Everything that a peer does
against proto/consortia_proto/v1/exchange.proto raises ExchangeError, which names that peer; nothing else is raised.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from consortia_common.errors import BrokenRuleError, ExchangeError
from consortia_proto.v1 import exchange_pb2 as pb

VERSION = 1
CHUNK_BYTES = 1 << 20
MESSAGE_LIMIT = 256 << 20
"""Default for the largest message, and for all unfinished messages of one peer together."""
OPEN_MESSAGES = 4
"""How many messages of one peer may be unfinished at a time."""
MAX_TEXT = 200

_MESSAGE_ID = re.compile(r"[!-~]{1,160}")
_ILLEGIBLE = re.compile(r"[^ -~]")


@dataclass(frozen=True)
class Message:
    """A whole message, its hash checked."""

    message_id: str
    data: bytes


Event = Message | pb.Hello | pb.Ack | pb.Heartbeat | pb.Bye
"""What a frame can mean once it is understood."""


def chunks(message_id: str, data: bytes) -> Iterator[pb.Chunk]:
    """Cut a message, 1 byte long at least."""
    for offset in range(0, len(data), CHUNK_BYTES):
        yield pb.Chunk(
            message_id=message_id,
            total=len(data),
            offset=offset,
            data=data[offset : offset + CHUNK_BYTES],
            sha256=b"" if offset else hashlib.sha256(data).digest(),
        )


def check_size(data: bytes, limit: int, blame: str) -> None:
    """Return if a message of this size may be sent. Raises ExchangeError, so that no peer has to."""
    if len(data) > limit:
        raise ExchangeError(
            f"a message of {len(data)} bytes was not sent: the exchange carries at most {limit}",
            blame=blame,
            remedy="make the job smaller: fewer rows, columns or parameters at a time",
        )


def legible(text: str) -> str:
    """A peer's words, shortened and in printable ASCII: fit for a log or a terminal."""
    return _ILLEGIBLE.sub("?", text[:MAX_TEXT])


@dataclass
class _Unfinished:
    total: int
    sha256: bytes
    data: bytearray = field(default_factory=bytearray)
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)


class Assembler:
    """Puts one peer's chunks together."""

    def __init__(self, peer: str, limit: int = MESSAGE_LIMIT) -> None:
        self._peer = peer
        self._limit = limit
        self._open: dict[str, _Unfinished] = {}

    def add(self, chunk: pb.Chunk) -> Message | None:
        """The message that ``chunk`` completes, if it does. Raises ExchangeError."""
        if not 0 < len(chunk.data) <= CHUNK_BYTES:
            self._refuse(f"a chunk is empty or longer than {CHUNK_BYTES} bytes")
        message = self._open.get(chunk.message_id) or self._begin(chunk)
        if chunk.total != message.total or chunk.offset != len(message.data):
            self._refuse("a chunk does not continue its message")
        if chunk.offset and chunk.sha256:
            self._refuse("a later chunk carries a hash")
        if chunk.offset + len(chunk.data) > message.total:
            self._refuse("a message is longer than was announced")
        message.data += chunk.data
        message.digest.update(chunk.data)
        return self._finish(chunk.message_id, message) if len(message.data) == message.total else None

    def _begin(self, chunk: pb.Chunk) -> _Unfinished:
        if not _MESSAGE_ID.fullmatch(chunk.message_id):
            self._refuse("a message's id is empty, too long or not printable")
        if chunk.offset or len(chunk.sha256) != hashlib.sha256().digest_size:
            self._refuse("a message does not begin with its first chunk and its hash")
        if len(self._open) >= OPEN_MESSAGES:
            self._refuse(f"more than {OPEN_MESSAGES} messages are unfinished at a time")
        if chunk.total + sum(message.total for message in self._open.values()) > self._limit:
            self._refuse(f"its unfinished messages are longer than {self._limit} bytes")
        return self._open.setdefault(chunk.message_id, _Unfinished(chunk.total, chunk.sha256))

    def _finish(self, message_id: str, message: _Unfinished) -> Message:
        del self._open[message_id]
        if message.digest.digest() != message.sha256:
            self._refuse("a message does not match its hash")
        return Message(message_id, bytes(message.data))

    def _refuse(self, why: str) -> NoReturn:
        raise refusal(why, self._peer)


class Receiver:
    """The order of one peer's frames: Hello once and first, then anything, nothing after Bye."""

    def __init__(self, peer: str, network: str, limit: int = MESSAGE_LIMIT) -> None:
        self._peer = peer
        self._network = network
        self._assembler = Assembler(peer, limit)
        self._greeted = False
        self._over = False

    def receive(self, frame: pb.Frame) -> Event | None:
        """What ``frame`` means; None for a chunk that completes nothing. Raises ExchangeError."""
        kind = frame.WhichOneof("body")
        if self._over:
            raise refusal("a frame came after the Bye", self._peer)
        if (kind == "hello") == self._greeted:
            raise refusal("the first frame, and only the first, must be a Hello", self._peer)
        match kind:
            case "hello":
                return self._greet(frame.hello)
            case "chunk":
                return self._assembler.add(frame.chunk)
            case "ack":
                return frame.ack
            case "heartbeat":
                return frame.heartbeat
            case "bye":
                self._over = True
                return frame.bye
        raise refusal("a frame is of no known kind", self._peer)

    def _greet(self, hello: pb.Hello) -> pb.Hello:
        if hello.version != VERSION:
            raise refusal(f"it speaks version {hello.version} of the exchange, not {VERSION}", self._peer)
        if hello.network != self._network:
            raise refusal("it belongs to another network", self._peer)
        self._greeted = True
        return hello


def refusal(why: str, peer: str) -> BrokenRuleError:
    """The error for a ``peer`` that broke the rules of the exchange."""
    return BrokenRuleError(
        f"what {peer} sent was refused: {why}",
        blame=peer,
        remedy="both ends must run compatible versions of Consortia; if they do, report it to that institution",
    )
