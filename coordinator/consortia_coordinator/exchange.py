"""The coordinator's end of the exchange: one live stream per institution, over which its mailbox empties and fills.

Trusted for: who a message is from is what the certificate says, asked of ``authorise`` at the start and again at
each message; what a peer does wrong ends its own stream only, is on the audit log, and reaches it as a status and
a sentence, never as a traceback. A stream ends when its certificate does. Not defended: a member may connect as
often as it likes.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from consortia_common import rpc
from consortia_common.contents import Message
from consortia_common.errors import ConnectionLostError, ExchangeError
from consortia_common.inbox import Inbox
from consortia_common.link import Ended, Link, read_hello
from consortia_common.stream import MESSAGE_LIMIT, VERSION, Part, Receiver, legible, parts_of, told
from consortia_common.tls import Peer
from consortia_coordinator import metrics
from consortia_coordinator.limits import REFUSAL_COST, STREAM_COST, Rates
from consortia_coordinator.mailbox import Mailbox
from consortia_crypto.errors import ConsortiaError
from consortia_proto.v1 import exchange_pb2 as pb
from consortia_proto.v1.exchange_pb2_grpc import ExchangeServicer

Authorise = Callable[[Peer], None]
"""Returns if the peer may take part now, else raises ConsortiaError. Called in worker threads."""
Audit = Callable[..., object]
"""(event, **fields) → durable on the coordinator's log. Called in worker threads."""


@dataclass(frozen=True)
class ExchangeSettings:
    """``heartbeat`` in seconds, which every node is told; ``limit`` is the largest message in bytes."""

    network: str
    software: str
    heartbeat: float = 10.0
    limit: int = MESSAGE_LIMIT


@dataclass(frozen=True)
class _NodeEnd:
    """What a link to one node does with messages: the mailbox, behind the certificate's name."""

    peer: Peer
    mailbox: Mailbox
    authorise: Authorise
    audit: Audit
    rates: Rates

    def outgoing(self, under_way: Collection[str], busy: Collection[str]) -> Message | None:
        self.authorise(self.peer)
        return self.mailbox.outgoing(self.peer.institution, under_way, busy)

    def acknowledged(self, messages: Sequence[Message]) -> None:
        self.mailbox.delivered(self.peer.institution, _counted(messages))

    def received(self, message: Message, acknowledged: Sequence[Message]) -> None:
        """Store a reply. One that answers nothing is logged and then acknowledged, else it would come for ever."""
        self.authorise(self.peer)
        metrics.count_message(metrics.UP, message.content.total)
        try:
            self.mailbox.receive(self.peer.institution, message, _counted(acknowledged))
        except ExchangeError as error:
            metrics.EXCHANGE_REFUSED.inc()
            self.rates.take(str(self.peer), REFUSAL_COST)  # a flood of them ends its stream, and fills no log
            self.audit("message.refused", peer=str(self.peer), reason=error.what)


def _counted(messages: Sequence[Message]) -> dict[str, int]:
    """The sizes of messages that were sent, by their ids."""
    for message in messages:
        metrics.count_message(metrics.DOWN, message.content.total)
    return {message.message_id: message.content.total for message in messages}


@dataclass(frozen=True)
class _Admitted:
    """A node that may take part; ``kept`` is what it says it has of unfinished tasks."""

    peer: Peer
    receiver: Receiver
    inbox: Inbox
    software: str
    kept: Mapping[str, Part]


@rpc.guarded
class ExchangeService(ExchangeServicer):
    """Serves ``Attach``. ``clock`` is the time of day, by which certificates expire; ``now_ms`` the clock by which
    tasks have their deadlines.
    """  # fmt: skip

    def __init__(
        self,
        mailbox: Mailbox,
        settings: ExchangeSettings,
        *,
        authorise: Authorise,
        audit: Audit,
        clock: Callable[[], datetime],
        now_ms: Callable[[], int],
        rates: Rates,
    ) -> None:
        self._mailbox = mailbox
        self._settings = settings
        self._authorise = authorise
        self._audit = audit
        self._clock = clock
        self._now_ms = now_ms
        self._rates = rates
        self._live: dict[str, Link] = {}

    def connected(self) -> frozenset[str]:
        """The institutions whose node has a live stream. From any thread."""
        return frozenset(self._live)

    def drop(self, institution: str, reason: str) -> None:
        """Say Bye to the node of ``institution``, if it is there. From any thread."""
        if link := self._live.get(institution):
            link.close(reason)

    def close(self, reason: str = "the coordinator is stopping") -> None:
        """Say Bye to all nodes. From any thread; the server's own stop then waits for the streams to end."""
        for institution in self.connected():
            self.drop(institution, reason)

    # grpc.aio also serves a coroutine that reads and writes by itself, which the generated stub can't say
    async def Attach(self, _requests: Any, context: Any) -> None:  # type: ignore[override]
        """One node's stream, from Hello to Bye. Raises ConsortiaError, which the peer is told."""
        admitted = await self._admit(context)
        peer = admitted.peer
        await self._log("peer.connected", peer=str(peer), role=peer.role, software=admitted.software)
        reason, orderly = "the stream was cut", False
        try:
            await context.write(pb.Frame(hello=self._hello(admitted.inbox)))
            reason, orderly = (await self._carry(admitted, context)).reason, True
        except ConsortiaError as error:
            reason = error.what
            await self._log_fault(peer, error)
            raise
        finally:
            await self._log("peer.disconnected", peer=str(peer), role=peer.role, orderly=orderly, reason=reason)

    async def _admit(self, context: Any) -> "_Admitted":
        """Who calls and with what, if it may."""
        network, limit = self._settings.network, self._settings.limit
        peer: Peer | None = None
        try:
            peer = rpc.require_role(context, network, ("node",), self._clock())
            self._rates.take(str(peer), STREAM_COST)
            receiver = Receiver(peer.institution, network, limit)
            hello = await read_hello(context, receiver, peer.institution)
            _require_room(hello, limit, peer.institution)
            await asyncio.to_thread(self._authorise, peer)
            inbox = await asyncio.to_thread(self._mailbox.inbox, peer.institution)
            if hello.restarted:
                await asyncio.to_thread(self._mailbox.repeat, peer.institution)
            receiver.go_on_with(inbox.parts)
        except ConsortiaError as error:
            if self._rates.may_record(str(peer or ""), error):
                await self._log("peer.refused", peer=str(peer or ""), reason=error.what)
            raise
        return _Admitted(peer, receiver, inbox, legible(hello.software) or "unknown", parts_of(hello))

    async def _carry(self, admitted: "_Admitted", context: Any) -> Ended:
        """Run the institution's link; it takes the place of an older one and ends with the certificate."""
        peer = admitted.peer
        institution = peer.institution
        end = _NodeEnd(peer, self._mailbox, self._authorise, self._audit, self._rates)
        link = Link(
            context,
            admitted.receiver,
            admitted.inbox,
            end,
            institution,
            heartbeat=self._settings.heartbeat,
            limit=self._settings.limit,
            kept=admitted.kept,
        )
        self.drop(institution, "a newer connection of this institution has taken its place")
        self._live[institution] = link
        unlisten = self._mailbox.listen(institution, link.wake)
        seconds = (peer.not_after - self._clock()).total_seconds()
        expiry = asyncio.get_running_loop().call_later(seconds, link.close, "its certificate has expired")
        metrics.CONNECTED_NODES.set(len(self._live))
        try:
            return await link.run()
        finally:
            expiry.cancel()
            unlisten()
            if self._live.get(institution) is link:
                del self._live[institution]
            metrics.CONNECTED_NODES.set(len(self._live))

    def _hello(self, inbox: Inbox) -> pb.Hello:
        return pb.Hello(
            version=VERSION,
            network=self._settings.network,
            software=self._settings.software,
            heartbeat_ms=int(self._settings.heartbeat * 1000),
            max_message=self._settings.limit,
            unfinished=told(inbox.parts),
            clock_ms=self._now_ms(),
        )

    async def _log_fault(self, peer: Peer, error: ConsortiaError) -> None:
        """Log what ended a stream, unless it was the network."""
        if isinstance(error, ConnectionLostError):
            return
        event = "message.refused" if isinstance(error, ExchangeError) else "peer.refused"
        await self._log(event, peer=str(peer), reason=error.what)

    async def _log(self, event: str, **fields: object) -> None:
        if event.endswith(".refused"):
            metrics.EXCHANGE_REFUSED.inc()
        await asyncio.to_thread(partial(self._audit, event, **fields))


def _require_room(hello: pb.Hello, limit: int, institution: str) -> None:
    """Return if the node takes what it may be sent; told now, and not when a job's message is too large for it."""
    if 0 < hello.max_message < limit:
        raise ExchangeError(
            f"{institution} takes messages of {hello.max_message >> 20} MiB, and may be sent {limit >> 20} MiB",
            blame="the settings of both ends, which do not fit",
            remedy=f"set max_message_mib in node.toml to {limit >> 20}, or lower it in coordinator.toml",
        )
