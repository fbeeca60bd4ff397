"""PURE: the exchange's framing: which chunk continues which message, and the order of frames.

A message is any run of 1 to ``limit`` bytes under an id. It travels as chunks of at most 1 MiB in order of their
offsets; the first one on a stream also carries the SHA-256 of the whole. Chunks of a few messages may be mixed.
What had come of a message when a stream was cut is gone on with on the next one, if its receiver says so in its
Hello. What may be unfinished is bounded by what is announced, in number and in bytes. Everything that a peer does
against proto/consortia_proto/v1/exchange.proto raises ExchangeError, which names that peer; nothing else is raised.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NoReturn

from consortia_common.errors import BrokenRuleError, ExchangeError
from consortia_proto.v1 import exchange_pb2 as pb

VERSION = 1
CHUNK_BYTES = 1 << 20
MESSAGE_LIMIT = 256 << 20
"""Default for the largest message, and for all unfinished messages of one peer together."""
OPEN_MESSAGES = 4
"""How many messages of one peer may be unfinished at a time, those of its earlier streams included."""
MAX_TEXT = 200

_MESSAGE_ID = re.compile(r"[!-~]{1,160}")
_ILLEGIBLE = re.compile(r"[^ -~]")


@dataclass(frozen=True)
class Part:
    """The first ``have`` bytes of a message that is unfinished: what its receiver has kept."""

    message_id: str
    total: int
    sha256: bytes
    have: int


@dataclass(frozen=True)
class Piece:
    """Bytes of a message that continue what came before."""

    message_id: str
    total: int
    sha256: bytes
    offset: int
    data: bytes = field(repr=False)
    body: int = 0
    """How many first bytes of the message are its body."""
    displaced: tuple[str, ...] = ()
    """Unfinished messages of earlier streams that make room for this one."""

    @property
    def is_last(self) -> bool:
        """Whether the message is whole with it."""
        return self.offset + len(self.data) == self.total


Event = Piece | pb.Hello | pb.Ack | pb.Heartbeat | pb.Bye
"""What a frame can mean once it is understood."""


def resume_at(part: Part | None, total: int, sha256: bytes) -> int:
    """From which byte on to send a message of which the receiver says that it has ``part``."""
    if part is None or (part.total, part.sha256) != (total, sha256):
        return 0
    return part.have


class MessageHash:
    """SHA-256 of a message, of which the first ``body`` bytes are its body, as its bytes come.

    It is over the body's own SHA-256 and what follows it, so that one look at a body gives both.
    """

    def __init__(self, body: int) -> None:
        self._left = body
        self._digest = hashlib.sha256()
        self.body_sha256 = b""
        """Of the body, once it has come; empty if there is none."""

    def update(self, data: bytes | memoryview) -> None:
        """The bytes that come next."""
        if self._left:
            part = memoryview(data)[: self._left]
            self._digest.update(part)
            self._left -= len(part)
            if self._left:
                return
            self.body_sha256, data = self._digest.digest(), memoryview(data)[len(part) :]
            self._digest = hashlib.sha256(self.body_sha256)
        self._digest.update(data)

    def digest(self) -> bytes:
        """Of what has come."""
        return self._digest.digest()


def check_size(size: int, limit: int, blame: str) -> None:
    """Return if a message of ``size`` bytes may be sent. Raises ExchangeError, so that no peer has to."""
    if size > limit:
        raise ExchangeError(
            f"a message of {size} bytes was not sent: the exchange carries at most {limit}",
            blame=blame,
            remedy="make the job smaller: fewer rows, columns or parameters at a time",
        )


def legible(text: str) -> str:
    """A peer's words, shortened and in printable ASCII: fit for a log or a terminal."""
    return _ILLEGIBLE.sub("?", text[:MAX_TEXT])


@dataclass
class _Open:
    total: int
    sha256: bytes
    body: int
    have: int


class Assembler:
    """Checks that one peer's chunks continue their messages.

    ``parts`` are left of its earlier streams, oldest first. Those that this stream goes on with stay, the others
    make room when there is none.
    """

    def __init__(self, peer: str, limit: int = MESSAGE_LIMIT, parts: Iterable[Part] = ()) -> None:
        self._peer = peer
        self._limit = limit
        self._open: dict[str, _Open] = {}
        self._left = {part.message_id: part for part in parts}

    def add(self, chunk: pb.Chunk) -> Piece:
        """What ``chunk`` adds to its message. Raises ExchangeError."""
        data = chunk.data  # each look at a field of bytes copies them
        if not 0 < len(data) <= CHUNK_BYTES:
            self._refuse(f"a chunk is empty or longer than {CHUNK_BYTES} bytes")
        message = self._open.get(chunk.message_id)
        displaced: tuple[str, ...] = ()
        if message is None:
            message, displaced = self._begin(chunk, len(data))
        elif chunk.sha256:
            self._refuse("a later chunk carries a hash")
        if chunk.total != message.total or chunk.offset != message.have:
            self._refuse("a chunk does not continue its message")
        message.have += len(data)
        if message.have > message.total:
            self._refuse("a message is longer than was announced")
        if message.have == message.total:
            del self._open[chunk.message_id]
        return Piece(chunk.message_id, message.total, message.sha256, chunk.offset, data, message.body, displaced)

    def _begin(self, chunk: pb.Chunk, length: int) -> tuple[_Open, tuple[str, ...]]:
        """The message that begins with ``length`` bytes, or is gone on with; the parts that make room for it."""
        if not _MESSAGE_ID.fullmatch(chunk.message_id):
            self._refuse("a message's id is empty, too long or not printable")
        left = self._left.pop(chunk.message_id, None)
        goes_on = left is not None and chunk.offset == resume_at(left, chunk.total, chunk.sha256)
        if (chunk.offset and not goes_on) or len(chunk.sha256) != hashlib.sha256().digest_size:
            self._refuse("a message does not begin with its first chunk and its hash")
        if chunk.body and chunk.body >= chunk.total:
            self._refuse("a message is nothing but a body")
        if len(self._open) >= OPEN_MESSAGES:
            self._refuse(f"more than {OPEN_MESSAGES} messages are unfinished at a time")
        if chunk.total + sum(message.total for message in self._open.values()) > self._limit:
            self._refuse(f"its unfinished messages are longer than {self._limit} bytes")
        message = _Open(chunk.total, chunk.sha256, chunk.body, chunk.offset)
        self._open[chunk.message_id] = message
        anew = (chunk.message_id,) if left is not None and not chunk.offset else ()
        return message, anew + (self._make_room() if length < chunk.total else ())

    def _make_room(self) -> tuple[str, ...]:
        displaced = []
        while self._left and not self._has_room():
            displaced.append(next(iter(self._left)))
            del self._left[displaced[-1]]
        return tuple(displaced)

    def _has_room(self) -> bool:
        totals = [message.total for message in self._open.values()] + [part.total for part in self._left.values()]
        return len(totals) <= OPEN_MESSAGES and sum(totals) <= self._limit

    def _refuse(self, why: str) -> NoReturn:
        raise refusal(why, self._peer)


class Receiver:
    """The order of one peer's frames: Hello once and first, then anything, nothing after Bye."""

    def __init__(self, peer: str, network: str, limit: int = MESSAGE_LIMIT) -> None:
        self._peer = peer
        self._network = network
        self._limit = limit
        self._assembler = Assembler(peer, limit)
        self._greeted = False
        self._over = False

    def go_on_with(self, parts: Iterable[Part]) -> None:
        """What there is of the peer's earlier streams; said before any chunk has come."""
        self._assembler = Assembler(self._peer, self._limit, parts)

    def receive(self, frame: pb.Frame) -> Event:
        """What ``frame`` means. Raises ExchangeError."""
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
        if len(hello.unfinished) > OPEN_MESSAGES or not all(
            0 < each.have < each.total for each in hello.unfinished
        ):
            raise refusal("it has more of unfinished messages than there can be", self._peer)
        self._greeted = True
        return hello


def parts_of(hello: pb.Hello) -> dict[str, Part]:
    """What a peer says that it has of unfinished messages, by their ids."""
    return {each.message_id: Part(each.message_id, each.total, each.sha256, each.have) for each in hello.unfinished}


def told(parts: Iterable[Part]) -> list[pb.Unfinished]:
    """The inverse of ``parts_of``, for our own Hello."""
    return [
        pb.Unfinished(message_id=part.message_id, total=part.total, sha256=part.sha256, have=part.have)
        for part in parts
        if part.have
    ]


def refusal(why: str, peer: str) -> BrokenRuleError:
    """The error for a ``peer`` that broke the rules of the exchange."""
    return BrokenRuleError(
        f"what {peer} sent was refused: {why}",
        blame=peer,
        remedy="both ends must run compatible versions of Consortia; if they do, report it to that institution",
    )
