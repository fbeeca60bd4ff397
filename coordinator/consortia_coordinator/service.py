"""The coordinator's process: one port for everybody, mutual TLS, jobs taken up where they were left.

Nothing is served before the log is open. SIGTERM and SIGINT end it in order: nodes are told Bye, the jobs' threads
let go of what they wait for, and everything goes on at the next start from the database.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from typing import Any

import grpc.aio
from grpc_health.v1 import health_pb2_grpc

from consortia_common import allocator, keyfiles, logs, tls
from consortia_common.audit_heartbeat import Heartbeat
from consortia_common.audit_log import AuditLog
from consortia_common.failstop import FailStop, first, told_to_stop
from consortia_common.monitor import Check, database_check, log_check, monitoring, standing
from consortia_common.shown import Shown
from consortia_coordinator import network
from consortia_coordinator.adding import Workers
from consortia_coordinator.auditservice import AuditService
from consortia_coordinator.certificates import CertificateService, Issuer
from consortia_coordinator.conductor import Conductor
from consortia_coordinator.config import INSTITUTION, CoordinatorSettings
from consortia_coordinator.enrolment import EnrolmentService, log_invitations
from consortia_coordinator.errors import CoordinatorError
from consortia_coordinator.exchange import ExchangeService, ExchangeSettings
from consortia_coordinator.health import HealthService
from consortia_coordinator.jobrun import Tools
from consortia_coordinator.jobservice import JobService
from consortia_coordinator.limits import Rates
from consortia_coordinator.mailbox import Mailbox
from consortia_coordinator.members import Members
from consortia_coordinator.orders import Means, Orders
from consortia_coordinator.questions import QuestionService
from consortia_coordinator.relay import StatementService
from consortia_coordinator.store.database import open_database
from consortia_coordinator.store.jobs import JobStore
from consortia_coordinator.store.members import MembersStore
from consortia_coordinator.store.orders import OrderStore
from consortia_coordinator.store.statements import StatementStore
from consortia_coordinator.witnessing import Witnessing
from consortia_crypto.errors import ConsortiaError
from consortia_crypto.keys import PrivateIdentity, PublicIdentity
from consortia_proto.v1 import (
    exchange_pb2,
    exchange_pb2_grpc,
    network_pb2,
    network_pb2_grpc,
    witness_pb2,
    witness_pb2_grpc,
)

STOP_SECONDS = 5.0
FOLLOW_SECONDS = 1.0
"""How often the coordinator looks whether its folder holds another certificate than it shows."""
RENEW_SECONDS = 60
"""How often it looks whether its own is due."""
SERVICES = tuple(
    service.full_name
    for contract in (exchange_pb2, network_pb2, witness_pb2)
    for service in contract.DESCRIPTOR.services_by_name.values()
)
"""Everything that is served here, besides gRPC's own health protocol."""
QUESTION_SECONDS = 30.0
"""How long a party may take to say what its gate would decide, or what it offers."""
ISSUER_WARNING = timedelta(days=90)
"""So long before the issuing certificate ends, each start says so."""


@dataclass(frozen=True)
class Running:
    """A coordinator that serves; for whoever holds it to end."""

    port: int
    exchange: ExchangeService
    conductor: Conductor
    witnessing: Witnessing
    failstop: FailStop
    checks: Mapping[str, Check]
    """What must be well for the coordinator to be ready."""


def run(settings: CoordinatorSettings) -> None:
    """Run the coordinator until it is told to stop. Raises ConsortiaError if it can't start."""
    allocator.keep_freed()
    keyfiles.keep_to_oneself()
    logs.configure("coordinator", settings.log_file)
    asyncio.run(_until_told(settings))


async def _until_told(settings: CoordinatorSettings) -> None:
    stopping = told_to_stop()
    async with serving(settings) as running:
        with monitoring(settings.monitor_listen, running.checks) if settings.monitor_listen else nullcontext():
            logs.event("coordinator.started", network=settings.network, address=settings.listen)
            await first(stopping, running.witnessing.lost, running.failstop.failed)
            running.exchange.close()
    if not stopping.is_set():
        running.witnessing.rounds.require_whole()
        running.failstop.check()
    logs.event("coordinator.stopped", network=settings.network)


@asynccontextmanager
async def serving(
    settings: CoordinatorSettings, interceptors: Sequence[grpc.aio.ServerInterceptor] = ()
) -> AsyncIterator[Running]:
    """A coordinator that serves until the block ends. ``interceptors`` are for those who test it."""
    clock = partial(datetime.now, UTC)
    identity = keyfiles.load_identity(settings.identity_file)
    network.renew_server_certificate(settings, clock())
    _warn_of_issuer(settings, clock())
    log = AuditLog.open(settings.audit_folder, identity, INSTITUTION, clock)
    try:
        engine = open_database(settings.database_file)
        mailbox = Mailbox(engine, settings.exchange_folder, limit=settings.max_message_mib << 20)
        mailbox.resume()
        members = Members(
            settings.network, MembersStore(engine), clock, log, Rates(settings.calls_per_second, time.monotonic)
        )
        workers = Workers(settings.worker_memory_mib, settings.worker_seconds)
        parts = _Parts(settings, log, engine, mailbox, members, workers, _steady_ms(clock()))
        with Heartbeat(log, failed=partial(logs.failure, "audit.silent")):
            async with _server(parts, identity, interceptors) as running:
                try:
                    yield running
                finally:
                    mailbox.close()
                    workers.close()
                    running.exchange.close()
                    await running.witnessing.close()
        await asyncio.to_thread(running.conductor.stop, STOP_SECONDS)
        engine.dispose()
    finally:
        log.close()


@dataclass(frozen=True)
class _Parts:
    """What the services share."""

    settings: CoordinatorSettings
    log: AuditLog
    engine: Any
    mailbox: Mailbox
    members: Members
    workers: Workers
    steady_ms: Callable[[], int]
    """The clock by which jobs and their tasks have their time: the time of day at the start, counted on."""

    def now_ms(self) -> int:
        return network.milliseconds(self.members.clock())


@asynccontextmanager
async def _server(
    parts: _Parts, identity: PrivateIdentity, interceptors: Sequence[grpc.aio.ServerInterceptor]
) -> AsyncIterator[Running]:
    settings = parts.settings
    failstop = FailStop()
    parts.log.on_failure(failstop)
    log_invitations(parts.members.store, parts.log, parts.members.clock)
    store = JobStore(parts.engine)
    witnessing = Witnessing(settings, identity, parts.log, parts.engine, parts.members)
    conductor = _conductor(parts, store, witnessing, failstop)
    relay = StatementService(
        parts.members, StatementStore(parts.engine), parts.mailbox, parts.log, parts.now_ms, store
    )
    orders = _orders(parts, identity, store, conductor)
    exchange = _exchange(parts, partial(_catch_up, relay, orders))
    orders.hang_up = partial(_hang_up, exchange, witnessing)
    orders.carry_out()
    checks = {"database": database_check(parts.engine), "log": log_check(parts.log)}
    server = grpc.aio.server(options=_options(settings), interceptors=list(interceptors))
    exchange_pb2_grpc.add_ExchangeServicer_to_server(exchange, server)
    network_pb2_grpc.add_StatementsServicer_to_server(relay, server)
    witness_pb2_grpc.add_WitnessingServicer_to_server(witnessing.service, server)
    _serve_members(server, parts, identity)
    _serve_analysts(server, parts, store, conductor)
    health = HealthService(parts.members.require, SERVICES, lambda: not any(standing(checks).values()))
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    shown = Shown(partial(tls.Credentials.load, settings.folder), settings.network)
    port = _listen(server, settings, shown)
    witnessing.rounds.start()
    conductor.resume()  # before anybody can submit, so that no job is taken up twice
    await server.start()
    beside = [asyncio.create_task(orders.run()), asyncio.create_task(_renew(settings, parts.members, shown, port))]
    try:
        yield Running(port, exchange, conductor, witnessing, failstop, checks)
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await server.stop(STOP_SECONDS)


def _serve_members(server: grpc.aio.Server, parts: _Parts, identity: PrivateIdentity) -> None:
    """What every member may call: to enrol, to stay, to read the coordinator's log."""
    issuer = Issuer(parts.settings)
    enrolment = EnrolmentService(parts.engine, parts.log, issuer, identity.public, parts.members.clock)
    certificates = CertificateService(parts.members, parts.log, issuer, parts.members.clock)
    network_pb2_grpc.add_EnrolmentServicer_to_server(enrolment, server)
    network_pb2_grpc.add_CertificatesServicer_to_server(certificates, server)
    network_pb2_grpc.add_AuditServicer_to_server(AuditService(parts.members, parts.log), server)


def _serve_analysts(server: grpc.aio.Server, parts: _Parts, store: JobStore, conductor: Conductor) -> None:
    """What analysts may call: jobs, and questions about what would be answered."""
    settings, members = parts.settings, parts.members
    jobs = JobService(members, store, parts.mailbox, parts.log, conductor, parts.now_ms, limits=settings.job_limits)
    seconds = min(QUESTION_SECONDS, settings.offer_seconds)
    questions = QuestionService(members, parts.mailbox, parts.log, seconds)
    network_pb2_grpc.add_JobsServicer_to_server(jobs, server)
    network_pb2_grpc.add_QuestionsServicer_to_server(questions, server)


def _orders(parts: _Parts, identity: PrivateIdentity, store: JobStore, conductor: Conductor) -> Orders:
    members = parts.members
    orders = OrderStore(parts.engine)
    return Orders(Means(identity, members.store, orders, store, parts.mailbox, parts.log, members.clock), conductor)


def _conductor(parts: _Parts, store: JobStore, witnessing: Witnessing, failstop: FailStop) -> Conductor:
    settings = parts.settings
    tools = Tools(
        parts.mailbox,
        store,
        parts.log,
        offer_timeout=settings.offer_seconds,
        step_timeout=settings.step_seconds,
        dropout_timeout=settings.dropout_seconds,
        sums=settings.sums_folder,
        workers=parts.workers,
        witnessed=witnessing.rounds.witnessed,
        now_ms=parts.steady_ms,
    )
    return Conductor(tools, parts.members.identities, parts.now_ms, failstop)


def _exchange(parts: _Parts, catch_up: Callable[[str], None]) -> ExchangeService:
    settings = parts.settings
    return ExchangeService(
        parts.mailbox,
        ExchangeSettings(
            settings.network,
            f"consortia {version('consortia')}",
            settings.heartbeat_seconds,
            settings.max_message_mib << 20,
        ),
        authorise=parts.members.authorise,
        audit=partial(_audit, parts.log, catch_up),
        clock=parts.members.clock,
        now_ms=parts.steady_ms,
        rates=parts.members.rates,
    )


def _steady_ms(start: datetime) -> Callable[[], int]:
    """Unix milliseconds from ``start``, which is now, on: setting the machine's clock does not change them."""
    began = time.monotonic()
    return lambda: network.milliseconds(start) + int((time.monotonic() - began) * 1000)


def _warn_of_issuer(settings: CoordinatorSettings, now: datetime) -> None:
    ends = network.load_authority(settings).certificate.not_valid_after_utc
    if ends - now < ISSUER_WARNING:
        logs.event("issuer.expiring", network=settings.network, reason=f"at {ends:%Y-%m-%d}: docs/identity.md")


async def _renew(settings: CoordinatorSettings, members: Members, shown: Shown, port: int) -> None:
    """Renew the coordinator's own certificate in time, and show the one that is in its folder."""
    for second in itertools.count(1):
        await asyncio.sleep(FOLLOW_SECONDS)
        try:
            if second % RENEW_SECONDS == 0 and await asyncio.to_thread(
                network.renew_server_certificate, settings, members.clock()
            ):
                logs.event("certificate.renewed", network=settings.network)
            await asyncio.to_thread(shown.follow, (own_host(settings.listen), port))
        except ConsortiaError as error:
            if second % RENEW_SECONDS == 0:  # files are seen half written now and then
                logs.failure("certificate.unrenewed", error)


def own_host(listen: str) -> str:
    """Where this process reaches its own port."""
    host = listen.rpartition(":")[0].strip("[]")
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # not listened at


def _hang_up(exchange: ExchangeService, witnessing: Witnessing, member: PublicIdentity, reason: str) -> None:
    """End a member's streams, from any thread; people's calls are short, or ask at each turn."""
    if member.role == "node":
        exchange.drop(member.institution, reason)
        witnessing.drop(member.institution)


def _catch_up(relay: StatementService, orders: Orders, institution: str) -> None:
    """Give a node that has just connected what it missed; first whom not to believe any more."""
    orders.catch_up(institution)
    relay.catch_up(institution)


def _options(settings: CoordinatorSettings) -> list[tuple[str, int]]:
    return [*tls.SERVER_OPTIONS, ("grpc.max_allowed_incoming_connections", settings.max_connections)]


def _listen(server: grpc.aio.Server, settings: CoordinatorSettings, shown: Shown) -> int:
    try:
        return server.add_secure_port(settings.listen, shown.server_credentials())
    except RuntimeError as error:
        raise CoordinatorError(
            f"the coordinator can't listen at {settings.listen}",
            blame="another process that has the port, or the address in coordinator.toml",
            remedy="stop the other process, or set another `listen`",
        ) from error


def _audit(log: AuditLog, catch_up: Callable[[str], None], event: str, **fields: Any) -> None:
    """Log what happens on the exchange; a node that has just connected is given what it missed."""
    log.append(event, **fields)
    if event == "peer.connected":
        catch_up(fields["peer"].split("/")[0])
