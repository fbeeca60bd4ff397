"""The node's process: starts what assembly put together, listens to nobody but its own people, stops in order.

What fell due meanwhile is done before it connects. SIGTERM and SIGINT end it in order: the stream says Bye, a step
under way may finish, everything else goes on at the next start from the database.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from consortia_common import allocator, keyfiles, local, logs
from consortia_common.audit_heartbeat import Heartbeat
from consortia_common.failstop import FailStop, first, told_to_stop
from consortia_common.monitor import Check, database_check, log_check, monitoring
from consortia_node import metrics
from consortia_node.abandoned import end_abandoned
from consortia_node.assembly import Parts, assembled, close_tools, open_tools
from consortia_node.config import NodeSettings
from consortia_node.control import ControlService
from consortia_node.endings import finish_failures
from consortia_node.exchange import NodeExchange
from consortia_node.tools import Tools
from consortia_node.upkeep import finish_erasures, renewal_of, stay_current, sweep
from consortia_node.witnessing import Attendance
from consortia_proto.v1 import control_pb2_grpc


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
    stopping = told_to_stop()
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
        parts = assembled(settings, tools)
        await _catch_up(parts)
        with Heartbeat(tools.log, failed=partial(logs.failure, "audit.silent")):
            async with (
                _control_server(settings, parts.control),
                _aside(Attendance(parts.connect, tools.witnessing.desk).run()),
                _aside(finish_erasures(tools)),
                _at_work(parts),
            ):
                yield Running(tools, parts.exchange, failstop)
    finally:
        close_tools(tools)


async def _catch_up(parts: Parts) -> None:
    """Do what fell due while the node did not run."""
    tools = parts.tools
    await asyncio.to_thread(tools.witnessing.rounds.compare_at_start)
    tools.witnessing.rounds.start()
    await asyncio.to_thread(parts.desk.run_out)
    await asyncio.to_thread(finish_failures, tools)
    await asyncio.to_thread(end_abandoned, tools)


@asynccontextmanager
async def _at_work(parts: Parts) -> AsyncIterator[None]:
    """Connected, and doing what comes up by itself, until the block ends."""
    tools, exchange = parts.tools, parts.exchange
    running = asyncio.create_task(exchange.run())
    beside = [
        asyncio.create_task(work)
        for work in (
            parts.outbox.run(),
            sweep(parts.desk, tools),
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


def _redial(exchange: NodeExchange, tools: Tools) -> None:
    """The stream as a witness goes on until the certificate that it began with expires, and is then made anew."""
    exchange.redial("the node has a new certificate")
    tools.witnessing.redial()


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
