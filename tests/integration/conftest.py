"""A network in one process for the exchange's tests: real gRPC over loopback, real certificates, real databases."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from sqlalchemy import Engine

from consortia_common import pki
from consortia_common.errors import NotPermittedError
from consortia_common.shown import Shown
from consortia_common.tls import SERVER_OPTIONS, Credentials, Peer, client_channel
from consortia_coordinator import ca
from consortia_coordinator.exchange import ExchangeService, ExchangeSettings
from consortia_coordinator.limits import Rates
from consortia_coordinator.mailbox import Mailbox
from consortia_coordinator.store.database import open_database as open_coordinator
from consortia_node.exchange import Backoff, NodeExchange, NodeExchangeSettings, Told
from consortia_node.store.database import open_database as open_node
from consortia_node.store.tasks import TaskStore
from consortia_proto.v1 import content_pb2, exchange_pb2
from consortia_proto.v1.exchange_pb2_grpc import ExchangeStub, add_ExchangeServicer_to_server
from tests.support.consortium import Consortium
from tests.support.spoilt import spoilt as spoilt_consortium

NETWORK = "demo"
LIMIT = 64 << 20
SOON = 20.0
HELLO = exchange_pb2.Frame(hello=exchange_pb2.Hello(version=1, network=NETWORK, software="by hand"))


def now() -> datetime:
    return datetime.now(UTC)


@cache
def _authorities() -> tuple[ca.Authority, ca.Authority]:
    root = ca.make_root(NETWORK, now())
    return root, ca.make_issuing(root, NETWORK, now())


@cache
def credentials(
    institution: str, role: str = "node", name: str = "node", lifetime: timedelta = timedelta(days=1)
) -> Credentials:
    """Throw-away credentials of this test run's network."""
    root, issuing = _authorities()
    key = pki.new_key()
    subject = pki.Subject(NETWORK, institution, role, name)
    chain = ca.issue(issuing, key.public_key(), subject, now(), lifetime)
    return Credentials(root.certificate_pem, chain, pki.key_pem(key))


def echo(request: exchange_pb2.Task) -> exchange_pb2.Reply:
    """The handler that answers with what it was given."""
    return exchange_pb2.Reply(content=request.content)


@dataclass
class Coordinator:
    """A running coordinator, and what it put on its log."""

    server: grpc.aio.Server
    mailbox: Mailbox
    service: ExchangeService
    port: int
    soon: float
    engine: Engine
    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def reasons(self, event: str) -> list[str]:
        """Why, for each entry of this kind."""
        return [str(fields.get("reason", "")) for name, fields in self.events if name == event]

    async def stop(self) -> None:
        """As on SIGTERM."""
        self.service.close()
        self.mailbox.close()
        await self.server.stop(5)

    async def kill(self) -> None:
        """As near to SIGKILL as one process allows."""
        await self.server.stop(0)

    async def replies(self, *task_ids: str) -> dict[str, exchange_pb2.Reply]:
        """All of them, or the test fails."""
        replies = await asyncio.to_thread(self.mailbox.replies, task_ids, self.soon)
        assert sorted(replies) == sorted(task_ids)
        return replies


@dataclass
class Node:
    """A running node."""

    exchange: NodeExchange
    store: TaskStore
    states: list[tuple[str, str]]
    refused: list[str]
    clocks: list[int]
    """What it was told of the coordinator's clock."""
    running: asyncio.Task[None]

    async def stop(self) -> None:
        """As on SIGTERM."""
        self.exchange.stop()
        await asyncio.wait_for(self.running, SOON)

    async def kill(self) -> None:
        """As near to SIGKILL as one process allows."""
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)


class Lab:
    """Starts coordinators and nodes on this test's databases and cleans up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.limit = LIMIT
        self.soon = SOON
        self.revoked: set[str] = set()
        self._engines: dict[str, Engine] = {}
        self._servers: list[grpc.aio.Server] = []
        self._nodes: list[Node] = []
        self._channels: list[grpc.aio.Channel] = []

    credentials = staticmethod(credentials)

    @staticmethod
    def forget_authorities() -> None:
        """From now on, certificates come from another root."""
        _authorities.cache_clear()
        credentials.cache_clear()

    @staticmethod
    def task(task_id: str, data: bytes = b"") -> exchange_pb2.Task:
        """A task ``<job>/<step>/<round>/<institution>`` that carries ``data``."""
        content = content_pb2.Content(config={"data": content_pb2.Value(blob=data)})
        return exchange_pb2.Task(
            task_id=task_id, job_id=task_id.split("/", maxsplit=1)[0], step="echo", content=content
        )

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds, or fail."""
        async with asyncio.timeout(self.soon):
            while not condition():
                await asyncio.sleep(0.01)

    async def attach(self, port: int, institution: str, *options: tuple[str, int]) -> Any:
        """A stream of somebody who writes frames by hand, after the Hellos."""
        call = ExchangeStub(self.channel(port, institution, "node", *options)).Attach()
        await call.write(HELLO)
        assert (await call.read()).hello.network == NETWORK
        return call

    def dial(self, port: int, institution: str, role: str = "node") -> Any:
        """A stream on which nothing has been said."""
        return ExchangeStub(self.channel(port, institution, role)).Attach()

    def channel(
        self, port: int, institution: str, role: str = "node", *options: tuple[str, int]
    ) -> grpc.aio.Channel:
        """A channel with a member's certificate, but without the limits that our own channels keep."""
        shown = credentials(institution, role)
        secured = grpc.ssl_channel_credentials(shown.ca_pem, shown.key_pem, shown.chain_pem)
        name = ("grpc.ssl_target_name_override", pki.server_name(NETWORK))
        channel = grpc.aio.secure_channel(f"127.0.0.1:{port}", secured, options=(name, *options))
        self._channels.append(channel)
        return channel

    async def coordinator(
        self, port: int = 0, heartbeat: float = 5.0, database: str = "coordinator"
    ) -> Coordinator:
        """A coordinator, on the same database as the one before unless said otherwise."""
        events: list[tuple[str, dict[str, object]]] = []
        engine = self._engine(database, open_coordinator)
        mailbox = Mailbox(engine, self.folder / f"{database}.exchange", limit=self.limit)
        service = ExchangeService(
            mailbox,
            ExchangeSettings(NETWORK, "test", heartbeat, self.limit),
            authorise=self._authorise,
            audit=lambda event, **fields: events.append((event, fields)),
            clock=now,
            now_ms=lambda: int(now().timestamp() * 1000),
            rates=Rates(100, time.monotonic),
        )
        server, port = await self.serve(service, port)
        return Coordinator(server, mailbox, service, port, self.soon, engine, events)

    async def serve(self, servicer: Any, port: int = 0) -> tuple[grpc.aio.Server, int]:
        """Any servicer behind the coordinator's certificate; the server and its port."""
        server = grpc.aio.server(options=SERVER_OPTIONS)
        if isinstance(servicer, grpc.GenericRpcHandler):
            server.add_generic_rpc_handlers((servicer,))
        else:
            add_ExchangeServicer_to_server(servicer, server)
        shown = credentials("operator", "coordinator", "coordinator")
        port = server.add_secure_port(f"127.0.0.1:{port}", Shown(lambda: shown, "lab").server_credentials())
        await server.start()
        self._servers.append(server)
        return server, port

    def store(self, institution: str) -> TaskStore:
        """The journal of this institution's node."""
        return TaskStore(
            self._engine(institution, open_node), self.folder / f"{institution}.exchange", now, self.limit
        )

    def node(
        self,
        institution: str,
        port: int,
        handler: Callable[[exchange_pb2.Task], exchange_pb2.Reply] = echo,
        shown: Credentials | None = None,
        queue: int = 1000,
    ) -> Node:
        """A node that is started and dials ``port``."""
        states: list[tuple[str, str]] = []
        refused: list[str] = []
        clocks: list[int] = []
        store = self.store(institution)
        exchange = NodeExchange(
            lambda: client_channel(f"127.0.0.1:{port}", shown or credentials(institution), NETWORK, aio=True),
            store,
            handler,
            NodeExchangeSettings(NETWORK, "test", self.limit, queue, backoff=Backoff(0.05, 0.2)),
            told=Told(lambda state, reason: states.append((state, reason)), refused.append, clocks.append),
        )
        node = Node(exchange, store, states, refused, clocks, asyncio.create_task(exchange.run()))
        self._nodes.append(node)
        return node

    async def close(self) -> None:
        """Stop everything."""
        await asyncio.gather(*(node.kill() for node in self._nodes))
        await asyncio.gather(*(channel.close() for channel in self._channels))
        await asyncio.gather(*(server.stop(0) for server in self._servers))
        for engine in self._engines.values():
            engine.dispose()

    def _engine(self, name: str, open_it: Callable[[Path], Engine]) -> Engine:
        if name not in self._engines:
            self._engines[name] = open_it(self.folder / f"{name}.db")
        return self._engines[name]

    def _authorise(self, peer: Peer) -> None:
        if peer.institution in self.revoked:
            raise NotPermittedError("revoked", blame="nobody", remedy="enrol again")


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    await lab.close()


@pytest.fixture(scope="session")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """A running consortium with bad tables beside the good ones, shared by the tests of bad input."""
    with spoilt_consortium(tmp_path_factory.mktemp("spoilt")) as running:
        yield running
