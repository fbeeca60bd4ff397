"""The server of gRPC streams that do nothing with what they carry; a process of its own, as the coordinator is."""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc.aio

from consortia_common import tls
from consortia_common.shown import Shown
from consortia_common.stream import CHUNK_BYTES

METHOD = "/benchmark.Plain/Attach"
OPTIONS = (("grpc.max_receive_message_length", 2 * CHUNK_BYTES),)
"""In plaintext; else both ends have those of the exchange."""
_SETTLE_SECONDS = 0.5


@dataclass(frozen=True)
class Shape:
    """So many clients, each sent so many bytes and sending as many, so often."""

    clients: int
    size: int
    rounds: int


async def serve(keys: str, port: int, shape: Shape) -> None:
    """Send to all and hear from all, round by round; print how long a round took. ``keys``: a network's folder."""
    streams: list[Any] = []
    everybody, over = asyncio.Event(), asyncio.Event()

    async def attach(_requests: Any, context: Any) -> None:
        streams.append(context)
        if len(streams) == shape.clients:
            everybody.set()
        await over.wait()

    server = grpc.aio.server(options=tls.SERVER_OPTIONS if keys else OPTIONS)
    handler: Any = grpc.stream_stream_rpc_method_handler(attach)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("benchmark.Plain", {"Attach": handler})])
    if keys:
        credentials = Shown(partial(tls.Credentials.load, Path(keys) / "coordinator"), "bench").server_credentials()
        server.add_secure_port(f"127.0.0.1:{port}", credentials)
    else:
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


async def _exchange(stream: Any, size: int) -> None:
    await send(stream, size)
    await receive(stream, size)


async def send(stream: Any, size: int) -> None:
    """So many bytes, in pieces as long as the exchange's."""
    for start in range(0, size, CHUNK_BYTES):
        await stream.write(bytes(min(CHUNK_BYTES, size - start)))


async def receive(stream: Any, size: int) -> None:
    """Return when so many bytes have come."""
    while size > 0:
        size -= len(await stream.read())


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), Shape(*map(int, sys.argv[3:]))))
