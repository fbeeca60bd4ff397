"""Lets a regulator read the coordinator's own log. The institutions' logs are theirs to hand over."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from consortia_common import audit_fetch, rpc
from consortia_common.audit_log import AuditLog
from consortia_coordinator.members import Members
from consortia_proto.v1 import network_pb2 as pb
from consortia_proto.v1 import network_pb2_grpc


@rpc.guarded
class AuditService(network_pb2_grpc.AuditServicer):
    """Serves Audit."""

    def __init__(self, members: Members, log: AuditLog) -> None:
        self._members = members
        self._log = log

    async def Read(self, request: pb.ReadLogRequest, context: Any) -> AsyncIterator[pb.LogChunk]:
        """Every entry from ``from_entry`` on that there is now, then its signed head and checkpoint."""
        self._members.require(context, "regulator")
        chunks = audit_fetch.chunks(self._log.folder, request.from_entry)
        while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
            yield chunk
