"""The coordinator's one port: where it listens, and the certificate that it shows there, kept current.

A certificate that is due is made anew, and another one that is found in the folder is shown, without a restart. If
that fails it is reported, and the older one is shown on.
"""

import asyncio
import itertools
from collections.abc import Callable
from datetime import datetime, timedelta

import grpc.aio

from consortia_common import logs, tls
from consortia_common.shown import Shown
from consortia_coordinator import network
from consortia_coordinator.config import CoordinatorSettings
from consortia_coordinator.errors import CoordinatorError
from consortia_crypto.errors import ConsortiaError

FOLLOW_SECONDS = 1.0
"""How often the coordinator looks whether its folder holds another certificate than it shows."""
RENEW_SECONDS = 60
"""How often it looks whether its own is due."""
ISSUER_WARNING = timedelta(days=90)
"""So long before the issuing certificate ends, each start says so."""


def options(settings: CoordinatorSettings) -> list[tuple[str, int]]:
    """gRPC's, for this server."""
    return [*tls.SERVER_OPTIONS, ("grpc.max_allowed_incoming_connections", settings.max_connections)]


def listen(server: grpc.aio.Server, settings: CoordinatorSettings, shown: Shown) -> int:
    """Take the port; its number. Raises CoordinatorError. Nobody is answered before the server starts."""
    try:
        return server.add_secure_port(settings.listen, shown.server_credentials())
    except RuntimeError as error:
        raise CoordinatorError(
            f"the coordinator can't listen at {settings.listen}",
            blame="another process that has the port, or the address in coordinator.toml",
            remedy="stop the other process, or set another `listen`",
        ) from error


def own_host(listen: str) -> str:
    """Where this process reaches its own port."""
    host = listen.rpartition(":")[0].strip("[]")
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # not listened at


def warn_of_issuer(settings: CoordinatorSettings, now: datetime) -> None:
    """Tell the operator if the issuing certificate ends soon."""
    ends = network.load_authority(settings).certificate.not_valid_after_utc
    if ends - now < ISSUER_WARNING:
        logs.event("issuer.expiring", network=settings.network, reason=f"at {ends:%Y-%m-%d}: docs/identity.md")


async def stay_current(
    settings: CoordinatorSettings, clock: Callable[[], datetime], shown: Shown, port: int
) -> None:
    """Renew the coordinator's own certificate in time, and show the one that is in its folder; until cancelled."""
    for second in itertools.count(1):
        await asyncio.sleep(FOLLOW_SECONDS)
        try:
            if second % RENEW_SECONDS == 0 and await asyncio.to_thread(
                network.renew_server_certificate, settings, clock()
            ):
                logs.event("certificate.renewed", network=settings.network)
            await asyncio.to_thread(shown.follow, (own_host(settings.listen), port))
        except ConsortiaError as error:
            if second % RENEW_SECONDS == 0:  # files are seen half written now and then
                logs.failure("certificate.unrenewed", error)
