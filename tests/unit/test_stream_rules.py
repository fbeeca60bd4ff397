"""Each rule of the framing, broken once: the error names the peer and what it did."""

import hashlib

import pytest

from consortia_common import stream
from consortia_common.errors import ExchangeError
from consortia_common.stream import Assembler, Receiver, check_size, chunks, legible
from consortia_proto.v1 import exchange_pb2 as pb

MIB = stream.CHUNK_BYTES
HELLO = pb.Frame(hello=pb.Hello(version=1, network="demo"))


def first(data: bytes = b"ab", *, total: int = 4, message_id: str = "m", whole: bytes = b"abcd") -> pb.Chunk:
    return pb.Chunk(message_id=message_id, total=total, data=data, sha256=hashlib.sha256(whole).digest())


def later(offset: int, data: bytes, total: int = 4, sha256: bytes = b"") -> pb.Chunk:
    return pb.Chunk(message_id="m", total=total, offset=offset, data=data, sha256=sha256)


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ([first(b"")], "empty"),
        ([first(bytes(MIB + 1), total=MIB + 1)], "longer than 1048576"),
        ([first(message_id="")], "id is empty"),
        ([first(message_id="a b")], "not printable"),
        ([first(message_id="x" * 161)], "too long"),
        ([later(2, b"cd")], "does not begin"),
        ([pb.Chunk(message_id="m", total=4, data=b"ab", sha256=b"short")], "does not begin"),
        ([first(total=0)], "longer than was announced"),
        ([first(), later(1, b"bcd")], "does not continue"),
        ([first(), later(3, b"d")], "does not continue"),
        ([first(), first()], "does not continue"),
        ([first(), later(2, b"cd", total=5)], "does not continue"),
        ([first(), later(2, b"cd", sha256=bytes(32))], "carries a hash"),
        ([first(), later(2, b"cde")], "longer than was announced"),
        ([first(), later(2, b"cX")], "does not match its hash"),
        ([first(total=101)], "longer than 100 bytes"),
        ([first(total=2**63)], "longer than 100 bytes"),
        ([first(total=51, message_id="a"), first(total=50, message_id="b")], "longer than 100 bytes"),
        ([first(message_id=str(number)) for number in range(5)], "more than 4 messages"),
    ],
)
def test_a_broken_chunk_rule_names_the_peer(parts: list[pb.Chunk], why: str) -> None:
    assembler = Assembler("bank-a", limit=MIB + 100 if len(parts[0].data) > MIB else 100)
    for part in parts[:-1]:
        assembler.add(part)
    with pytest.raises(ExchangeError, match=why) as caught:
        assembler.add(parts[-1])
    assert caught.value.blame == "bank-a"


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        ([pb.Frame(heartbeat=pb.Heartbeat(sequence=1))], "must be a Hello"),
        ([pb.Frame()], "must be a Hello"),
        ([HELLO, HELLO], "only the first, must be a Hello"),
        ([HELLO, pb.Frame()], "no known kind"),
        ([HELLO, pb.Frame(bye=pb.Bye()), pb.Frame(bye=pb.Bye())], "after the Bye"),
        ([pb.Frame(hello=pb.Hello(version=2, network="demo"))], "version 2"),
        ([pb.Frame(hello=pb.Hello(version=1, network="other"))], "another network"),
    ],
)
def test_a_broken_frame_rule_names_the_peer(frames: list[pb.Frame], why: str) -> None:
    receiver = Receiver("bank-a", "demo")
    for frame in frames[:-1]:
        receiver.receive(frame)
    with pytest.raises(ExchangeError, match=why) as caught:
        receiver.receive(frames[-1])
    assert caught.value.blame == "bank-a"


def test_frames_in_order_mean_what_they_say() -> None:
    receiver = Receiver("bank-a", "demo")
    assert receiver.receive(HELLO) == HELLO.hello
    (part,) = chunks("m", b"abcd")
    assert receiver.receive(pb.Frame(chunk=part)) == stream.Message("m", b"abcd")
    for frame in (
        pb.Frame(ack=pb.Ack(message_id="m")),
        pb.Frame(heartbeat=pb.Heartbeat(sequence=3)),
        pb.Frame(bye=pb.Bye(reason="over")),
    ):
        assert receiver.receive(frame) == getattr(frame, frame.WhichOneof("body") or "")


def test_a_message_too_large_is_stopped_where_it_is_made() -> None:
    check_size(b"1234", 4, "this job")
    with pytest.raises(ExchangeError, match="at most 4"):
        check_size(b"12345", 4, "this job")


def test_a_peers_words_are_made_legible() -> None:
    assert legible("a\nb\x1b[31m\u00e9" + "x" * 300) == "a?b?[31m?" + "x" * 191
