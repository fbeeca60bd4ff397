"""Members with good certificates and bad intentions: they crash nobody, and everybody else is served.

What they say is what honest members said, spoilt. Nothing of it may meet an error that nobody expected, which would
be an internal error for the caller.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from consortia_common import logs, tls
from consortia_coordinator import served
from consortia_proto.v1 import exchange_pb2
from tests.fuzz.mutation import mutate, mutate_fields
from tests.support import consortium as support
from tests.support.consortium import Consortium
from tests.support.recorder import IN, Recorder
from tests.support.specs import spec

ATTACH = "consortia.v1.Exchange.Attach"
ATTEND = "consortia.v1.Witnessing.Attend"
METHODS = {
    method.full_name: method
    for name in served.SERVICES
    for method in descriptor_pool.Default().FindServiceByName(name).methods
}
ANSWERED = {
    *(grpc.StatusCode.OK, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT),
    *(grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED),
}
"""How a call may end."""
HOSTILE = {"bank-x": "node", "analyst": "analyst", "regulator": "regulator"}
ROUNDS = 12


@dataclass(frozen=True)
class Seat:
    """A running consortium, what was honestly said in it, and what it met that nobody expected."""

    consortium: Consortium
    recorder: Recorder
    unexpected: list[str]

    def channel(self, whose: str) -> grpc.Channel:
        shown = tls.Credentials.load(self.consortium.root / whose)
        return tls.client_channel(f"127.0.0.1:{self.consortium.port}", shown, "lab")

    def said(self, method: str) -> list[bytes]:
        """What honest callers said in this call, which may have been nothing."""
        service_name, _, name = method.rpartition(".")
        return sorted(set(self.recorder.of(f"/{service_name}/{name}", IN)))[:40] or [b""]


@pytest.fixture(scope="module")
def seat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seat]:
    """One more member, bank-x, is enrolled; its node does not run."""
    unexpected: list[str] = []
    failure = logs.failure

    def noted(name: str, error: BaseException, **fields: Any) -> None:
        if not name.endswith(".refused"):
            unexpected.append(f"{name}: {error!r}")
        failure(name, error, **fields)

    consortium = support.build(tmp_path_factory.mktemp("fuzzed"))
    recorder = Recorder()
    with pytest.MonkeyPatch.context() as patched, support.running(consortium, [recorder]):
        support.prepare(consortium, min_cell=1)
        support.enrol_node(consortium, "bank-x")
        job_id = consortium.submit(spec("statistics"))
        assert consortium.finish(job_id).state == "finished"
        with consortium.analyst() as session:
            session.result(job_id)
            session.jobs()
        patched.setattr(logs, "failure", noted)
        yield Seat(consortium, recorder, unexpected)


def spoilt(method: Any, good: bytes, others: list[bytes], random: Random) -> bytes:
    """A request that is still one by its encoding: a field of it is spoilt, or the bytes are, and it is decoded."""
    kind = message_factory.GetMessageClass(method.input_type)
    with contextlib.suppress(DecodeError):
        return bytes(kind.FromString(mutate(good, others, random)).SerializeToString())
    return mutate_fields(kind.FromString(good), random)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in (ATTACH, ATTEND)])
def test_a_spoilt_call_is_refused_or_answered(name: str, seat: Seat) -> None:
    method, random = METHODS[name], Random(name)
    path = "/" + "/".join(name.rsplit(".", 1))
    good = seat.said(name)
    for whose in HOSTILE:
        with seat.channel(whose) as channel:
            call: Any = channel.unary_stream(path)  # takes one answer as well as many
            for _ in range(ROUNDS):
                answers = call(spoilt(method, random.choice(good), good, random), timeout=5)
                with contextlib.suppress(grpc.RpcError):
                    for _, _ in zip(answers, range(3), strict=False):
                        pass
                answers.cancel()
                assert answers.code() in ANSWERED | {grpc.StatusCode.CANCELLED}, answers.details()
    assert seat.unexpected == []


@pytest.mark.parametrize("name", [ATTACH, ATTEND])
def test_spoilt_streams_end_and_others_go_on(name: str, seat: Seat) -> None:
    """Frames that bank-x has no business to send, spoilt, after a good beginning and in any order."""
    random, good = Random(name), seat.said(name)
    path = "/" + "/".join(name.rsplit(".", 1))
    hello = exchange_pb2.Frame(hello=exchange_pb2.Hello(version=1, network="lab")).SerializeToString()
    with seat.channel("bank-x") as channel:
        call: Any = channel.stream_stream(path)
        for _ in range(3 * ROUNDS):
            begin = [hello] if name == ATTACH and random.random() < 0.9 else []
            frames = [mutate(random.choice(good), good, random) for _ in range(random.randint(1, 6))]
            answers = call(iter(begin + frames), timeout=3)
            with contextlib.suppress(grpc.RpcError):
                for _, _ in zip(answers, range(3), strict=False):
                    pass
            answers.cancel()
    assert seat.unexpected == []


def test_after_all_that_jobs_finish(seat: Seat) -> None:
    """Runs last: every node is still connected, and everybody is served."""
    connected = seat.consortium.running[0].exchange.connected()
    assert {"bank-a", "bank-b", "bank-c"} <= connected
    assert seat.consortium.run(spec("statistics")).state == "finished"
    assert seat.unexpected == []
