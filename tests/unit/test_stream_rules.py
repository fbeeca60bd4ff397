"""Each rule of the framing, broken once: the error names the peer and what it did."""

import hashlib

import pytest

from consortia_common import stream
from consortia_common.errors import ExchangeError
from consortia_common.stream import Assembler, Part, Piece, Receiver, check_size, legible, parts_of, resume_at, told
from consortia_proto.v1 import exchange_pb2 as pb

MIB = stream.CHUNK_BYTES
HELLO = pb.Frame(hello=pb.Hello(version=1, network="demo"))


def first(data: bytes = b"ab", *, total: int = 4, message_id: str = "m", whole: bytes = b"abcd") -> pb.Chunk:
    return pb.Chunk(message_id=message_id, total=total, data=data, sha256=hashlib.sha256(whole).digest())


def later(offset: int, data: bytes, total: int = 4, sha256: bytes = b"") -> pb.Chunk:
    return pb.Chunk(message_id="m", total=total, offset=offset, data=data, sha256=sha256)


def unfinished(have: int) -> pb.Unfinished:
    return pb.Unfinished(message_id="m", total=4, sha256=bytes(32), have=have)


def left(message_id: str, total: int = 4, have: int = 2) -> Part:
    return Part(message_id, total, hashlib.sha256(b"abcd").digest(), have)


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
        ([pb.Chunk(message_id="m", total=4, data=b"ab", sha256=bytes(32), body=4)], "nothing but a body"),
        ([first(total=0)], "longer than was announced"),
        ([first(), later(1, b"bcd")], "does not continue"),
        ([first(), later(3, b"d")], "does not continue"),
        ([first(), first()], "carries a hash"),
        ([first(), later(2, b"cd", total=5)], "does not continue"),
        ([first(), later(2, b"cd", sha256=bytes(32))], "carries a hash"),
        ([first(), later(2, b"cde")], "longer than was announced"),
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
        ([pb.Frame(hello=pb.Hello(version=1, network="demo", unfinished=[unfinished(4)]))], "than there can be"),
        ([pb.Frame(hello=pb.Hello(version=1, network="demo", unfinished=[unfinished(0)]))], "than there can be"),
        (
            [pb.Frame(hello=pb.Hello(version=1, network="demo", unfinished=[unfinished(1)] * 5))],
            "than there can be",
        ),
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
    part = first(b"abcd")
    assert receiver.receive(pb.Frame(chunk=part)) == Piece("m", 4, part.sha256, 0, b"abcd")
    for frame in (
        pb.Frame(ack=pb.Ack(message_id="m")),
        pb.Frame(heartbeat=pb.Heartbeat(sequence=3)),
        pb.Frame(bye=pb.Bye(reason="over")),
    ):
        assert receiver.receive(frame) == getattr(frame, frame.WhichOneof("body") or "")


def test_a_message_too_large_is_stopped_where_it_is_made() -> None:
    check_size(4, 4, "this job")
    with pytest.raises(ExchangeError, match="at most 4"):
        check_size(5, 4, "this job")


def test_a_peers_words_are_made_legible() -> None:
    assert legible("a\nb\x1b[31m\u00e9" + "x" * 300) == "a?b?[31m?" + "x" * 191


def test_a_message_that_was_cut_is_gone_on_with_where_it_was() -> None:
    again = pb.Chunk(message_id="m", total=4, offset=2, data=b"cd", sha256=left("m").sha256)
    assert Assembler("bank-a", parts=[left("m")]).add(again).is_last


@pytest.mark.parametrize(
    "change", [{"offset": 1}, {"offset": 3}, {"total": 5}, {"sha256": bytes(32)}, {"sha256": b""}]
)
def test_it_is_not_gone_on_with_elsewhere_or_as_another(change: dict[str, object]) -> None:
    fields: dict[str, object] = {
        "message_id": "m",
        "total": 4,
        "offset": 2,
        "data": b"c",
        "sha256": left("m").sha256,
    }
    with pytest.raises(ExchangeError, match="does not begin"):
        Assembler("bank-a", parts=[left("m")]).add(pb.Chunk(**(fields | change)))


def test_what_is_left_of_earlier_streams_makes_room_the_oldest_first() -> None:
    assembler = Assembler("bank-a", limit=18, parts=[left(name) for name in "abcd"])
    assert assembler.add(first(b"abcd", message_id="short")).displaced == ()
    assert assembler.add(first(message_id="c")).displaced == ("c",)  # begun anew by its sender
    assert assembler.add(first(message_id="e")).displaced == ("a",)
    assert assembler.add(first(message_id="f", total=6)).displaced == ("b",)
    assert assembler.add(first(message_id="g")).displaced == ("d",)
    with pytest.raises(ExchangeError, match="more than 4"):
        assembler.add(first(message_id="h"))


def test_a_sender_believes_what_is_said_of_its_own_message_only() -> None:
    kept = parts_of(pb.Hello(unfinished=told([left("m"), left("n", have=0)])))
    assert kept == {"m": left("m")}
    assert resume_at(kept["m"], 4, left("m").sha256) == 2
    assert resume_at(kept["m"], 5, left("m").sha256) == 0
    assert resume_at(kept["m"], 4, bytes(32)) == 0
    assert resume_at(None, 4, bytes(32)) == 0
