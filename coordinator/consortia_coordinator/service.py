"""The coordinator's process: one port for everybody, mutual TLS, jobs taken up where they were left.

Nothing is served before the log is open. SIGTERM and SIGINT end it in order: nodes are told Bye, the jobs' threads
let go of what they wait for, and everything goes on at the next start from the database.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import grpc.aio

from consortia_common import allocator, keyfiles, logs, tls
from consortia_common.audit_heartbeat import Heartbeat
from consortia_common.audit_log import AuditLog
from consortia_common.failstop import FailStop, first, told_to_stop
from consortia_common.monitor import Check, database_check, log_check, monitoring, standing
from consortia_common.shown import Shown
from consortia_coordinator import network, port, served
from consortia_coordinator.assembly import Shared, assembled, opened
from consortia_coordinator.conductor import Conductor
from consortia_coordinator.config import INSTITUTION, CoordinatorSettings
from consortia_coordinator.enrolment import log_invitations
from consortia_coordinator.exchange import ExchangeService
from consortia_coordinator.witnessing import Witnessing

STOP_SECONDS = 5.0


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
    port.warn_of_issuer(settings, clock())
    log = AuditLog.open(settings.audit_folder, identity, INSTITUTION, clock)
    try:
        shared = opened(settings, identity, log, clock)
        with Heartbeat(log, failed=partial(logs.failure, "audit.silent")):
            async with _server(shared, interceptors) as running:
                try:
                    yield running
                finally:
                    shared.mailbox.close()
                    shared.workers.close()
                    running.exchange.close()
                    await running.witnessing.close()
        await asyncio.to_thread(running.conductor.stop, STOP_SECONDS)
        shared.engine.dispose()
    finally:
        log.close()


@asynccontextmanager
async def _server(shared: Shared, interceptors: Sequence[grpc.aio.ServerInterceptor]) -> AsyncIterator[Running]:
    settings, members, log = shared.settings, shared.members, shared.log
    failstop = FailStop()
    log.on_failure(failstop)
    log_invitations(members.store, log, members.clock)
    parts = assembled(shared, failstop)
    parts.orders.carry_out()
    checks = {"database": database_check(shared.engine), "log": log_check(log)}
    server = grpc.aio.server(options=port.options(settings), interceptors=list(interceptors))
    served.add_services(server, parts, lambda: not any(standing(checks).values()))
    shown = Shown(partial(tls.Credentials.load, settings.folder), settings.network)
    number = port.listen(server, settings, shown)
    parts.witnessing.rounds.start()
    parts.conductor.resume()  # before anybody can submit, so that no job is taken up twice
    await server.start()
    current = port.stay_current(settings, members.clock, shown, number)
    beside = [asyncio.create_task(work) for work in (parts.orders.run(), current)]
    try:
        yield Running(number, parts.exchange, parts.conductor, parts.witnessing, failstop, checks)
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await server.stop(STOP_SECONDS)
