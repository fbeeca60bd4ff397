"""gRPC's health protocol on the coordinator's port; and what is not served there."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from consortia_common import tls
from consortia_coordinator import served
from consortia_node.service import checks_of
from tests.support.consortium import Consortium
from tests.support.specs import BANKS


@pytest.fixture(scope="module")
def channel(consortium: Consortium) -> Iterator[grpc.Channel]:
    """As the analyst."""
    shown = tls.Credentials.load(consortium.root / "analyst")
    with tls.client_channel(f"127.0.0.1:{consortium.port}", shown, "lab") as made:
        yield made


def check(channel: grpc.Channel, name: str = "") -> int:
    request = health_pb2.HealthCheckRequest(service=name)
    return int(health_pb2_grpc.HealthStub(channel).Check(request, timeout=20).status)


@pytest.mark.parametrize("name", ["", *served.SERVICES])
def test_every_service_is_ready(name: str, channel: grpc.Channel) -> None:
    assert check(channel, name) == health_pb2.HealthCheckResponse.SERVING


def test_what_is_not_served_is_not_found(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        check(channel, "consortia.v1.Control")
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_coordinator_that_is_not_ready_says_so(
    channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch, consortium: Consortium
) -> None:
    monkeypatch.setitem(consortium.running[0].checks, "log", lambda: "its disk is full")
    assert check(channel) == health_pb2.HealthCheckResponse.NOT_SERVING


def test_nodes_are_ready_once_they_are_connected(consortium: Consortium) -> None:
    for number, _ in enumerate(BANKS, 1):
        checks = checks_of(consortium.running[number])
        assert list(checks) == ["database", "log", "connection"]
        assert [check() for check in checks.values()] == ["", "", ""]


@pytest.mark.parametrize(
    "method",
    [
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/consortia.v1.Control/Status",
    ],
)
def test_there_is_no_watching_no_reflection_and_no_control(method: str, channel: Any) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        list(channel.stream_stream(method)(iter([b""]), timeout=20))
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
