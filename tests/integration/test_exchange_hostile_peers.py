"""The exchange against peers that break its rules: each is told why, is on the log, and harms only itself."""

import asyncio
import contextlib
import hashlib
import threading
from typing import Any

import grpc
import pytest

from consortia_proto.v1 import exchange_pb2 as pb

MIB = 1 << 20
TASK = "job/echo/0/bank-a"


async def refusal_of(call: Any) -> tuple[grpc.StatusCode, str]:
    """How the coordinator ends a stream, and what it says."""
    with contextlib.suppress(grpc.aio.AioRpcError):
        while await call.read() is not grpc.aio.EOF:
            pass
    return await call.code(), await call.details()


def chunk(**changes: Any) -> pb.Frame:
    fields: dict[str, Any] = {"message_id": TASK, "total": 4, "offset": 0, "data": b"abcd"}
    fields |= {"sha256": hashlib.sha256(b"abcd").digest()} | changes
    return pb.Frame(chunk=pb.Chunk(**fields))


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        ([chunk(total=8), chunk(total=8, offset=5, sha256=b"")], "does not continue"),
        ([chunk(data=b"abcX")], "does not match its hash"),
        ([chunk(total=1 << 40)], "longer than"),
        ([chunk(data=bytes(MIB + 1), total=2 * MIB)], "longer than 1048576"),
        ([pb.Frame()], "no known kind"),
        ([pb.Frame(ack=pb.Ack(message_id="never sent"))], "no message under way"),
        ([pb.Frame(hello=pb.Hello(version=1, network="demo"))], "must be a Hello"),
    ],
)
async def test_a_node_that_breaks_a_rule_is_cut_off_while_another_works_on(
    frames: list[pb.Frame], why: str, lab: Any
) -> None:
    coordinator = await lab.coordinator()
    lab.node("bank-b", coordinator.port)
    call = await lab.attach(coordinator.port, "bank-a")
    large = [f"job/echo/{turn}/bank-b" for turn in range(3)]
    for task_id in large:
        coordinator.mailbox.post([(lab.task(task_id, bytes(2 * MIB)), "bank-b", None)])
    for frame in frames:
        await call.write(frame)
    status, said = await refusal_of(call)
    assert status is grpc.StatusCode.FAILED_PRECONDITION
    assert why in said
    assert "Traceback" not in said
    assert why in coordinator.reasons("message.refused")[0]
    assert coordinator.reasons("peer.disconnected")[:1] == coordinator.reasons("message.refused")
    await coordinator.replies(*large)
    assert coordinator.service.connected() == {"bank-b"}


async def test_an_acknowledgement_counts_once(lab: Any) -> None:
    coordinator = await lab.coordinator()
    coordinator.mailbox.post([(lab.task(TASK), "bank-a", None)])
    call = await lab.attach(coordinator.port, "bank-a")
    assert (await call.read()).chunk.message_id == TASK
    await call.write(pb.Frame(ack=pb.Ack(message_id=TASK)))
    await lab.until(lambda: coordinator.mailbox.outgoing("bank-a") is None)
    await call.write(pb.Frame(ack=pb.Ack(message_id=TASK)))
    assert "no message under way" in (await refusal_of(call))[1]


async def test_two_acknowledgements_at_once_are_one_too_many(lab: Any) -> None:
    coordinator = await lab.coordinator()
    coordinator.mailbox.post([(lab.task(TASK), "bank-a", None)])
    call = await lab.attach(coordinator.port, "bank-a")
    assert (await call.read()).chunk.message_id == TASK
    for _ in range(2):
        await call.write(pb.Frame(ack=pb.Ack(message_id=TASK)))
    assert "no message under way" in (await refusal_of(call))[1]


async def test_a_stream_that_does_not_begin_with_a_hello_is_refused(lab: Any) -> None:
    coordinator = await lab.coordinator()
    call = lab.dial(coordinator.port, "bank-a")
    await call.write(chunk())
    assert "must be a Hello" in (await refusal_of(call))[1]
    assert "must be a Hello" in coordinator.reasons("peer.refused")[0]


def hello(**has: Any) -> pb.Frame:
    """Of a node that says that it has the beginning of a task."""
    unfinished = pb.Unfinished(**({"message_id": TASK, "total": 3 * MIB, "sha256": bytes(32)} | has))
    return pb.Frame(hello=pb.Hello(version=1, network="demo", unfinished=[unfinished]))


async def test_a_node_that_lies_about_what_it_has_harms_only_itself(lab: Any) -> None:
    coordinator = await lab.coordinator()
    coordinator.mailbox.post([(lab.task(TASK, bytes(3 * MIB)), "bank-a", None)])
    call = await lab.attach(coordinator.port, "bank-a")
    sent = (await call.read()).chunk
    too_much = lab.dial(coordinator.port, "bank-a")
    await too_much.write(hello(total=sent.total, sha256=sent.sha256, have=sent.total))
    assert "than there can be" in (await refusal_of(too_much))[1]
    for has, first in (({"have": MIB}, 0), ({"total": sent.total, "sha256": sent.sha256, "have": 7}, 7)):
        call = lab.dial(coordinator.port, "bank-a")
        await call.write(hello(**has))
        assert (await call.read()).HasField("hello")
        chunk = (await call.read()).chunk
        assert (chunk.message_id, chunk.offset, chunk.sha256) == (TASK, first, sent.sha256)


async def test_a_truncated_message_counts_as_never_sent(lab: Any) -> None:
    coordinator = await lab.coordinator()
    call = await lab.attach(coordinator.port, "bank-a")
    await call.write(chunk(total=8))
    await call.write(pb.Frame(bye=pb.Bye(reason="over")))
    assert (await call.read()) is grpc.aio.EOF
    assert coordinator.reasons("peer.disconnected") == ["over"]
    assert coordinator.reasons("message.refused") == []


async def test_a_frame_above_the_limit_of_grpc_ends_its_stream_only(lab: Any) -> None:
    coordinator = await lab.coordinator()
    await lab.attach(coordinator.port, "bank-b")
    call = await lab.attach(coordinator.port, "bank-a", ("grpc.max_send_message_length", -1))
    await call.write(chunk(data=bytes(5 * MIB), total=6 * MIB))
    assert (await refusal_of(call))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    await lab.until(lambda: coordinator.service.connected() == {"bank-b"})


async def test_bytes_that_are_no_frames_are_refused(lab: Any) -> None:
    coordinator = await lab.coordinator()
    raw = lab.channel(coordinator.port, "bank-a").stream_stream("/consortia.v1.Exchange/Attach")()
    await raw.write(b"\xff\xff\xff\xff")
    _, said = await refusal_of(raw)
    assert "can't be decoded" in said
    assert "can't be decoded" in coordinator.reasons("peer.refused")[0]


@pytest.mark.parametrize(
    ("task_id", "reply", "why"),
    [
        ("nobody/asked/0/bank-a", pb.Reply(task_id="nobody/asked/0/bank-a"), "was not given"),
        ("job/echo/0/bank-b", pb.Reply(task_id="job/echo/0/bank-b", job_id="job"), "was not given"),
        (TASK, pb.Reply(task_id=TASK, job_id="other", failure=pb.Failure()), "another task or job"),
        (TASK, pb.Reply(task_id="x", job_id="job", failure=pb.Failure()), "another task or job"),
        (TASK, pb.Reply(task_id=TASK, job_id="job"), "neither what came out"),
        (TASK, b"\xff\xff", "can't be decoded"),
    ],
)
async def test_a_reply_that_answers_nothing_is_logged_and_the_stream_goes_on(
    task_id: str, reply: pb.Reply | bytes, why: str, lab: Any
) -> None:
    coordinator = await lab.coordinator()
    for institution in ("bank-a", "bank-b"):
        coordinator.mailbox.post([(lab.task(f"job/echo/0/{institution}"), institution, None)])
    call = await lab.attach(coordinator.port, "bank-a")
    assert (await call.read()).chunk.message_id == TASK
    await call.write(pb.Frame(ack=pb.Ack(message_id=TASK)))
    data = reply if isinstance(reply, bytes) else reply.SerializeToString()
    digest = hashlib.sha256(data).digest()
    await call.write(chunk(message_id=task_id, data=data, total=len(data), sha256=digest))
    assert (await call.read()).ack.message_id == task_id
    assert why in coordinator.reasons("message.refused")[0]
    assert coordinator.service.connected() == {"bank-a"}
    if task_id == TASK:
        (kept,) = (await coordinator.replies(TASK)).values()
        assert kept.failure.blame == "bank-a"
    assert coordinator.mailbox.replies(["job/echo/0/bank-b"], 0) == {}


class FalseCoordinator:
    """Says what it is told to, whatever comes."""

    def __init__(self, frames: list[pb.Frame]) -> None:
        self._frames = frames
        self.byes: list[str] = []

    async def Attach(self, requests: Any, context: Any) -> None:
        assert (await context.read()).HasField("hello")
        for frame in self._frames:
            await context.write(frame)
        while (frame := await context.read()) is not grpc.aio.EOF:
            if frame.HasField("bye"):
                self.byes.append(frame.bye.reason)


HELLO = pb.Frame(hello=pb.Hello(version=1, network="demo", heartbeat_ms=1000))


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        ([pb.Frame(hello=pb.Hello(version=1, network="demo"))], "asks for a heartbeat every 0.0"),
        ([pb.Frame(hello=pb.Hello(version=1, network="x", heartbeat_ms=1000))], "another network"),
        ([pb.Frame(heartbeat=pb.Heartbeat())], "must be a Hello"),
        ([HELLO, chunk()], "can't be decoded"),
        ([HELLO, chunk(data=b"", total=1)], "empty"),
        ([HELLO, HELLO], "only the first, must be a Hello"),
    ],
)
async def test_a_coordinator_that_breaks_a_rule_is_left_and_tried_again(
    frames: list[pb.Frame], why: str, lab: Any
) -> None:
    false = FalseCoordinator(frames)
    _, port = await lab.serve(false)
    node = lab.node("bank-a", port)
    await lab.until(lambda: any(why in reason for _, reason in node.states))
    assert why in node.refused[0]
    if len(frames) == 2:
        await lab.until(lambda: any(why in reason for reason in false.byes))
    assert node.store.pending() == []
    await node.stop()


async def test_a_false_certificate_is_not_spoken_to(lab: Any) -> None:
    coordinator = await lab.coordinator()
    lab.forget_authorities()
    node = lab.node("bank-a", coordinator.port)
    await lab.until(lambda: len(node.states) > 0)
    await asyncio.sleep(0.5)
    assert {state for state, _ in node.states} == {"disconnected"}
    assert coordinator.events == []
    assert node.refused == []
    await node.stop()


async def test_a_flood_of_replies_that_answer_nothing_ends_its_stream_and_fills_no_log(lab: Any) -> None:
    coordinator = await lab.coordinator()
    call = await lab.attach(coordinator.port, "bank-a")
    for number in range(300):
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await call.write(chunk(message_id=f"nobody/asked/{number}/bank-a"))
    status, said = await refusal_of(call)
    assert status is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "asks more often than a member may" in said
    assert len(coordinator.reasons("message.refused")) < 150


async def test_a_coordinator_that_sends_too_many_tasks_is_hung_up_on_until_there_are_fewer(lab: Any) -> None:
    coordinator = await lab.coordinator()
    at_work = threading.Event()

    def busy(task: pb.Task) -> pb.Reply:
        at_work.wait(30)
        return pb.Reply(content=task.content)

    node = lab.node("bank-a", coordinator.port, busy, queue=5)
    asked = [f"job/echo/{turn}/bank-a" for turn in range(20)]
    coordinator.mailbox.post([(lab.task(task_id), "bank-a", None) for task_id in asked])
    await lab.until(lambda: len(node.refused) > 1)
    assert "5 tasks wait here already" in node.refused[0]
    assert len(node.store.pending()) <= 7  # five wait, one is at work, one was taken up meanwhile
    at_work.set()
    assert len(await coordinator.replies(*asked)) == 20
