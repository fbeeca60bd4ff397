"""Those who call a running coordinator and are up to no good, with a member's certificate or with none."""

import asyncio
import contextlib
import random
import resource
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import grpc
import grpc.aio

from consortia_common import tls
from consortia_common.content import Content
from consortia_node.exchange import NodeExchange, NodeExchangeSettings
from consortia_node.store.database import open_database
from consortia_node.store.tasks import TaskStore
from consortia_proto.v1 import exchange_pb2 as pb
from consortia_proto.v1.exchange_pb2_grpc import ExchangeStub
from tests.support.consortium import Consortium

NETWORK = "lab"
GARBAGE_BYTES = 2000
_PAUSE_SECONDS = 0.3


@contextlib.contextmanager
def silent_connections(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Open so many connections and say nothing on them."""
    least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(least, 2 * count), most), most))
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10)) for _ in range(count)]


@contextlib.contextmanager
def duplicated(consortium: Consortium, institution: str) -> Iterator[Callable[[], int]]:
    """Under an institution's certificate, open one stream after the other that says no more than Hello.

    Yields a function that counts them.
    """
    opened: list[object] = []

    async def dial(stop: asyncio.Event) -> None:
        async with _channel(consortium, institution) as channel:
            while not stop.is_set():
                call = ExchangeStub(channel).Attach()
                opened.append(call)
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await call.write(pb.Frame(hello=pb.Hello(version=1, network=NETWORK, software="a copy")))
                await asyncio.sleep(_PAUSE_SECONDS)

    with _beside(dial):
        yield lambda: len(opened)


@contextlib.contextmanager
def garbage_node(consortium: Consortium, institution: str, folder: Path, seed: int) -> Iterator[None]:
    """Be the node of ``institution``, one that answers every task with random bytes where answers belong."""
    engine = open_database(folder / "garbage.db")
    exchange = partial(
        NodeExchange,
        partial(_channel, consortium, institution),
        TaskStore(engine, folder / "exchange", partial(datetime.now, UTC)),
        partial(_garbage, random.Random(seed)),
        NodeExchangeSettings(NETWORK, "garbage"),
    )

    async def serve(stop: asyncio.Event) -> None:
        made = exchange()
        running = asyncio.create_task(made.run())
        await stop.wait()
        made.stop()
        await running

    try:
        with _beside(serve):
            yield
    finally:
        engine.dispose()


def _garbage(chance: random.Random, task: pb.Task) -> pb.Reply:
    """An answer to ``task`` with the names that coordinators look for, and anything under them."""
    names = ("key", "message", "confirm", "frames", "envelope.analyst", "envelope.bank-a", "receipt", "signature")
    config = {name: chance.randbytes(chance.randrange(GARBAGE_BYTES)) for name in names if chance.random() < 0.8}
    reply = pb.Reply(task_id=task.task_id, job_id=task.job_id)
    reply.content.CopyFrom(Content(config=config).to_proto())
    return reply


def _channel(consortium: Consortium, institution: str) -> grpc.aio.Channel:
    credentials = tls.Credentials.load(consortium.root / institution)
    return tls.client_channel(f"127.0.0.1:{consortium.port}", credentials, NETWORK, aio=True)


@contextlib.contextmanager
def _beside(work: Callable[[asyncio.Event], Awaitable[None]]) -> Iterator[None]:
    """Have ``work`` done in an event loop of another thread until the block ends, of which it is told."""
    stop, loop = asyncio.Event(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(work(stop),))
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        loop.close()
