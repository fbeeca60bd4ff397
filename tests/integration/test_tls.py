"""Mutual TLS on loopback: who is let in, who is not and what they are told, and what is negotiated."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import grpc
import grpc.aio
import pytest

from consortia_common import pki, rpc, tls
from consortia_common.errors import (
    ConnectionLostError,
    ConsortiaError,
    ExchangeError,
    NotPermittedError,
    SettingsError,
    UnauthenticatedError,
)
from consortia_common.shown import Shown
from consortia_coordinator import ca
from consortia_proto.v1 import network_pb2 as pb
from consortia_proto.v1 import network_pb2_grpc as rpc_stubs
from tests.support.proxy import Proxy

NOW = datetime.now(UTC)
ROOT = ca.make_root("demo", NOW)
ISSUING = ca.make_issuing(ROOT, "demo", NOW)
X25519MLKEM768 = 0x11EC
TLS13 = 0x0304


def _credentials(
    subject: pki.Subject, authority: ca.Authority = ISSUING, now: datetime = NOW, **options: timedelta
) -> tls.Credentials:
    key = pki.new_key()
    chain = ca.issue(authority, key.public_key(), subject, now, **options)
    return tls.Credentials(ROOT.certificate_pem, chain, pki.key_pem(key))


COORDINATOR = pki.Subject("demo", "coordinator", "coordinator", "coordinator")
SERVER = _credentials(COORDINATOR)
BANK = _credentials(pki.Subject("demo", "bank-a", "node", "node"))


@rpc.guarded
class Members(rpc_stubs.StatementsServicer):
    """Answers with who calls; breaks on demand."""

    def __init__(self) -> None:
        self.now = NOW
        self.peers: list[tls.Peer] = []

    async def Publish(self, request: pb.Statement, context: Any) -> pb.PublishResponse:
        if request.type:
            raise ValueError("customer 4711 has no income")
        peer = rpc.require_role(context, "demo", ("node", "analyst"), self.now)
        self.peers.append(peer)
        return pb.PublishResponse(statement_id=str(peer))


@rpc.guarded
class Log(rpc_stubs.AuditServicer):
    """A stream that breaks off after its first message."""

    async def Read(self, request: pb.ReadLogRequest, context: Any) -> AsyncIterator[pb.LogChunk]:
        yield pb.LogChunk(entries=[b"one"])
        raise NotPermittedError("that is all", blame="the caller", remedy="ask for less")


@asynccontextmanager
async def _server(credentials: tls.Credentials = SERVER) -> AsyncIterator[tuple[int, Members]]:
    async with _showing(Shown(lambda: credentials, "demo")) as served:
        yield served


@asynccontextmanager
async def _showing(shown: Shown) -> AsyncIterator[tuple[int, Members]]:
    service = Members()
    server = grpc.aio.server(options=tls.SERVER_OPTIONS)
    rpc_stubs.add_StatementsServicer_to_server(service, server)
    rpc_stubs.add_AuditServicer_to_server(Log(), server)
    port = server.add_secure_port("127.0.0.1:0", shown.server_credentials())
    await server.start()
    try:
        yield port, service
    finally:
        await server.stop(0)


async def _members(port: int, credentials: tls.Credentials, network: str = "demo") -> str:
    channel = tls.client_channel(f"127.0.0.1:{port}", credentials, network, aio=True)
    async with channel:
        with rpc.calling("the coordinator"):
            answer = await rpc_stubs.StatementsStub(channel).Publish(pb.Statement(), timeout=10)
    return str(answer.statement_id)


async def test_a_member_is_known_by_its_certificate():
    async with _server() as (port, service):
        assert await _members(port, BANK) == "bank-a/node/node"
    key = pki.key_digest(BANK.leaf.public_key())
    assert service.peers == [tls.Peer("demo", "bank-a", "node", "node", BANK.not_after(), key)]


async def test_the_blocking_channel_works_too():
    def call(port: int) -> str:
        with tls.client_channel(f"127.0.0.1:{port}", BANK, "demo") as channel:
            answer = rpc_stubs.StatementsStub(channel).Publish(pb.Statement(), timeout=10)
            return str(answer.statement_id)

    async with _server() as (port, _):
        assert await asyncio.to_thread(call, port) == "bank-a/node/node"


def _foreign() -> tls.Credentials:
    other = ca.make_issuing(ca.make_root("demo", NOW), "demo", NOW)
    return _credentials(pki.Subject("demo", "bank-a", "node", "node"), other)


def _expired() -> tls.Credentials:
    past = NOW - timedelta(days=40)
    old = ca.make_issuing(ROOT, "demo", past)
    return _credentials(pki.Subject("demo", "bank-a", "node", "node"), old, past)


@pytest.mark.parametrize("make", [_foreign, _expired])
async def test_a_certificate_that_does_not_hold_is_refused_by_tls(make: Any):
    async with _server() as (port, service):
        with pytest.raises(ExchangeError, match="secure connection was refused") as refused:
            await _members(port, make())
        assert "enrol" in refused.value.remedy
        assert await _members(port, BANK) == "bank-a/node/node"  # the rest goes on
    assert len(service.peers) == 1


async def test_no_certificate_is_refused():
    async with _server() as (port, service):
        secured = grpc.ssl_channel_credentials(ROOT.certificate_pem)
        options = [("grpc.ssl_target_name_override", "coordinator.demo")]
        async with grpc.aio.secure_channel(f"127.0.0.1:{port}", secured, options=options) as channel:
            with pytest.raises(ExchangeError, match="refused, or cut"), rpc.calling("the coordinator"):
                await rpc_stubs.StatementsStub(channel).Publish(pb.Statement(), timeout=10)
    assert service.peers == []


async def test_plaintext_is_refused():
    async with _server() as (port, service), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(ExchangeError), rpc.calling("the coordinator"):
            await rpc_stubs.StatementsStub(channel).Publish(pb.Statement(), timeout=10)
    assert service.peers == []


async def test_a_member_cannot_pose_as_the_coordinator():
    async with _server(BANK) as (port, _):
        with pytest.raises(ExchangeError, match="does not show a certificate of this network"):
            await _members(port, BANK)


async def test_the_coordinator_of_another_network_is_refused():
    async with _server() as (port, _):
        with pytest.raises(ExchangeError, match="does not show a certificate of this network"):
            await _members(port, BANK, network="other")


async def test_nobody_there():
    async with _server() as (port, _):
        pass
    with pytest.raises(ExchangeError, match="nothing listens there"):
        await _members(port, BANK)


async def test_role_and_expiry_are_checked_at_every_call():
    async with _server() as (port, service):
        regulator = _credentials(pki.Subject("demo", "authority", "regulator", "rita"))
        with pytest.raises(NotPermittedError, match="may not make this call"):
            await _members(port, regulator)
        service.now = NOW + timedelta(days=31)
        with pytest.raises(UnauthenticatedError, match="expired"):
            await _members(port, BANK)


async def test_another_networks_name_is_refused_even_under_one_root():
    async with _server() as (port, _):
        with pytest.raises(UnauthenticatedError, match="another network"):
            await _members(port, _credentials(pki.Subject("other", "bank-a", "node", "node")))


async def test_an_unforeseen_error_tells_the_caller_nothing(capsys: pytest.CaptureFixture[str]):
    async with _server() as (port, _):
        channel = tls.client_channel(f"127.0.0.1:{port}", BANK, "demo", aio=True)
        async with channel:
            with pytest.raises(ExchangeError, match="internal error") as refused, rpc.calling("it"):
                await rpc_stubs.StatementsStub(channel).Publish(pb.Statement(type="x"), timeout=10)
            with pytest.raises(ExchangeError, match="does not know this call"), rpc.calling("it"):
                await rpc_stubs.JobsStub(channel).Get(pb.JobRequest(), timeout=10)
    assert "4711" not in str(refused.value)
    logged = capsys.readouterr().err
    assert '"error": "ValueError"' in logged
    assert "4711" not in logged


async def test_a_refusal_in_the_middle_of_a_stream_arrives_whole():
    received: list[bytes] = []

    async def read(port: int) -> None:
        async with tls.client_channel(f"127.0.0.1:{port}", BANK, "demo", aio=True) as channel:
            with rpc.calling("the coordinator"):
                async for chunk in rpc_stubs.AuditStub(channel).Read(pb.ReadLogRequest()):
                    received.extend(chunk.entries)

    async with _server() as (port, _):
        with pytest.raises(NotPermittedError, match="that is all"):
            await read(port)
    assert received == [b"one"]


async def test_a_renewed_server_certificate_is_shown_without_a_restart():
    found: list[Any] = [SERVER]

    def load() -> tls.Credentials:
        if isinstance(found[0], ConsortiaError):
            raise found[0]
        return found[0]

    shown = Shown(load, "demo")
    async with _showing(shown) as (port, _):
        follow = partial(asyncio.to_thread, shown.follow, ("127.0.0.1", port), 0.0)
        assert not await follow()
        found[0] = SettingsError("half written", blame="a test", remedy="none")
        with pytest.raises(SettingsError):
            await follow()
        assert await _members(port, BANK)
        found[0] = BANK  # shown from now on, and refused by the caller as no coordinator's
        assert await follow()
        with pytest.raises(ExchangeError, match="does not show a certificate"):
            await _members(port, BANK)
        assert not await follow()


def test_a_certificate_is_not_exchanged_where_nobody_answers():
    found = [SERVER]
    shown = Shown(lambda: found[0], "demo")
    found[0] = BANK
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionLostError, match="not exchanged"):
            shown.follow(taken.getsockname())


def test_credentials_hide_the_key():
    assert "PRIVATE" not in repr(BANK)


@pytest.mark.parametrize("context", [{}, {"x509_pem_cert": []}, {"x509_pem_cert": [b"rubbish"]},
                                     {"x509_pem_cert": [ROOT.certificate_pem]}])  # fmt: skip
def test_a_context_that_names_nobody_is_refused(context: dict[str, list[bytes]]):
    with pytest.raises(UnauthenticatedError):
        tls.peer_of(context)


async def test_tls_13_with_a_post_quantum_key_exchange_is_negotiated():
    """Reads the server's hello, which is in clear, as it passes through a relay."""
    async with _server() as (port, _), Proxy(port).open() as relay:
        assert await _members(relay.port, BANK)
    extensions = _server_hello_extensions(bytes(relay.answer))
    assert int.from_bytes(extensions[43], "big") == TLS13
    assert int.from_bytes(extensions[51][:2], "big") == X25519MLKEM768


def _server_hello_extensions(stream: bytes) -> dict[int, bytes]:
    """RFC 8446 §4.1.3: record header 5, handshake header 4, version 2, random 32, session id, cipher 2, 1."""
    assert stream[0] == 22
    assert stream[5] == 2
    at = 5 + 4 + 2 + 32
    at += 1 + stream[at] + 2 + 1
    end = at + 2 + int.from_bytes(stream[at : at + 2], "big")
    at += 2
    found = {}
    while at < end:
        kind, length = (int.from_bytes(stream[at + i : at + i + 2], "big") for i in (0, 2))
        found[kind] = stream[at + 4 : at + 4 + length]
        at += 4 + length
    return found
