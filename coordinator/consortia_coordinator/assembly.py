"""What a coordinator consists of: what its services share, opened, and what stands behind them, put together.

Service starts them, and served says what of them is served. Trusted for the order: the log is open before.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib.metadata import version
from typing import Any

from sqlalchemy import Engine

from consortia_common.audit_log import AuditLog
from consortia_common.failstop import FailStop
from consortia_coordinator import network
from consortia_coordinator.adding import Workers
from consortia_coordinator.conductor import Conductor
from consortia_coordinator.config import CoordinatorSettings
from consortia_coordinator.exchange import ExchangeService, ExchangeSettings
from consortia_coordinator.jobtasks import Tools
from consortia_coordinator.limits import Rates
from consortia_coordinator.mailbox import Mailbox
from consortia_coordinator.members import Members
from consortia_coordinator.orders import Means, Orders
from consortia_coordinator.relay import StatementService
from consortia_coordinator.store.database import open_database
from consortia_coordinator.store.jobs import JobStore
from consortia_coordinator.store.members import MembersStore
from consortia_coordinator.store.orders import OrderStore
from consortia_coordinator.store.statements import StatementStore
from consortia_coordinator.witnessing import Witnessing
from consortia_crypto.keys import PrivateIdentity, PublicIdentity


@dataclass(frozen=True)
class Shared:
    """What the services share."""

    settings: CoordinatorSettings
    identity: PrivateIdentity
    log: AuditLog
    engine: Engine
    mailbox: Mailbox
    jobs: JobStore
    members: Members
    workers: Workers
    steady_ms: Callable[[], int]
    """The clock by which jobs and their tasks have their time: the time of day at the start, counted on."""

    def now_ms(self) -> int:
        """The clock in Unix milliseconds."""
        return network.milliseconds(self.members.clock())


def opened(
    settings: CoordinatorSettings, identity: PrivateIdentity, log: AuditLog, clock: Callable[[], datetime]
) -> Shared:
    """Open the database and what was left in the mailbox. Raises ConsortiaError."""
    engine = open_database(settings.database_file)
    mailbox = Mailbox(engine, settings.exchange_folder, limit=settings.max_message_mib << 20)
    mailbox.resume()
    rates = Rates(settings.calls_per_second, time.monotonic)
    return Shared(
        settings=settings,
        identity=identity,
        log=log,
        engine=engine,
        mailbox=mailbox,
        jobs=JobStore(engine),
        members=Members(settings.network, MembersStore(engine), clock, log, rates),
        workers=Workers(settings.worker_memory_mib, settings.worker_seconds),
        steady_ms=_steady_ms(clock()),
    )


@dataclass(frozen=True)
class Parts:
    """What stands behind the services, and those services that other parts hold on to."""

    shared: Shared
    witnessing: Witnessing
    conductor: Conductor
    relay: StatementService
    orders: Orders
    exchange: ExchangeService


def assembled(shared: Shared, failstop: FailStop) -> Parts:
    """The parts, which know each other; none of them does anything yet."""
    members, mailbox, log = shared.members, shared.mailbox, shared.log
    witnessing = Witnessing(shared.settings, shared.identity, log, shared.engine, members)
    conductor = Conductor(_tools(shared, witnessing), members.identities, shared.now_ms, failstop)
    relay = StatementService(members, StatementStore(shared.engine), mailbox, log, shared.now_ms, shared.jobs)
    orders = Orders(
        Means(shared.identity, members.store, OrderStore(shared.engine), shared.jobs, mailbox, log, members.clock),
        conductor,
    )
    exchange = _exchange(shared, partial(_catch_up, relay, orders))
    orders.hang_up = partial(_hang_up, exchange, witnessing)
    return Parts(shared, witnessing, conductor, relay, orders, exchange)


def _tools(shared: Shared, witnessing: Witnessing) -> Tools:
    """What the jobs work with."""
    settings = shared.settings
    return Tools(
        shared.mailbox,
        shared.jobs,
        shared.log,
        offer_timeout=settings.offer_seconds,
        step_timeout=settings.step_seconds,
        dropout_timeout=settings.dropout_seconds,
        sums=settings.sums_folder,
        workers=shared.workers,
        witnessed=witnessing.rounds.witnessed,
        now_ms=shared.steady_ms,
    )


def _exchange(shared: Shared, catch_up: Callable[[str], None]) -> ExchangeService:
    settings = shared.settings
    return ExchangeService(
        shared.mailbox,
        ExchangeSettings(
            settings.network,
            f"consortia {version('consortia')}",
            settings.heartbeat_seconds,
            settings.max_message_mib << 20,
        ),
        authorise=shared.members.authorise,
        audit=partial(_audit, shared.log, catch_up),
        clock=shared.members.clock,
        now_ms=shared.steady_ms,
        rates=shared.members.rates,
    )


def _hang_up(exchange: ExchangeService, witnessing: Witnessing, member: PublicIdentity, reason: str) -> None:
    """End a member's streams, from any thread; people's calls are short, or ask at each turn."""
    if member.role == "node":
        exchange.drop(member.institution, reason)
        witnessing.drop(member.institution)


def _catch_up(relay: StatementService, orders: Orders, institution: str) -> None:
    """Give a node that has just connected what it missed; first whom not to believe any more."""
    orders.catch_up(institution)
    relay.catch_up(institution)


def _audit(log: AuditLog, catch_up: Callable[[str], None], event: str, **fields: Any) -> None:
    """Log what happens on the exchange; a node that has just connected is given what it missed."""
    log.append(event, **fields)
    if event == "peer.connected":
        catch_up(fields["peer"].split("/")[0])


def _steady_ms(start: datetime) -> Callable[[], int]:
    """Unix milliseconds from ``start``, which is now, on: setting the machine's clock does not change them."""
    began = time.monotonic()
    return lambda: network.milliseconds(start) + int((time.monotonic() - began) * 1000)
