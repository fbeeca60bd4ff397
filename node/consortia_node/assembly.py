"""What a node consists of, opened and put together: the log first, then what all parts share, then the parts.

Service starts them. Trusted for the order: whatever is opened here can already be written down.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version

import grpc.aio

from consortia_common import keyfiles, rpc, tls
from consortia_common.audit_log import AuditLog
from consortia_node.agent import Agent
from consortia_node.config import NodeSettings
from consortia_node.consent_desk import ConsentDesk
from consortia_node.control import ControlService
from consortia_node.erasure import open_ring
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
from consortia_node.witnessing import Witnessing
from consortia_node.workers import Workers
from consortia_proto.v1 import exchange_pb2, network_pb2, network_pb2_grpc

PUBLISH_SECONDS = 20


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


@dataclass(frozen=True)
class Parts:
    """What a node consists of."""

    tools: Tools
    connect: Callable[[], grpc.aio.Channel]
    outbox: StatementOutbox
    exchange: NodeExchange
    desk: ConsentDesk
    control: ControlService


def assembled(settings: NodeSettings, tools: Tools) -> Parts:
    """The parts, which know each other; none of them does anything yet."""
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
    return Parts(tools, connect, outbox, exchange, desk, control)


def _handle(agent: Agent, outbox: StatementOutbox, task: exchange_pb2.Task) -> None:
    """Do a task; what another institution's withdrawal makes this one say goes out."""
    try:
        agent.handle(task)
    finally:
        if task.step in (CONSENT, MODEL):
            outbox.poke()


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
