"""Framing: what is cut comes together again however messages interleave, and garbage raises only ExchangeError."""

import contextlib
import hashlib

from hypothesis import given
from hypothesis import strategies as st

from consortia_common import stream
from consortia_common.errors import ExchangeError
from consortia_common.stream import Assembler, Part, Receiver, resume_at
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
PARTS = st.builds(
    Part,
    message_id=st.sampled_from(["a", "b"]),
    total=st.integers(2, 12),
    sha256=st.sampled_from([b"x" * 32, hashlib.sha256(b"abcd").digest()]),
    have=st.integers(0, 12),
)
UNFINISHED = st.builds(
    pb.Unfinished,
    message_id=st.text(max_size=3),
    total=st.integers(0, 2**64 - 1),
    sha256=st.binary(max_size=3),
    have=st.integers(0, 2**64 - 1),
)
FRAMES = st.one_of(
    st.builds(lambda chunk: pb.Frame(chunk=chunk), CHUNKS),
    st.just(pb.Frame(hello=pb.Hello(version=1, network="demo"))),
    st.builds(
        lambda parts: pb.Frame(hello=pb.Hello(version=1, network="demo", unfinished=parts)),
        st.lists(UNFINISHED, max_size=6),
    ),
    st.builds(lambda text: pb.Frame(bye=pb.Bye(reason=text)), st.text(max_size=5)),
    st.builds(lambda text: pb.Frame(ack=pb.Ack(message_id=text)), st.text(max_size=5)),
    st.just(pb.Frame()),
)


def split(message_id: str, data: bytes, size: int, start: int = 0) -> list[pb.Chunk]:
    """Chunks of ``size`` bytes; a link itself cuts at 1 MiB."""
    digest = hashlib.sha256(data).digest()
    return [
        pb.Chunk(
            message_id=message_id,
            total=len(data),
            offset=offset,
            data=data[offset : offset + size],
            sha256=digest if offset == start else b"",
        )
        for offset in range(start, len(data), size)
    ]


@given(messages=MESSAGES, size=st.integers(1, 64), data=st.data())
def test_interleaved_messages_come_together(messages: list[bytes], size: int, data: st.DataObject) -> None:
    waiting = {str(number): split(str(number), message, size) for number, message in enumerate(messages)}
    assembler = Assembler("bank-a")
    come = dict.fromkeys(waiting, b"")
    while waiting:
        message_id = data.draw(st.sampled_from(sorted(waiting)))
        piece = assembler.add(waiting[message_id].pop(0))
        assert (piece.message_id, piece.offset) == (message_id, len(come[message_id]))
        come[message_id] += piece.data
        assert piece.is_last == (not waiting[message_id])
        if piece.is_last:
            del waiting[message_id]
    assert come == {str(number): message for number, message in enumerate(messages)}


@given(data=st.binary(min_size=2, max_size=300), size=st.integers(1, 64), cut=st.data())
def test_a_message_goes_on_where_it_was_cut(data: bytes, size: int, cut: st.DataObject) -> None:
    have = cut.draw(st.integers(1, len(data) - 1))
    part = Part("m", len(data), hashlib.sha256(data).digest(), have)
    start = resume_at(part, len(data), part.sha256)
    assembler = Assembler("bank-a", parts=[part])
    pieces = [assembler.add(chunk) for chunk in split("m", data, size, start)]
    assert data[:have] + b"".join(piece.data for piece in pieces) == data
    assert [piece.is_last for piece in pieces] == [False] * (len(pieces) - 1) + [True]


@given(parts=st.lists(PARTS, max_size=5), chunks=st.lists(CHUNKS, max_size=12))
def test_garbage_chunks_raise_only_exchange_errors(parts: list[Part], chunks: list[pb.Chunk]) -> None:
    assembler = Assembler("bank-a", limit=16, parts=parts)
    with contextlib.suppress(ExchangeError):
        for chunk in chunks:
            piece = assembler.add(chunk)
            assert 0 < piece.offset + len(piece.data) <= piece.total <= 16


@given(st.lists(FRAMES, max_size=12))
def test_garbage_frames_raise_only_exchange_errors(frames: list[pb.Frame]) -> None:
    receiver = Receiver("bank-a", "demo", limit=16)
    with contextlib.suppress(ExchangeError):
        for frame in frames:
            receiver.receive(frame)
