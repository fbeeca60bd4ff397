"""The limits: the same bytes over gRPC streams, in plaintext or under the TLS of the exchange, and nothing else: no
journal, no hashes, no frames of ours.

The server is in streams.py; all clients are in this process, as the light nodes are.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import grpc.aio

from benchmarks.exchange.network import NETWORK, prepare
from benchmarks.exchange.streams import METHOD, OPTIONS, Shape, receive, send
from consortia_common import tls
from examples.credit_risk.processes import free_port

CLIENT = "bank-a"
"""Whose certificate all clients show."""


def measure(shape: Shape) -> float:
    """The seconds of a round in plaintext, on average."""
    return _measure(free_port(), shape, "")


def measure_tls(shape: Shape) -> float:
    """The seconds of a round under TLS as the exchange has it, on average."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        prepare(Path(folder), port, (CLIENT,))
        return _measure(port, shape, folder)


def _measure(port: int, shape: Shape, keys: str) -> float:
    words = [sys.executable, "-m", "benchmarks.exchange.streams"]
    numbers = [str(number) for number in (port, shape.clients, shape.size, shape.rounds)]
    with subprocess.Popen([*words, keys, *numbers], stdout=subprocess.PIPE, text=True) as server:
        asyncio.run(_all_clients(port, shape, keys))
        said, _ = server.communicate(timeout=60)
    return float(json.loads(said))


async def _all_clients(port: int, shape: Shape, keys: str) -> None:
    channels = [_channel(f"127.0.0.1:{port}", keys) for _ in range(shape.clients)]
    await asyncio.gather(*(_client(channel, shape) for channel in channels))
    await asyncio.gather(*(channel.close() for channel in channels))


def _channel(address: str, keys: str) -> grpc.aio.Channel:
    if keys:
        return tls.client_channel(address, tls.Credentials.load(Path(keys) / CLIENT), NETWORK, aio=True)
    return grpc.aio.insecure_channel(address, _OPTIONS_OF_CLIENTS)


_OPTIONS_OF_CLIENTS = (*OPTIONS, ("grpc.use_local_subchannel_pool", 1))


async def _client(channel: Any, shape: Shape) -> None:
    await channel.channel_ready()
    call = channel.stream_stream(METHOD)()
    for _ in range(shape.rounds):
        await receive(call, shape.size)
        await send(call, shape.size)
    await call.done_writing()
    await call.read()  # the end; to hang up earlier might lose what was sent last
