"""The exchange in good order: work goes out, answers come back, over real gRPC with mutual TLS."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from consortia_crypto.errors import ConsortiaError
from consortia_proto.v1 import exchange_pb2 as pb
from tests.support.carried import carried


def data_of(reply: pb.Reply) -> bytes:
    return reply.content.config["data"].blob


async def test_a_reply_of_ten_megabytes_crosses_and_is_counted(lab: Any) -> None:
    coordinator = await lab.coordinator()
    lab.node("bank-a", coordinator.port)
    data = b"\xa5" * 10_000_000
    coordinator.mailbox.post([(lab.task("job/echo/0/bank-a", data), "bank-a", None)])
    replies = await coordinator.replies("job/echo/0/bank-a")
    assert data_of(replies["job/echo/0/bank-a"]) == data
    await lab.until(lambda: carried(coordinator.engine, "job")[1] > 0)
    assert all(10_000_000 < size < 10_001_000 for size in carried(coordinator.engine, "job"))
    before = carried(coordinator.engine, "job")
    coordinator.mailbox.erase("job")
    assert carried(coordinator.engine, "job") == before


async def test_one_jobs_tasks_keep_their_order_while_jobs_run_side_by_side(lab: Any) -> None:
    done: list[str] = []
    both = threading.Barrier(2, timeout=10)

    def handle(task: pb.Task) -> pb.Reply:
        if task.task_id.endswith("/0/bank-a"):
            both.wait()
        done.append(task.task_id)
        return pb.Reply(content=task.content)

    coordinator = await lab.coordinator()
    ids = [f"job-{job}/echo/{turn}/bank-a" for turn in range(4) for job in (1, 2)]
    for task_id in ids:
        coordinator.mailbox.post([(lab.task(task_id), "bank-a", None)])
    lab.node("bank-a", coordinator.port, handle)
    await coordinator.replies(*ids)
    for job in ("job-1", "job-2"):
        assert [name for name in done if name.startswith(job)] == [name for name in ids if name.startswith(job)]


async def test_a_task_reaches_only_the_institution_it_is_for(lab: Any) -> None:
    coordinator = await lab.coordinator()
    nodes = [lab.node(name, coordinator.port) for name in ("bank-a", "bank-b")]
    await lab.until(lambda: coordinator.service.connected() == {"bank-a", "bank-b"})
    coordinator.mailbox.post([(lab.task("job/echo/0/bank-b"), "bank-b", None)])
    await coordinator.replies("job/echo/0/bank-b")
    assert nodes[0].store.pending() == []
    assert nodes[0].store.unsent() is None


@pytest.mark.parametrize(
    ("error", "what", "blame"),
    [
        (ConsortiaError("the file is gone", blame="bank-a", remedy="restore it"), "the file is gone", "bank-a"),
        (ValueError("customer 4711 owes 12"), "the step stopped on an error", "the node"),
    ],
)
async def test_an_error_of_the_handler_becomes_a_failure(error: Exception, what: str, blame: str, lab: Any) -> None:
    def handle(task: pb.Task) -> pb.Reply:
        raise error

    coordinator = await lab.coordinator()
    lab.node("bank-a", coordinator.port, handle)
    coordinator.mailbox.post([(lab.task("job/echo/0/bank-a"), "bank-a", None)])
    (reply,) = (await coordinator.replies("job/echo/0/bank-a")).values()
    assert (reply.failure.code, reply.failure.blame) == ("failed", blame)
    assert reply.failure.what.startswith(what)
    assert b"4711" not in reply.SerializeToString()


async def test_an_answer_too_large_to_travel_becomes_a_failure(lab: Any) -> None:
    def handle(task: pb.Task) -> pb.Reply:
        reply = pb.Reply()
        reply.content.config["data"].blob = bytes(65 << 20)
        return reply

    coordinator = await lab.coordinator()
    lab.node("bank-a", coordinator.port, handle)
    coordinator.mailbox.post([(lab.task("job/echo/0/bank-a"), "bank-a", None)])
    (reply,) = (await coordinator.replies("job/echo/0/bank-a")).values()
    assert "was not sent" in reply.failure.what


async def test_a_task_that_is_asked_again_gets_the_first_reply(lab: Any) -> None:
    calls: list[bytes] = []

    def handle(task: pb.Task) -> pb.Reply:
        calls.append(task.content.config["data"].blob)
        return pb.Reply(content=task.content)

    before = await lab.coordinator()
    node = lab.node("bank-a", before.port, handle)
    for data in (b"first", b"second"):
        before.mailbox.post([(lab.task("job/echo/0/bank-a", data), "bank-a", None)])
    await before.replies("job/echo/0/bank-a")
    await lab.until(lambda: node.store.unsent() is None)
    await before.stop()
    # a coordinator that was restored from an old backup asks for it once more
    restored = await lab.coordinator(before.port, database="restored")
    restored.mailbox.post([(lab.task("job/echo/0/bank-a", b"third"), "bank-a", None)])
    (reply,) = (await restored.replies("job/echo/0/bank-a")).values()
    assert data_of(reply) == b"first"
    assert calls == [b"first"]


async def test_a_stop_is_orderly_on_either_side(lab: Any) -> None:
    coordinator = await lab.coordinator()
    nodes = {name: lab.node(name, coordinator.port) for name in ("bank-a", "bank-b")}
    await lab.until(lambda: len(coordinator.service.connected()) == 2)
    await nodes["bank-a"].stop()
    await lab.until(lambda: coordinator.service.connected() == {"bank-b"})
    await coordinator.stop()
    ends = [fields for event, fields in coordinator.events if event == "peer.disconnected"]
    assert [(end["orderly"], end["reason"]) for end in ends] == [
        (True, "the node is stopping"),
        (True, "the coordinator is stopping"),
    ]
    await lab.until(lambda: ("disconnected", "the coordinator is stopping") in nodes["bank-b"].states)


async def test_a_newer_connection_takes_the_place_of_the_older(lab: Any) -> None:
    coordinator = await lab.coordinator()
    old = await lab.attach(coordinator.port, "bank-a")
    new = await lab.attach(coordinator.port, "bank-a")
    assert "newer connection" in (await old.read()).bye.reason
    coordinator.mailbox.post([(lab.task("job/echo/0/bank-a"), "bank-a", None)])
    assert (await new.read()).chunk.message_id == "job/echo/0/bank-a"


async def test_only_an_authorised_node_may_attach_and_only_while_it_is(lab: Any) -> None:
    coordinator = await lab.coordinator(heartbeat=0.2)
    analyst = lab.dial(coordinator.port, "bank-a", "analyst")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await analyst.read()
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    node = lab.node("bank-a", coordinator.port)
    await lab.until(lambda: coordinator.service.connected() == {"bank-a"})
    lab.revoked.add("bank-a")
    coordinator.mailbox.post([(lab.task("job/echo/0/bank-a"), "bank-a", None)])
    await lab.until(lambda: ("disconnected", "revoked") in node.states)
    await lab.until(lambda: coordinator.reasons("peer.refused").count("revoked") >= 2)
    assert node.store.pending() == []
    assert node.states.count(("disconnected", "revoked")) == 1
    lab.revoked.clear()
    await coordinator.replies("job/echo/0/bank-a")


async def test_a_connection_ends_with_its_certificate(lab: Any) -> None:
    coordinator = await lab.coordinator()
    for seconds in (2, 4, 8, 16):  # on a machine with much to do it may be over before the node is there
        over = datetime.now(UTC) + timedelta(seconds=seconds)
        shown = lab.credentials("bank-a", lifetime=timedelta(seconds=seconds))
        node = lab.node("bank-a", coordinator.port, shown=shown)
        await lab.until(lambda over=over: coordinator.reasons("peer.connected") or datetime.now(UTC) > over)
        if coordinator.reasons("peer.connected"):
            break
        await node.kill()
    await lab.until(lambda: coordinator.reasons("peer.disconnected") == ["its certificate has expired"])
    await asyncio.sleep(0.5)
    assert coordinator.service.connected() == frozenset()
