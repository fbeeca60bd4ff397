"""A caller takes what comes in parts, and does not take it for ever."""

import itertools

import pytest

from consortia_common import rpc
from consortia_common.errors import ExchangeError
from consortia_proto.v1 import network_pb2 as pb


def test_a_stream_that_ends_is_taken_whole() -> None:
    parts = [pb.JobResult(envelope=bytes([number]) * 10) for number in range(3)]
    assert rpc.gathered(iter(parts), "it") == parts
    assert rpc.gathered(iter(()), "it") == []


def test_one_that_does_not_end_is_given_up() -> None:
    taken = itertools.count()
    endless = (pb.JobResult(envelope=bytes(1 << 20)) for _ in taken)
    with pytest.raises(ExchangeError, match="the coordinator sent more than 8 MiB"):
        rpc.gathered(endless, "the coordinator", most=8 << 20)
    assert next(taken) <= 9
