"""Frames of a live, authenticated stream, spoilt: out of order, torn, bit-flipped, with lengths that can't be.

In both directions. What is sent begins as a conversation that is right, so that every state of a stream is reached.
Whoever gets it ends the stream, in words; others' streams and later ones go on, and nothing counts that did not
come whole.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

import grpc
import pytest
from google.protobuf.message import DecodeError

from consortia_common import logs
from consortia_node import exchange
from consortia_proto.v1 import exchange_pb2 as pb
from tests.fuzz.mutation import mutate

FEW_OR_MANY = pytest.mark.parametrize("rounds", [15, pytest.param(200, marks=pytest.mark.slow)])
HUGE = (2**63, 2**64 - 1, 2**32, 2**31 - 1, 0)
HELLO = pb.Frame(hello=pb.Hello(version=1, network="demo", heartbeat_ms=1000))
TASK = "job/echo/0/bank-a"


@pytest.fixture
def unexpected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What this process meets that nobody foresaw."""
    found: list[str] = []

    def noted(name: str, error: BaseException, **fields: Any) -> None:
        if not name.endswith(".refused"):
            found.append(f"{name}: {error!r}")

    monkeypatch.setattr(logs, "failure", noted)
    return found


def conversation(random: Random) -> list[bytes]:
    """Frames in which a message of three chunks is sent, and the rest that there is, after the Hello."""
    data = pb.Task(task_id=TASK, job_id="job", step="echo").SerializeToString() + b"\x32\x00" * 20
    cuts = sorted(random.sample(range(1, len(data)), 2))
    pieces = zip([0, *cuts], [*cuts, len(data)], strict=True)
    chunks = [
        pb.Chunk(message_id=TASK, total=len(data), offset=start, data=data[start:end]) for start, end in pieces
    ]
    chunks[0].sha256 = hashlib.sha256(data).digest()
    frames = [pb.Frame(chunk=chunk) for chunk in chunks]
    frames.insert(random.randrange(4), pb.Frame(heartbeat=pb.Heartbeat(sequence=1)))
    frames += [pb.Frame(ack=pb.Ack(message_id=TASK)), pb.Frame(bye=pb.Bye(reason="over"))]
    return [frame.SerializeToString() for frame in frames]


def _impossible(frame: bytes, random: Random) -> bytes:
    """A frame whose lengths can't be."""
    changed = pb.Frame.FromString(frame)
    if changed.HasField("chunk"):
        setattr(changed.chunk, random.choice(("total", "offset", "body")), random.choice(HUGE))
    return changed.SerializeToString()


def _begun(number: int) -> bytes:
    """The beginning of one more message."""
    chunk = pb.Chunk(message_id=f"job/echo/{number}/bank-a", total=9, data=b"x", sha256=bytes(32))
    return pb.Frame(chunk=chunk).SerializeToString()


WAYS: dict[str, Callable[[list[bytes], Random], list[bytes]]] = {
    "out of order": lambda frames, random: random.sample(frames, len(frames)),
    "twice": lambda frames, random: [frame for frame in frames for _ in range(random.randint(1, 3))],
    "with gaps": lambda frames, random: [frame for frame in frames if random.random() < 0.6],
    "torn": lambda frames, random: [frame[: random.randint(0, len(frame))] for frame in frames],
    "flipped": lambda frames, random: [mutate(frame, frames, random) for frame in frames],
    "impossible": lambda frames, random: [_impossible(frame, random) for frame in frames],
    "too many hellos": lambda frames, random: [*frames[:2], HELLO.SerializeToString(), *frames[2:]],
    "other messages": lambda frames, random: [_begun(number) for number in range(random.randint(1, 9))],
    "no frames": lambda frames, random: [pb.Task(task_id=TASK, step="offer").SerializeToString(), *frames],
}


def spoilt(random: Random) -> list[bytes]:
    """A conversation, spoilt in one or two ways."""
    frames = conversation(random)
    for way in random.sample(sorted(WAYS), random.randint(1, 2)):
        with contextlib.suppress(ValueError, DecodeError):  # what one way has spoilt, another can't read
            frames = WAYS[way](frames, random)
    return frames


async def said_to(stream: Any, frames: list[bytes]) -> str:
    """With which words the coordinator ends the stream after these."""
    with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        for frame in frames:
            await stream.write(frame)
        await stream.done_writing()
        while await stream.read() is not grpc.aio.EOF:
            pass
    return str(await stream.details())


@FEW_OR_MANY
async def test_a_coordinator_before_a_node_s_spoilt_frames(rounds: int, lab: Any, unexpected: list[str]) -> None:
    coordinator = await lab.coordinator()
    lab.node("bank-b", coordinator.port)
    random = Random(rounds)
    channel = lab.channel(coordinator.port, "bank-a")
    for number in range(rounds):
        if number % 5 == 0:
            await asyncio.sleep(0.3)  # the rate of streams is bounded, and what is bounded is not fuzzed
        coordinator.mailbox.post([(lab.task(f"other/echo/{number}/bank-b"), "bank-b", None)])
        begin = [HELLO.SerializeToString()] if random.random() < 0.95 else []
        stream = channel.stream_stream("/consortia.v1.Exchange/Attach")()
        assert "internal error" not in await said_to(stream, begin + spoilt(random))
    await coordinator.replies(*(f"other/echo/{number}/bank-b" for number in range(rounds)))
    assert coordinator.service.connected() == {"bank-b"}
    lab.node("bank-a", coordinator.port)
    coordinator.mailbox.post([(lab.task("honest/echo/0/bank-a"), "bank-a", None)])
    await coordinator.replies("honest/echo/0/bank-a")
    assert unexpected == []


class SpoiltCoordinator(grpc.GenericRpcHandler):
    """Says Hello, then something spoilt, on each stream that a node opens; ``rounds`` times, then it hangs up."""

    def __init__(self, rounds: int) -> None:
        self.random, self.left, self.done = Random(rounds), rounds, asyncio.Event()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return grpc.stream_stream_rpc_method_handler(self._attach)

    async def _attach(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        self.left -= 1
        if self.left < 0:
            self.done.set()
            return
        if self.random.random() < 0.95:
            yield HELLO.SerializeToString()
        for frame in spoilt(self.random):
            yield frame
        if self.random.random() < 0.5:  # the others are cut off without a word
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    async for _ in requests:
                        pass


@FEW_OR_MANY
async def test_a_node_before_a_coordinator_s_spoilt_frames(
    rounds: int, lab: Any, unexpected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "GRACE_SECONDS", 0.1)
    false = SpoiltCoordinator(rounds)
    server, port = await lab.serve(false)
    node = lab.node("bank-a", port)
    async with asyncio.timeout(30 + rounds):
        await false.done.wait()
    await server.stop(0)
    assert not node.running.done()
    assert node.refused
    coordinator = await lab.coordinator(port)
    coordinator.mailbox.post([(lab.task("honest/echo/0/bank-a"), "bank-a", None)])
    await coordinator.replies("honest/echo/0/bank-a")
    assert unexpected == []
    assert {task.task_id for task in node.store.pending()} == set()
    await node.stop()
