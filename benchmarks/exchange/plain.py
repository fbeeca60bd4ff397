"""The limit: the same bytes over plaintext gRPC streams, and nothing else: no keys, no journal, no frames of ours.

The server is a process of its own, as the coordinator is; all clients are in this one, as the light nodes are.
"""

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import grpc.aio

from consortia_common.stream import CHUNK_BYTES
from examples.credit_risk.processes import free_port

METHOD = "/benchmark.Plain/Attach"
_OPTIONS = (("grpc.max_receive_message_length", 2 * CHUNK_BYTES),)
_SETTLE_SECONDS = 0.5


@dataclass(frozen=True)
class Shape:
    """So many clients, each sent so many bytes and sending as many, so often."""

    clients: int
    size: int
    rounds: int


def measure(shape: Shape) -> float:
    """The seconds of a round, on average."""
    port = free_port()
    words = [sys.executable, "-m", "benchmarks.exchange.plain"]
    numbers = [str(number) for number in (port, shape.clients, shape.size, shape.rounds)]
    with subprocess.Popen([*words, *numbers], stdout=subprocess.PIPE, text=True) as server:
        asyncio.run(_all_clients(port, shape))
        said, _ = server.communicate(timeout=60)
    return float(json.loads(said))


async def serve(port: int, shape: Shape) -> None:
    """Send to all and hear from all, round by round; print how long a round took."""
    streams: list[Any] = []
    everybody, over = asyncio.Event(), asyncio.Event()

    async def attach(_requests: Any, context: Any) -> None:
        streams.append(context)
        if len(streams) == shape.clients:
            everybody.set()
        await over.wait()

    server = grpc.aio.server(options=_OPTIONS)
    handler: Any = grpc.stream_stream_rpc_method_handler(attach)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("benchmark.Plain", {"Attach": handler})])
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await everybody.wait()
    await asyncio.sleep(_SETTLE_SECONDS)
    began = time.perf_counter()
    for _ in range(shape.rounds):
        await asyncio.gather(*(_exchange(stream, shape.size) for stream in streams))
    print(json.dumps((time.perf_counter() - began) / shape.rounds))
    over.set()
    await server.stop(1)


async def _all_clients(port: int, shape: Shape) -> None:
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", _OPTIONS_OF_CLIENTS) for _ in range(shape.clients)]
    await asyncio.gather(*(_client(channel, shape) for channel in channels))
    await asyncio.gather(*(channel.close() for channel in channels))


_OPTIONS_OF_CLIENTS = (*_OPTIONS, ("grpc.use_local_subchannel_pool", 1))


async def _client(channel: Any, shape: Shape) -> None:
    await channel.channel_ready()
    call = channel.stream_stream(METHOD)()
    for _ in range(shape.rounds):
        await _receive(call, shape.size)
        await _send(call, shape.size)
    await call.done_writing()
    await call.read()  # the end; to hang up earlier might lose what was sent last


async def _exchange(stream: Any, size: int) -> None:
    await _send(stream, size)
    await _receive(stream, size)


async def _send(stream: Any, size: int) -> None:
    for start in range(0, size, CHUNK_BYTES):
        await stream.write(bytes(min(CHUNK_BYTES, size - start)))


async def _receive(stream: Any, size: int) -> None:
    while size > 0:
        size -= len(await stream.read())


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Shape(*map(int, sys.argv[2:]))))
