"""The node's process: opens what it needs, dials out, listens to nobody but its own people, stops in order.

Nothing is done before the log is open. SIGTERM and SIGINT end it in order: the stream says Bye, a step under way
may finish, everything else goes on at the next start from the database.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Any

import grpc.aio

from consortia_common import allocator, keyfiles, local, logs, rpc, tls
from consortia_common.audit_heartbeat import Heartbeat
from consortia_common.audit_log import AuditLog
from consortia_common.documents.base import utc
from consortia_common.errors import WitnessError
from consortia_common.failstop import FailStop, first
from consortia_common.monitor import Check, database_check, log_check, monitoring
from consortia_common.renewal import Renewal, Renewed
from consortia_crypto.errors import ConsortiaError
from consortia_node import metrics
from consortia_node.abandoned import end_abandoned
from consortia_node.agent import Agent
from consortia_node.config import NodeSettings
from consortia_node.consent_desk import ConsentDesk
from consortia_node.control import ControlService
from consortia_node.endings import finish_failures
from consortia_node.erasure import Erasures, open_ring
from consortia_node.errors import StoppingError
from consortia_node.exchange import NodeExchange, NodeExchangeSettings, Told
from consortia_node.model_desk import STEP as MODEL
from consortia_node.model_desk import ModelDesk
from consortia_node.notices import Notices
from consortia_node.peers import PEERS_FOLDER, Peers
from consortia_node.statement_outbox import StatementOutbox
from consortia_node.statements import Statements
from consortia_node.store.consents import ConsentStore
from consortia_node.store.database import open_database
from consortia_node.store.tasks import TaskStore
from consortia_node.tools import Tools
from consortia_node.withdrawals import STEP as CONSENT
from consortia_node.withdrawals import Withdrawals
from consortia_node.witnessing import Attendance, Witnessing, channel_of
from consortia_node.workers import Workers
from consortia_proto.v1 import control_pb2_grpc, exchange_pb2, network_pb2, network_pb2_grpc

PUBLISH_SECONDS = 20
ERASE_AGAIN_SECONDS = 5
"""An erasure that the witnesses did not let pass is tried again so much later."""
SWEEP_SECONDS = 3600
CHECK_SECONDS = 60.0
"""How often the node looks whether its certificate is due, and asks which roots to trust."""


@dataclass(frozen=True)
class Running:
    """A node that serves; for whoever holds it to stop."""

    tools: Tools
    exchange: NodeExchange
    failstop: FailStop


def run(settings: NodeSettings) -> None:
    """Run the node until it is told to stop. Raises ConsortiaError if it can't start."""
    allocator.keep_freed()
    keyfiles.keep_to_oneself()
    logs.configure(f"node/{settings.institution}", settings.log_file)
    asyncio.run(_until_told(settings))


async def _until_told(settings: NodeSettings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)
    async with serving(settings) as running:
        running.tools.workers.stand_by()
        with _monitored(settings, running):
            logs.event("node.started", institution=settings.institution, network=settings.network)
            await first(stopping, running.failstop.failed)
    running.failstop.check()
    logs.event("node.stopped", institution=settings.institution)


@asynccontextmanager
async def serving(settings: NodeSettings) -> AsyncIterator[Running]:
    """A node that serves until the block ends."""
    tools = open_tools(settings)
    try:
        failstop = FailStop()
        tools.log.on_failure(failstop)
        parts = _assembled(settings, tools)
        await _catch_up(parts)
        with Heartbeat(tools.log, failed=partial(logs.failure, "audit.silent")):
            async with (
                _control_server(settings, parts.control),
                _aside(Attendance(parts.connect, tools.witnessing.desk).run()),
                _aside(_finish_erasures(tools)),
                _at_work(parts),
            ):
                yield Running(tools, parts.exchange, failstop)
    finally:
        close_tools(tools)


@dataclass(frozen=True)
class _Parts:
    """What a node consists of."""

    tools: Tools
    connect: Callable[[], grpc.aio.Channel]
    outbox: StatementOutbox
    exchange: NodeExchange
    desk: ConsentDesk
    control: ControlService


def _assembled(settings: NodeSettings, tools: Tools) -> _Parts:
    notices, withdrawals = Notices(tools), Withdrawals(tools)
    connect = partial(_channel, settings, tools.clock)
    outbox = StatementOutbox(Statements(tools), partial(_publish, connect))
    models = ModelDesk(tools, outbox.poke)
    exchange = NodeExchange(
        connect,
        tools.tasks,
        partial(_handle, Agent(tools, notices, withdrawals, models), outbox),
        NodeExchangeSettings(
            settings.network,
            f"consortia {version('consortia')}",
            limit=settings.max_message_mib << 20,
            queue=settings.max_queue,
        ),
        told=Told(refused=partial(_log_refused, tools.log), clock=tools.coordinator_clock.hear),
    )
    desk = ConsentDesk(tools, withdrawals, outbox.poke)
    control = ControlService(tools, notices, desk, models, partial(_publish, connect), lambda: exchange.connected)
    return _Parts(tools, connect, outbox, exchange, desk, control)


async def _catch_up(parts: _Parts) -> None:
    """Do what fell due while the node did not run."""
    tools = parts.tools
    await asyncio.to_thread(tools.witnessing.rounds.compare_at_start)
    tools.witnessing.rounds.start()
    await asyncio.to_thread(parts.desk.run_out)
    await asyncio.to_thread(finish_failures, tools)
    await asyncio.to_thread(end_abandoned, tools)


@asynccontextmanager
async def _at_work(parts: _Parts) -> AsyncIterator[None]:
    """Connected, and doing what comes up by itself, until the block ends."""
    tools, exchange = parts.tools, parts.exchange
    running = asyncio.create_task(exchange.run())
    beside = [
        asyncio.create_task(work)
        for work in (
            parts.outbox.run(),
            _sweep(parts.desk, tools),
            stay_current(renewal_of(tools), partial(_redial, exchange, tools)),
        )
    ]
    try:
        yield
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        exchange.stop()
        await asyncio.to_thread(tools.witnessing.close)
        await running


def open_tools(settings: NodeSettings) -> Tools:
    """Everything that the node's parts share; the log first. Raises ConsortiaError."""
    clock = partial(datetime.now, UTC)
    identity = keyfiles.load_identity(settings.identity_file)
    log = AuditLog.open(settings.audit_folder, identity, settings.institution, clock)
    try:
        engine = open_database(settings.database_file)
        keys = open_ring(settings.subject_keys, engine, log)
        witnessing = Witnessing(settings, identity, log, engine, clock)
    except BaseException:
        log.close()
        raise
    return Tools(
        settings=settings,
        identity=identity,
        log=log,
        engine=engine,
        keys=keys,
        consents=ConsentStore(engine, keys),
        tasks=TaskStore(engine, settings.exchange_folder, clock),
        peers=Peers(settings.folder / PEERS_FOLDER),
        workers=Workers(settings.worker_memory_mib, settings.worker_seconds),
        witnessing=witnessing,
        clock=clock,
    )


def close_tools(tools: Tools) -> None:
    """End what waits for witnesses and the workers, close database and log."""
    tools.witnessing.close()
    tools.workers.close()
    tools.engine.dispose()
    tools.log.close()


@asynccontextmanager
async def _aside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Have ``work`` done beside the block, and ended with it."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _finish_erasures(tools: Tools) -> None:
    """Finish what was begun before the last start, as soon as the witnesses let it."""
    while True:
        try:
            await asyncio.to_thread(Erasures(tools).resume)
        except WitnessError as error:
            logs.failure("erasure.postponed", error)
        except StoppingError:
            return
        else:
            return
        await asyncio.sleep(ERASE_AGAIN_SECONDS)


def _handle(agent: Agent, outbox: StatementOutbox, task: exchange_pb2.Task) -> None:
    """Do a task; what another institution's withdrawal makes this one say goes out."""
    try:
        agent.handle(task)
    finally:
        if task.step in (CONSENT, MODEL):
            outbox.poke()


async def _sweep(desk: ConsentDesk, tools: Tools) -> None:
    """Let the clock end consents, which reading also sees by itself, and jobs that were abandoned; once an hour."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        for event, sweep in (("consent.run_out", desk.run_out), ("jobs.abandoned", partial(end_abandoned, tools))):
            try:
                await asyncio.to_thread(sweep)
            except ConsortiaError as error:
                logs.failure(event, error)


def renewal_of(tools: Tools) -> Renewal:
    """What keeps the node's certificate and roots up to date; a change is on the log before it is stored."""
    settings = tools.settings
    connect = partial(channel_of, settings, tools.clock)
    return Renewal(settings.folder, tools.identity, connect, tools.clock, partial(_announce, tools.log))


async def stay_current(
    renewal: Renewal, redial: Callable[[], None], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Renew in time, and have everything handed over to connections with the new certificate; until cancelled."""
    trouble = ""
    while True:
        try:
            changed = await asyncio.to_thread(renewal.check)
        except ConsortiaError as error:
            if error.what != trouble:
                logs.failure("certificate.unrenewed", error)
            trouble = error.what
        else:
            trouble = ""
            if changed:
                redial()
        await sleep(CHECK_SECONDS)


def _redial(exchange: NodeExchange, tools: Tools) -> None:
    """The stream as a witness goes on until the certificate that it began with expires, and is then made anew."""
    exchange.redial("the node has a new certificate")
    tools.witnessing.redial()


def _announce(log: AuditLog, changed: Renewed) -> None:
    if changed.roots:
        log.append("roots.changed", sequence=changed.roots.sequence, roots=changed.roots.digests)
    if changed.not_after:
        log.append("certificate.renewed", until=utc(changed.not_after))


def _monitored(settings: NodeSettings, running: Running) -> AbstractContextManager[object]:
    """Tell this machine how the node stands, if the settings say where."""
    metrics.CONNECTED.set_function(lambda: running.exchange.connected)
    metrics.LOG_ENTRIES.set_function(lambda: running.tools.log.size)
    return monitoring(settings.monitor_listen, checks_of(running)) if settings.monitor_listen else nullcontext()


def checks_of(running: Running) -> dict[str, Check]:
    """What must be well for the node to be ready."""
    return {
        "database": database_check(running.tools.engine),
        "log": log_check(running.tools.log),
        "connection": lambda: "" if running.exchange.connected else "there is no stream to the coordinator",
    }


@asynccontextmanager
async def _control_server(settings: NodeSettings, control: ControlService) -> AsyncIterator[None]:
    """Serve the control socket; its folder lets nobody else in."""
    settings.control_socket.unlink(missing_ok=True)
    server = local.server(settings.control_socket)
    control_pb2_grpc.add_ControlServicer_to_server(control, server)
    await server.start()
    settings.control_socket.chmod(keyfiles.PRIVATE)
    try:
        yield
    finally:
        await server.stop(1)
        settings.control_socket.unlink(missing_ok=True)


def _channel(settings: NodeSettings, clock: Callable[[], datetime]) -> grpc.aio.Channel:
    credentials = tls.Credentials.load(settings.folder).require_valid(clock())
    return tls.client_channel(settings.coordinator, credentials, settings.network, aio=True)


def _log_refused(log: AuditLog, reason: str) -> None:
    log.append("message.refused", reason=reason, peer="coordinator")


async def _publish(connect: "partial[grpc.aio.Channel]", statement: network_pb2.Statement) -> None:
    """Give a statement to the coordinator. Raises ConsortiaError; saying it again does no harm."""
    async with connect() as channel:
        with rpc.calling("the coordinator"):
            await network_pb2_grpc.StatementsStub(channel).Publish(statement, timeout=PUBLISH_SECONDS)
