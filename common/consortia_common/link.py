"""One live stream of the exchange, the same at both ends: journalled messages out, messages in, signs of life.

Trusted for: a message counts as sent only when the other end has acknowledged it, and is acknowledged only when
``End.received`` has stored it. Each direction carries one message of a job at a time, and pieces of a few jobs'
messages in turn, so that the megabytes of one do not hold up the others; a piece of each is in memory. It waits for
Acks when some messages are under way, and of what comes one piece waits while another one is written to disk. So a
slow peer holds up itself only. A message of which the peer has the beginning goes on from there. A peer that is
silent for three heartbeats is dead. What a link does not do is try again: whoever runs it makes a new one.

That a message was acknowledged is noted with what is stored next, or a little later; until then it counts as under
way. A link that ends before forgets it: the message goes out once more, which changes nothing at its receiver.
Noted after the end, it might hide from a newer stream what a peer that lost its memory has to get again.

The state of a link lives in one event loop; only ``wake`` and ``close`` may be called from other threads.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import grpc
from google.protobuf.message import DecodeError
from grpc.aio import EOF

from consortia_common import rpc
from consortia_common.contents import Message
from consortia_common.errors import ConnectionLostError
from consortia_common.inbox import Inbox
from consortia_common.stream import CHUNK_BYTES, OPEN_MESSAGES, Part, Piece, Receiver, legible, refusal, resume_at
from consortia_crypto.errors import ConsortiaError
from consortia_proto.v1 import exchange_pb2 as pb

MISSED_HEARTBEATS = 3
HELLO_SECONDS = 10.0
"""How long an end waits for the other's Hello."""
GRACE_SECONDS = 2.0
"""How long an end that has said Bye waits for the other to hang up."""
WINDOW = 8
"""How many messages may be on their way or wait for their Acks."""
NOTE_SECONDS = 0.2
"""How long an Ack waits at most to be noted with something else."""
NOTE_AT = WINDOW // 2
"""So many Acks wait for nothing."""
LANES = OPEN_MESSAGES - 1
"""Of how many jobs a message is sent at a time. Those of one job overtake nothing."""


class Wire(Protocol):
    """The stream underneath: a call of grpc.aio at the node, its context at the coordinator."""

    async def read(self) -> Any:
        """The next frame, or EOF."""

    async def write(self, frame: pb.Frame, /) -> None:
        """Send a frame; returns when flow control lets the next one come."""


class End(Protocol):
    """What the two ends do differently. Called in worker threads, so that a commit holds nobody up."""

    def outgoing(self, under_way: Collection[str], busy: Collection[str]) -> Message | None:
        """The oldest message that the other end has not acknowledged, but for those ids and for ``busy`` jobs."""

    def acknowledged(self, messages: Sequence[Message]) -> None:
        """The other end has stored ``messages``."""

    def received(self, message: Message, acknowledged: Sequence[Message]) -> None:
        """Store ``message``, and that the other end has stored those ``acknowledged``; its Ack goes out when this
        returns. A ConsortiaError ends the stream.
        """  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """How a stream came to its orderly end."""

    reason: str
    by_peer: bool


async def read_hello(wire: Wire, receiver: Receiver, peer: str) -> pb.Hello:
    """The Hello that must be the first frame. Raises ExchangeError."""
    hello = receiver.receive(await _next_frame(wire, HELLO_SECONDS, peer))
    if not isinstance(hello, pb.Hello):
        raise refusal("the stream did not begin with a Hello", peer)
    return hello


class Link:
    """A stream whose Hellos have been exchanged; both ends send a heartbeat every ``heartbeat`` seconds.

    ``limit`` is how many bytes of unfinished messages the peer takes; ``kept`` is what it says that it has of them.
    """

    def __init__(
        self,
        wire: Wire,
        receiver: Receiver,
        inbox: Inbox,
        end: End,
        peer: str,
        *,
        heartbeat: float,
        limit: int,
        kept: Mapping[str, Part],
    ) -> None:
        self._wire = wire
        self._receiver = receiver
        self._inbox = inbox
        self._end = end
        self._kept = dict(kept)
        self._peer = peer
        self._heartbeat = heartbeat
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._writing = asyncio.Lock()
        self._said_bye = False
        self._work = asyncio.Event()
        self._under_way: dict[str, Message] = {}
        self._unsent: set[str] = set()
        self._acked: set[str] = set()
        """Those of the messages under way that were acknowledged."""
        self._unnoted: list[Message] = []
        self._acks = asyncio.Event()
        self._unsure = False
        """Whether more may be waiting than the last look could take."""
        self._came: asyncio.Queue[Piece] = asyncio.Queue(maxsize=1)
        self._closing: asyncio.Future[str] = self._loop.create_future()

    def wake(self) -> None:
        """Look for outgoing messages now. From any thread."""
        with suppress(RuntimeError):  # the loop is closed: there is nobody left to wake
            self._loop.call_soon_threadsafe(self._work.set)

    def close(self, reason: str) -> None:
        """Say Bye and end. From any thread; a second call changes nothing."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._ask_to_close, reason)

    async def run(self) -> Ended:
        """Exchange messages until either end says Bye.

        Raises ConnectionLostError, ExchangeError when the peer broke a rule (it is told which), and what ``End``
        raises.
        """
        parts = (self._read(), self._keep(), self._until_closed(), self._send(), self._note_late(), self._beat())
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(part) for part in parts]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return await self._conclude(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(self._inbox.close)

    async def _conclude(self, tasks: list[asyncio.Task[Any]]) -> Ended:
        reader, keeper, *_ = tasks
        try:
            ended: Ended = next(task for task in tasks if task.done()).result()
        except ConnectionLostError:
            await asyncio.wait({reader}, timeout=GRACE_SECONDS)
            if not reader.done():
                raise
            ended = reader.result()  # the reader knows best why the stream broke
        except ConsortiaError as error:
            if keeper.done():
                reader.cancel()  # it would wait for room that nobody makes
            await self._say_bye(error.what, reader)
            raise
        if not ended.by_peer:
            await self._say_bye(ended.reason, reader)
        return ended

    async def _say_bye(self, reason: str, reader: asyncio.Task[Ended]) -> None:
        with suppress(TimeoutError, ConnectionLostError):
            async with asyncio.timeout(GRACE_SECONDS):
                await self._write(pb.Frame(bye=pb.Bye(reason=legible(reason))))
                self._said_bye = True
                await asyncio.wait({reader})

    async def _until_closed(self) -> Ended:
        return Ended(await self._closing, by_peer=False)

    def _ask_to_close(self, reason: str) -> None:
        if not self._closing.done():
            self._closing.set_result(reason)

    async def _read(self) -> Ended:
        silence = self._heartbeat * MISSED_HEARTBEATS
        while True:
            match self._receiver.receive(await _next_frame(self._wire, silence, self._peer)):
                case Piece() as piece:
                    await self._came.put(piece)
                case pb.Ack() as ack:
                    await self._take_ack(ack.message_id)
                case pb.Bye() as bye:
                    await self._came.join()
                    return Ended(legible(bye.reason), by_peer=True)

    async def _keep(self) -> NoReturn:
        """Store what came, piece by piece, while the next one is read."""
        while True:
            piece = await self._came.get()
            acked = self._take_unnoted() if piece.is_last else []
            await asyncio.to_thread(self._store, piece, acked)
            self._let_go(acked)
            if piece.is_last:
                await self._write(pb.Frame(ack=pb.Ack(message_id=piece.message_id)))
            self._came.task_done()

    def _store(self, piece: Piece, acked: list[Message]) -> None:
        message = self._inbox.take(piece)
        if message is not None:
            self._end.received(message, acked)

    async def _take_ack(self, message_id: str) -> None:
        if message_id not in self._under_way or message_id in self._unsent | self._acked:
            raise refusal("an Ack is for no message under way", self._peer)
        self._acked.add(message_id)
        self._unnoted.append(self._under_way[message_id])
        if len(self._unnoted) >= NOTE_AT:
            await self._note()
        self._acks.set()

    async def _note_late(self) -> NoReturn:
        while True:
            await self._acks.wait()
            self._acks.clear()
            await asyncio.sleep(NOTE_SECONDS)
            await self._note()

    async def _note(self) -> None:
        if acked := self._take_unnoted():
            await asyncio.to_thread(self._acknowledge, acked)
            self._let_go(acked)

    def _acknowledge(self, acked: list[Message]) -> None:
        self._inbox.require_newest()
        self._end.acknowledged(acked)

    def _take_unnoted(self) -> list[Message]:
        unnoted, self._unnoted = self._unnoted, []
        return unnoted

    def _let_go(self, acked: list[Message]) -> None:
        if len(self._under_way) >= WINDOW:
            self._work.set()
        for message in acked:
            del self._under_way[message.message_id]
            self._acked.discard(message.message_id)

    async def _send(self) -> NoReturn:
        """Send a piece of each job's oldest message in turn; look for more when there may be more."""
        lanes: dict[str, tuple[str, AsyncIterator[pb.Frame]]] = {}
        self._work.set()
        while True:
            if self._work.is_set() and len(lanes) < LANES and len(self._under_way) < WINDOW:
                self._work.clear()
                message = await self._look(tuple(lanes))
                if message is not None:
                    lanes[message.job_id] = message.message_id, self._pieces(message)
                    continue
            if not lanes:
                if len(self._under_way) >= WINDOW:
                    self._work.clear()  # only an Ack makes room
                await self._work.wait()
            for job_id, (message_id, pieces) in list(lanes.items()):
                await self._write(await anext(pieces))
                if message_id not in self._unsent:
                    del lanes[job_id]
                    if self._unsure:
                        self._work.set()

    async def _look(self, busy: tuple[str, ...]) -> Message | None:
        """The message that is to be sent next, now under way. A look is a question to the database: not one is
        made that can find nothing."""
        message = await asyncio.to_thread(self._end.outgoing, tuple(self._under_way), busy)
        self._unsure = bool(busy)
        if message is None or not self._fits(message):
            return None
        self._under_way[message.message_id] = message
        self._unsent.add(message.message_id)
        if message.others:
            self._work.set()
        return message

    def _fits(self, message: Message) -> bool:
        """Whether the peer may have it unfinished beside those that are being sent."""
        totals = [self._under_way[each].content.total for each in self._unsent]
        return not totals or sum(totals) + message.content.total <= self._limit

    async def _pieces(self, message: Message) -> AsyncIterator[pb.Frame]:
        """A message from where the peer needs it; before the last piece it is taken out of the unsent ones."""
        content = message.content
        first = resume_at(self._kept.pop(message.message_id, None), content.total, content.sha256)
        for offset in range(first, content.total, CHUNK_BYTES):
            data = await asyncio.to_thread(content.piece, offset) if content.path else content.data
            if offset + CHUNK_BYTES >= content.total:
                self._unsent.discard(message.message_id)  # it may be acknowledged before the last write returns
            yield _chunk(message, offset, data, first=offset == first)

    async def _beat(self) -> None:
        for sequence in itertools.count(1):
            await asyncio.sleep(self._heartbeat)
            await self._write(pb.Frame(heartbeat=pb.Heartbeat(sequence=sequence)))

    async def _write(self, frame: pb.Frame) -> None:
        async with self._writing:
            if self._said_bye:
                return
            try:
                await self._wire.write(frame)
            except Exception as error:  # grpc.aio has no one family for a stream that is gone
                raise _lost(f"broke ({type(error).__name__})", self._peer) from error


def _chunk(message: Message, offset: int, data: bytes, *, first: bool) -> pb.Frame:
    """Made where it lies in its frame, since a chunk that is put into one is copied."""
    content, frame = message.content, pb.Frame()
    chunk = frame.chunk
    chunk.message_id, chunk.total, chunk.offset, chunk.data = message.message_id, content.total, offset, data
    if first:
        chunk.sha256, chunk.body = content.sha256, content.body
    return frame


async def _next_frame(wire: Wire, seconds: float, peer: str) -> pb.Frame:
    try:
        async with asyncio.timeout(seconds):
            frame = await wire.read()
    except TimeoutError as error:
        raise _lost("was silent for too long", peer) from error
    except DecodeError as error:
        raise refusal("a frame can't be decoded", peer) from error
    except grpc.aio.AioRpcError as error:
        raise rpc.explain(error, peer) from error
    except Exception as error:
        raise _lost(f"broke ({type(error).__name__})", peer) from error
    if frame is EOF:
        raise _lost("was cut without a Bye", peer)
    if not isinstance(frame, pb.Frame):
        raise refusal("a frame can't be decoded", peer)
    return frame


def _lost(how: str, peer: str) -> ConnectionLostError:
    return ConnectionLostError(
        f"the connection with {peer} {how}",
        blame=f"the network or {peer}",
        remedy="nothing: it is tried again; if that goes on, look whether the other end runs and is reachable",
    )
