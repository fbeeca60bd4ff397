"""Light nodes: the real exchange with a connection and a journal each, and answers that cost next to nothing.

No gate, no log, no data: what is measured is what the coordinator and the exchange take. In sums they do what nodes
do, since the coordinator checks it. The journals lie in memory where the machine has a place for that.
"""

import asyncio
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc.aio
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from benchmarks.exchange.network import NETWORK, Network
from benchmarks.exchange.waiting import wait_until
from consortia_common import tls
from consortia_common.content import Beside, Body, Content
from consortia_common.documents.jobspec import Submission
from consortia_node.exchange import NodeExchange, NodeExchangeSettings
from consortia_node.store.database import open_database
from consortia_node.store.tasks import TaskStore
from consortia_proto.v1 import exchange_pb2 as pb
from tests.support.members import Institution

ATTACH_SECONDS = 180.0
_OWN: Mapping[str, Mapping[str, bytes]] = {
    "query.conclude": {"envelope.analyst": b"sealed"},
    "close": {"receipt": b"receipt", "signature": b"signature"},
}
"""What is answered to a step of a kind's, beside what rides with it."""
_MEMORY = Path("/dev/shm")  # noqa: S108  # nothing secret is in a benchmark's journal


class LightNode:
    """One institution: it takes what it is told for granted."""

    def __init__(self, name: str, store: TaskStore) -> None:
        self._name = name
        self._store = store
        self._jobs: dict[str, Institution] = {}

    def handle(self, task: pb.Task) -> None:
        """Answer a task; long values go behind the answer, as a node's agent has them go."""
        body = Beside()
        content = self.answer(task, self._store.body(task.task_id)).to_proto(body)
        reply = pb.Reply(task_id=task.task_id, job_id=task.job_id, content=content)
        self._store.answer(None, task.task_id, self._store.sized(reply, body))

    def answer(self, task: pb.Task, body: Body) -> Content:
        """What it says. ``body`` is what came behind the task."""
        if task.step == "offer":
            content = Content.from_proto(task.content, "the coordinator", body)
            spec = Submission.from_canonical(content.config["submission"], "the offer").spec
            self._jobs[task.job_id] = Institution(task.job_id, spec, self._name)
            return Content()
        job = self._jobs.get(task.job_id)
        if job is None:
            return Content()
        if job.spec.kind == "plain_round" and task.step == "train":
            asked: Any = job.spec.parameters
            return Content(arrays={"update": _update(asked.length)})
        whole = _whole(task, body)
        return job.answer(whole) or Content(config={**_OWN.get(task.step, {}), **job.ride(whole)})


@cache
def _update(length: int) -> NDArray[np.float32]:
    """What all answer, made once: to make it is no part of what is measured."""
    return np.random.default_rng(length).random(length, np.float32)


def _whole(task: pb.Task, body: Body) -> pb.Task:
    """The task with what came behind it put back, so that institutions of tests need not know of bodies."""
    content = Content.from_proto(task.content, "the coordinator", body)
    task.content.CopyFrom(content.to_proto())
    return task


@contextmanager
def attached(network: Network) -> Iterator[float]:
    """All nodes of the network connected until the block ends; yields the seconds until the last one was."""
    place = _MEMORY if _MEMORY.is_dir() else None
    loop = asyncio.new_event_loop()
    with TemporaryDirectory(dir=place) as folder:
        engines = _journals(Path(folder), network)
        exchanges = _start(loop, network, engines, Path(folder))
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        try:
            yield wait_until(lambda: all(each.connected for each in exchanges), "all are connected", ATTACH_SECONDS)
        finally:
            asyncio.run_coroutine_threadsafe(_stop(exchanges), loop).result(60)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()
            for engine in engines:
                engine.dispose()


def _journals(folder: Path, network: Network) -> list[Engine]:
    """An empty journal each, copied from one because making one takes longer."""
    open_database(folder / "empty.db").dispose()
    for bank in network.banks:
        shutil.copy(folder / "empty.db", folder / f"{bank}.db")
    return [open_database(folder / f"{bank}.db") for bank in network.banks]


def _exchange(network: Network, bank: str, store: TaskStore) -> NodeExchange:
    settings = NodeExchangeSettings(NETWORK, "light", threads=1)
    return NodeExchange(partial(_channel, network, bank), store, LightNode(bank, store).handle, settings)


def _start(
    loop: asyncio.AbstractEventLoop, network: Network, engines: list[Engine], folder: Path
) -> list[NodeExchange]:
    async def start() -> list[NodeExchange]:
        made = [
            _exchange(network, bank, TaskStore(engine, folder / bank, partial(datetime.now, UTC)))
            for bank, engine in zip(network.banks, engines, strict=True)
        ]
        _RUNNING[:] = [asyncio.create_task(exchange.run()) for exchange in made]
        return made

    return loop.run_until_complete(start())


_RUNNING: list["asyncio.Task[None]"] = []


async def _stop(exchanges: list[NodeExchange]) -> None:
    for exchange in exchanges:
        exchange.stop()
    await asyncio.gather(*_RUNNING)


def _channel(network: Network, bank: str) -> grpc.aio.Channel:
    return tls.client_channel(network.address, tls.Credentials.load(network.root / bank), NETWORK, aio=True)
