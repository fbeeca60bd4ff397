"""The exchange when something breaks: nothing is lost and nothing is done twice."""

import os
import threading
import time
from typing import Any

import pytest
from sqlalchemy import delete

from consortia_common.contents import Held, in_memory
from consortia_node.store.tables import contents, tasks
from consortia_proto.v1 import exchange_pb2 as pb
from tests.support.proxy import Proxy

MIB = 1 << 20
TASK = "job/echo/0/bank-a"


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
        coordinator.mailbox.post([(lab.task(TASK, data if down else b""), "bank-a", None)])
        (reply,) = (await coordinator.replies(TASK)).values()
        assert len(reply.content.config["data"].blob) == (0 if down else len(data))
        assert calls == [TASK]
        assert proxy.connections == 2


@pytest.mark.parametrize("down", [True, False], ids=["task", "reply"])
@pytest.mark.parametrize("mebibytes", [24, pytest.param(400, marks=pytest.mark.slow)])
async def test_a_transfer_that_is_cut_ten_times_goes_on_where_it_was(mebibytes: int, down: bool, lab: Any) -> None:
    data = os.urandom(mebibytes * MIB)
    calls: list[str] = []

    def handle(task: pb.Task) -> pb.Reply:
        calls.append(task.task_id)
        reply = pb.Reply()
        reply.content.config["data"].blob = b"" if down else data
        return reply

    lab.limit, lab.soon = 2 * len(data), 20 + mebibytes
    coordinator = await lab.coordinator()
    async with Proxy(coordinator.port).open() as proxy:
        proxy.cut_after = len(data) // 11
        lab.node("bank-a", proxy.port, handle)
        coordinator.mailbox.post([(lab.task(TASK, data if down else b""), "bank-a", None)])
        for _ in range(10):
            await lab.until(lambda: proxy.cut_after is None)
            proxy.cut_after = len(data) // 11
        proxy.cut_after = None
        (reply,) = (await coordinator.replies(TASK)).values()
    assert reply.content.config["data"].blob == (b"" if down else data)
    assert calls == [TASK]
    assert proxy.connections == 11
    assert proxy.carried < 2 * len(data)


async def test_a_reader_that_stalls_is_not_read_ahead_for(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[int] = []
    piece = Held.piece

    def counted(held: Held, offset: int) -> bytes:
        pieces.append(offset)
        return piece(held, offset)

    monkeypatch.setattr(Held, "piece", counted)
    coordinator = await lab.coordinator()
    coordinator.mailbox.post([(lab.task(TASK, bytes(60 * MIB)), "bank-a", None)])
    await lab.attach(coordinator.port, "bank-a")
    await lab.until(lambda: len(pieces) > 1)
    lab.node("bank-b", coordinator.port)
    coordinator.mailbox.post([(lab.task("job/echo/0/bank-b", bytes(2 * MIB)), "bank-b", None)])
    await coordinator.replies("job/echo/0/bank-b")
    assert len(pieces) < 24


async def test_a_silent_network_is_noticed_by_both_and_made_up_for(lab: Any) -> None:
    coordinator = await lab.coordinator(heartbeat=0.1)
    async with Proxy(coordinator.port).open() as proxy:
        node = lab.node("bank-a", proxy.port)
        await lab.until(lambda: coordinator.service.connected() == {"bank-a"})
        proxy.silent = True
        coordinator.mailbox.post([(lab.task(TASK), "bank-a", None)])
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
    before.mailbox.post([(lab.task(ids[0]), "bank-a", None)])
    await lab.until(lambda: len(node.store.pending()) == 1)
    await before.kill()
    before.mailbox.post([(lab.task(ids[1]), "bank-a", None)])  # journalled, never sent
    may_finish.set()
    after = await lab.coordinator(before.port)
    after.mailbox.post([(lab.task(ids[2]), "bank-a", None)])
    await after.replies(*ids)


@pytest.mark.parametrize("power_cut", [False, True])
async def test_a_node_that_restarts_does_what_it_had_not_answered(power_cut: bool, lab: Any) -> None:
    stuck = threading.Event()

    def hang(task: pb.Task) -> pb.Reply:
        stuck.wait(10)
        raise SystemExit  # the process is gone: no answer is ever stored

    coordinator = await lab.coordinator()
    ids = [f"job/echo/{turn}/bank-a" for turn in range(2)]
    for task_id in ids:
        coordinator.mailbox.post([(lab.task(task_id), "bank-a", None)])
    before = lab.node("bank-a", coordinator.port, hang)
    await lab.until(lambda: len(before.store.pending()) == 2)
    await before.kill()
    if power_cut:  # which may take what was acknowledged without a sync
        with before.store.engine.begin() as connection:
            connection.execute(delete(tasks))
            connection.execute(delete(contents.contents))
    lab.node("bank-a", coordinator.port)
    await coordinator.replies(*ids)
    stuck.set()


async def test_what_was_left_unanswered_is_begun_only_when_the_coordinator_has_said_what_time_it_is(
    lab: Any,
) -> None:
    coordinator = await lab.coordinator()
    begun: list[int] = []

    def handle(task: pb.Task) -> pb.Reply:
        begun.append(len(node.clocks))
        return pb.Reply(content=task.content)

    store = lab.store("bank-a")
    task = lab.task("job/echo/0/bank-a")
    store.receive(task, in_memory(task.SerializeToString()))
    coordinator.mailbox.post([(task, "bank-a", None)])
    await coordinator.stop()
    node = lab.node("bank-a", coordinator.port, handle)
    await lab.until(lambda: node.states and node.states[-1][0] == "disconnected")
    assert begun == []
    after = await lab.coordinator(coordinator.port)
    await after.replies(task.task_id)
    assert begun == [1]
    assert abs(node.clocks[0] / 1000 - time.time()) < lab.soon
