"""Framing: what is cut comes together again however messages interleave, and garbage raises only ExchangeError."""

import contextlib
import hashlib

from hypothesis import given
from hypothesis import strategies as st

from consortia_common import stream
from consortia_common.errors import ExchangeError
from consortia_common.stream import Assembler, Message, Receiver, chunks
from consortia_proto.v1 import exchange_pb2 as pb

MESSAGES = st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=stream.OPEN_MESSAGES)
CHUNKS = st.builds(
    pb.Chunk,
    message_id=st.sampled_from(["a", "b", "", "é", "x" * 200]),
    total=st.integers(0, 12),
    offset=st.integers(0, 12),
    data=st.binary(max_size=8),
    sha256=st.sampled_from([b"", b"x" * 32, hashlib.sha256(b"abcd").digest(), b"x"]),
)
FRAMES = st.one_of(
    st.builds(lambda chunk: pb.Frame(chunk=chunk), CHUNKS),
    st.just(pb.Frame(hello=pb.Hello(version=1, network="demo"))),
    st.builds(lambda text: pb.Frame(bye=pb.Bye(reason=text)), st.text(max_size=5)),
    st.builds(lambda text: pb.Frame(ack=pb.Ack(message_id=text)), st.text(max_size=5)),
    st.just(pb.Frame()),
)


def split(message_id: str, data: bytes, size: int) -> list[pb.Chunk]:
    """Chunks of ``size`` bytes; the module itself always cuts at 1 MiB."""
    digest = hashlib.sha256(data).digest()
    return [
        pb.Chunk(
            message_id=message_id,
            total=len(data),
            offset=offset,
            data=data[offset : offset + size],
            sha256=b"" if offset else digest,
        )
        for offset in range(0, len(data), size)
    ]


@given(messages=MESSAGES, size=st.integers(1, 64), data=st.data())
def test_interleaved_messages_come_together(messages: list[bytes], size: int, data: st.DataObject) -> None:
    waiting = {str(number): split(str(number), message, size) for number, message in enumerate(messages)}
    assembler = Assembler("bank-a")
    whole: dict[str, bytes] = {}
    while waiting:
        message_id = data.draw(st.sampled_from(sorted(waiting)))
        message = assembler.add(waiting[message_id].pop(0))
        if message is not None:
            whole[message.message_id] = message.data
            del waiting[message_id]
    assert whole == {str(number): message for number, message in enumerate(messages)}


@given(extra=st.integers(-2, 2), count=st.integers(1, 3))
def test_long_messages_are_cut_at_the_chunk_size(extra: int, count: int) -> None:
    data = bytes(count * stream.CHUNK_BYTES + extra)
    parts = list(chunks("job/step/0/bank-a", data))
    assert max(len(part.data) for part in parts) <= stream.CHUNK_BYTES
    assembler = Assembler("bank-a")
    assert [assembler.add(part) for part in parts][-1] == Message("job/step/0/bank-a", data)


@given(st.lists(CHUNKS, max_size=12))
def test_garbage_chunks_raise_only_exchange_errors(parts: list[pb.Chunk]) -> None:
    assembler = Assembler("bank-a", limit=16)
    with contextlib.suppress(ExchangeError):
        for part in parts:
            message = assembler.add(part)
            assert message is None or len(message.data) <= 16


@given(st.lists(FRAMES, max_size=12))
def test_garbage_frames_raise_only_exchange_errors(frames: list[pb.Frame]) -> None:
    receiver = Receiver("bank-a", "demo", limit=16)
    with contextlib.suppress(ExchangeError):
        for frame in frames:
            receiver.receive(frame)
