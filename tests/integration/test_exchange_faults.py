"""The exchange when something breaks: nothing is lost and nothing is done twice."""

import asyncio
import contextlib
import threading
from typing import Any

import pytest

from consortia_proto.v1 import exchange_pb2 as pb

MIB = 1 << 20
TASK = "job/echo/0/bank-a"


class Proxy:
    """A network between node and coordinator that can be cut or go silent."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._writers: list[asyncio.StreamWriter] = []
        self.connections = 0
        self.cut_after: int | None = None
        self.silent = False
        self.port = 0

    @contextlib.asynccontextmanager
    async def open(self) -> Any:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        yield self
        server.close()
        self.cut()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.silent = False
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += [writer, back]
        with contextlib.suppress(OSError):
            await asyncio.gather(self._relay(reader, back), self._relay(there, writer))

    async def _relay(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            if self.cut_after is not None:
                self.cut_after -= len(data)
                if self.cut_after < 0:
                    self.cut_after = None
                    self.cut()
            if not self.silent:
                sink.write(data)
                await sink.drain()


@pytest.mark.parametrize("down", [True, False], ids=["task", "reply"])
async def test_a_connection_cut_in_the_middle_of_a_transfer_is_made_up_for(down: bool, lab: Any) -> None:
    data = bytes(8 * MIB)
    calls: list[str] = []

    def handle(task: pb.Task) -> pb.Reply:
        calls.append(task.task_id)
        reply = pb.Reply()
        reply.content.config["data"].blob = b"" if down else data
        return reply

    coordinator = await lab.coordinator()
    async with Proxy(coordinator.port).open() as proxy:
        proxy.cut_after = 4 * MIB
        lab.node("bank-a", proxy.port, handle)
        coordinator.mailbox.post(lab.task(TASK, data if down else b""), "bank-a")
        (reply,) = (await coordinator.replies(TASK)).values()
        assert len(reply.content.config["data"].blob) == (0 if down else len(data))
        assert calls == [TASK]
        assert proxy.connections == 2


async def test_a_silent_network_is_noticed_by_both_and_made_up_for(lab: Any) -> None:
    coordinator = await lab.coordinator(heartbeat=0.1)
    async with Proxy(coordinator.port).open() as proxy:
        node = lab.node("bank-a", proxy.port)
        await lab.until(lambda: coordinator.service.connected() == {"bank-a"})
        proxy.silent = True
        coordinator.mailbox.post(lab.task(TASK), "bank-a")
        await coordinator.replies(TASK)
        assert any("silent" in reason for _, reason in node.states)
        await lab.until(lambda: any("silent" in why for why in coordinator.reasons("peer.disconnected")))


async def test_a_coordinator_that_restarts_gets_what_is_outstanding(lab: Any) -> None:
    may_finish = threading.Event()

    def handle(task: pb.Task) -> pb.Reply:
        may_finish.wait(10)
        return pb.Reply(content=task.content)

    before = await lab.coordinator()
    node = lab.node("bank-a", before.port, handle)
    ids = [f"job/echo/{turn}/bank-a" for turn in range(3)]
    before.mailbox.post(lab.task(ids[0]), "bank-a")
    await lab.until(lambda: len(node.store.pending()) == 1)
    await before.kill()
    before.mailbox.post(lab.task(ids[1]), "bank-a")  # journalled, never sent
    may_finish.set()
    after = await lab.coordinator(before.port)
    after.mailbox.post(lab.task(ids[2]), "bank-a")
    await after.replies(*ids)


async def test_a_node_that_restarts_does_what_it_had_not_answered(lab: Any) -> None:
    stuck = threading.Event()

    def hang(task: pb.Task) -> pb.Reply:
        stuck.wait(10)
        raise SystemExit  # the process is gone: no answer is ever stored

    coordinator = await lab.coordinator()
    ids = [f"job/echo/{turn}/bank-a" for turn in range(2)]
    for task_id in ids:
        coordinator.mailbox.post(lab.task(task_id), "bank-a")
    before = lab.node("bank-a", coordinator.port, hang)
    await lab.until(lambda: len(before.store.pending()) == 2)
    await before.kill()
    lab.node("bank-a", coordinator.port)
    await coordinator.replies(*ids)
    stuck.set()
