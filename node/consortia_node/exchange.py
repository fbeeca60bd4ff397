"""The node's end of the exchange: dials out, stays connected, journals tasks and returns their answers.

Trusted for: a task is in the journal before it is acknowledged, and handed to its handler once per start until it
has an answer; what a power cut took of it is asked for by the first Hello after the start, and what is left of it
waits for that Hello too, without which nobody could say what time is left for it. An answer is on disk
before it is sent and is sent until it is acknowledged. A connection that breaks is made anew, with fresh
credentials, after a delay that doubles up to a cap and is spread by chance, for as long as the node runs: being
refused is reported, not final, because the other end's operator may correct it.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc.aio
from google.protobuf.message import DecodeError

from consortia_common import logs, rpc
from consortia_common.contents import Message
from consortia_common.errors import BrokenRuleError
from consortia_common.inbox import Inbox
from consortia_common.link import GRACE_SECONDS, Link, read_hello
from consortia_common.stream import MESSAGE_LIMIT, VERSION, Receiver, parts_of, refusal, told
from consortia_crypto.errors import ConsortiaError
from consortia_node.dispatch import Dispatcher, Handler
from consortia_node.store.tasks import Pending, TaskStore
from consortia_proto.v1 import exchange_pb2 as pb
from consortia_proto.v1.exchange_pb2_grpc import ExchangeStub

COORDINATOR = "the coordinator"
_STOPPING = "the node is stopping"
CONNECTED = "connected"
DISCONNECTED = "disconnected"
STEADY_SECONDS = 5.0
"""A connection that lasted this long was good: the next delay is the shortest again."""
HEARTBEAT_RANGE = 0.05, 300.0
"""Seconds; what a coordinator may ask for."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Backoff:
    """How long to wait before dialling again, in seconds."""

    first: float = 0.5
    most: float = 30.0

    def delay(self, attempt: int, chance: float) -> float:
        """Before the ``attempt``-th try in a row (from 0); ``chance`` in [0, 1) spreads it over its upper half."""
        longest = min(self.first * 2.0 ** min(attempt, 32), self.most)
        return longest * (1 + chance) / 2


@dataclass(frozen=True)
class NodeExchangeSettings:
    """``limit`` is the largest message in bytes, ``queue`` how many tasks may wait for their turn, ``threads`` how
    many jobs have a step under way at a time, ``linger`` how many seconds a stop waits for steps under way.
    """  # fmt: skip

    network: str
    software: str
    limit: int = MESSAGE_LIMIT
    queue: int = 10_000
    threads: int = 4
    linger: float = 5.0
    backoff: Backoff = field(default_factory=Backoff)


def log_state(state: str, reason: str) -> None:
    """The process log's line for a change of state."""
    logs.event(f"exchange.{state}", peer=COORDINATOR, reason=reason)


@dataclass(frozen=True)
class Told:
    """Who is told what, as it comes: each change of state with its reason; why something that the coordinator sent
    was refused, in a worker thread; and at each Hello, before any task, what its clock says in milliseconds.
    """

    state: Callable[[str, str], None] = log_state
    refused: Callable[[str], object] = bool
    clock: Callable[[int], object] = bool


@dataclass(frozen=True)
class _CoordinatorEnd:
    """What the link to the coordinator does with messages: the journal, and the handler behind it."""

    store: TaskStore
    dispatcher: Dispatcher
    queue: int
    wake: Callable[[], None]

    def outgoing(self, under_way: Collection[str], busy: Collection[str]) -> Message | None:
        return self.store.unsent(under_way, busy)

    def acknowledged(self, messages: Sequence[Message]) -> None:
        self.store.delivered(_ids(messages))

    def received(self, message: Message, acknowledged: Sequence[Message]) -> None:
        try:
            task = pb.Task.FromString(message.content.head())
        except DecodeError as error:
            raise self._refused(message, "a task can't be decoded") from error
        if task.task_id != message.message_id:
            raise self._refused(message, "a task came under another task's id")
        if self.dispatcher.waiting >= self.queue:
            raise self._refused(message, f"{self.queue} tasks wait here already, as many as max_queue allows")
        if self.store.receive(task, message.content, _ids(acknowledged)):
            self.dispatcher.submit(Pending(task.task_id, task.job_id))
        else:
            self.wake()  # its answer may have to be sent again

    def _refused(self, message: Message, why: str) -> BrokenRuleError:
        self.store.contents.discard(message.content)
        return refusal(why, COORDINATOR)


def _ids(messages: Sequence[Message]) -> list[str]:
    return [message.message_id for message in messages]


_UNTOLD = Told()


class NodeExchange:
    """Runs in one event loop. ``connect`` makes a channel each time, so that renewed certificates are shown."""

    def __init__(
        self,
        connect: Callable[[], grpc.aio.Channel],
        store: TaskStore,
        on_task: Handler,
        settings: NodeExchangeSettings,
        *,
        told: Told = _UNTOLD,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._connect = connect
        self._store = store
        self._settings = settings
        self._told = told
        self._sleep = sleep
        self._chance = chance
        self._dispatcher = Dispatcher(store, on_task, settings.threads, self._wake)
        self._stopping = asyncio.Event()
        self._link: Link | None = None
        self._state = "", ""
        self._redialling = False
        self._restarted = True
        """Until the coordinator has answered a Hello that says so."""

    @property
    def connected(self) -> bool:
        """Whether there is a live stream now. From any thread."""
        return self._link is not None

    async def run(self) -> None:
        """Stay connected until ``stop``; what was left unanswered is taken up with the first connection."""
        await asyncio.to_thread(self._store.sweep)
        attempt = 0
        while not self._stopping.is_set():
            began = asyncio.get_running_loop().time()
            self._note(DISCONNECTED, await self._attach())
            if self._redialling:
                self._redialling = False
                continue
            lasted = asyncio.get_running_loop().time() - began
            attempt = 0 if lasted >= STEADY_SECONDS else attempt
            await self._unless_stopping(self._pause(attempt))
            attempt += 1
        await asyncio.to_thread(self._dispatcher.close, self._settings.linger)

    def stop(self, reason: str = _STOPPING) -> None:
        """Say Bye and let ``run`` return. Call it in the event loop."""
        self._stopping.set()
        if self._link is not None:
            self._link.close(reason)

    def redial(self, reason: str) -> None:
        """Hand the stream over to a new connection, with the credentials that there are now; nothing is lost.

        From any thread.
        """
        link = self._link
        if link is not None:
            self._redialling = True
            link.close(reason)

    async def _attach(self) -> str:
        """One connection, from dialling to its end; why it ended."""
        try:
            channel = self._connect()
        except ConsortiaError as error:
            return error.what
        call = ExchangeStub(channel).Attach()
        try:
            return await self._listen(call)
        except ConsortiaError as error:
            return error.what
        except Exception as error:  # the journal, say: its disk may have room again at the next try
            logs.failure("exchange.failed", error)
            return "the node met an error that it did not expect"
        finally:
            await _hang_up(call)
            await channel.close()

    async def _listen(self, call: Any) -> str:
        """Converse; what the coordinator sends against the rules is told before the stream ends."""
        try:
            return await self._converse(call)
        except BrokenRuleError as error:
            await asyncio.to_thread(self._told.refused, error.what)
            raise

    async def _converse(self, call: Any) -> str:
        inbox = await asyncio.to_thread(self._store.inbox, COORDINATOR)
        receiver = Receiver(COORDINATOR, self._settings.network, self._settings.limit)
        receiver.go_on_with(inbox.parts)
        hello = await self._unless_stopping(self._greet(call, receiver, inbox), GRACE_SECONDS)
        if hello is None:
            return _STOPPING
        await self._take_up(hello)
        end = _CoordinatorEnd(self._store, self._dispatcher, self._settings.queue, self._wake)
        heartbeat, kept = hello.heartbeat_ms / 1000, parts_of(hello)
        limit = self._settings.limit
        self._link = Link(call, receiver, inbox, end, COORDINATOR, heartbeat=heartbeat, limit=limit, kept=kept)
        if self._stopping.is_set():
            self._link.close(_STOPPING)
        try:
            self._note(CONNECTED, "")
            return (await self._link.run()).reason
        finally:
            self._link = None

    async def _greet(self, call: Any, receiver: Receiver, inbox: Inbox) -> pb.Hello:
        """Exchange Hellos; the coordinator's, which says how often it wants a heartbeat."""
        settings = self._settings
        ours = pb.Hello(
            version=VERSION,
            network=settings.network,
            software=settings.software,
            max_message=settings.limit,
            unfinished=told(inbox.parts),
            restarted=self._restarted,
        )
        with rpc.calling(COORDINATOR):
            await call.write(pb.Frame(hello=ours))
        hello = await read_hello(call, receiver, COORDINATOR)
        shortest, longest = HEARTBEAT_RANGE
        if not shortest <= hello.heartbeat_ms / 1000 <= longest:
            raise refusal(f"it asks for a heartbeat every {hello.heartbeat_ms / 1000} seconds", COORDINATOR)
        self._store.limit = min(settings.limit, hello.max_message or settings.limit)
        return hello

    async def _take_up(self, hello: pb.Hello) -> None:
        """Tell the coordinator's time; after a start, hand over what was left unanswered."""
        self._told.clock(hello.clock_ms)
        if self._restarted:
            self._restarted = False
            for task in await asyncio.to_thread(self._store.pending):
                self._dispatcher.submit(task)

    async def _pause(self, attempt: int) -> None:
        await self._sleep(self._settings.backoff.delay(attempt, self._chance()))

    async def _unless_stopping(self, work: Coroutine[Any, Any, _T], grace: float = 0) -> _T | None:
        """What ``work`` comes to, or None if the node stops first and ``grace`` seconds more are over."""
        task, stopping = asyncio.create_task(work), asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait((task,), timeout=grace)
            return task.result() if task.done() else None
        finally:
            task.cancel()
            stopping.cancel()
            await asyncio.gather(task, stopping, return_exceptions=True)

    def _wake(self) -> None:
        link = self._link
        if link is not None:
            link.wake()

    def _note(self, state: str, reason: str) -> None:
        """Report a change of state, and not the same state again at each try."""
        if (state, reason) != self._state:
            self._state = state, reason
            self._told.state(state, reason)


async def _hang_up(call: Any) -> None:
    """Let the other end finish, so that it reads our last frame, but not for long."""
    with suppress(Exception):
        async with asyncio.timeout(GRACE_SECONDS):
            await call.done_writing()
            await call.code()
    call.cancel()
