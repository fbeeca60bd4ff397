"""gRPC's own health protocol on the coordinator's port, for load balancers that are members of the network.

It says what ``/readyz`` says (consortia_common.monitor) in one word. There is no ``Watch``, which would hold a
stream for each asker; and there is no reflection: the contract is in proto/, not asked of a running service.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from consortia_common import rpc
from consortia_common.tls import Peer

SERVICE = "grpc.health.v1.Health"
ROLES = ("node", "analyst", "officer", "regulator")


@rpc.guarded
class HealthService(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # it comes without types
    """Serves Check. ``services`` are the full names of those that stand or fall together here."""

    def __init__(
        self, require: Callable[..., Peer], services: Collection[str], is_ready: Callable[[], bool]
    ) -> None:
        self._require = require
        self._services = frozenset({"", *services})
        self._is_ready = is_ready

    async def Check(self, request: Any, context: Any) -> Any:
        """Whether the coordinator, or a service of it, is ready."""
        self._require(context, *ROLES)
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service here")
        ready = await asyncio.to_thread(self._is_ready)
        states = health_pb2.HealthCheckResponse
        return states(status=states.SERVING if ready else states.NOT_SERVING)

    async def Watch(self, request: Any, context: Any) -> Any:
        """Not served."""
        del request
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "ask Check again instead")
