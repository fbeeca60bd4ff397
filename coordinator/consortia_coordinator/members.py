"""Who belongs: the question that every service asks before it answers anybody."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from consortia_common import rpc
from consortia_common.audit_log import AuditLog
from consortia_common.errors import NotPermittedError
from consortia_common.tls import Peer
from consortia_coordinator.limits import Rates
from consortia_coordinator.store.members import MembersStore
from consortia_crypto import canonical
from consortia_crypto.errors import ConsortiaError
from consortia_crypto.keys import PublicIdentity

CALL_BYTES = 16 << 10
"""So many bytes that are kept count as another call: nobody fills the disk faster than the operator would see."""


@dataclass(frozen=True)
class Members:
    """The network's members as they stand at each call."""

    network: str
    store: MembersStore
    clock: Callable[[], datetime]
    log: AuditLog
    """Where refused calls are put down."""
    rates: Rates = field(default_factory=lambda: Rates(100, time.monotonic))
    """How often each may call."""

    def require(self, context: Any, *roles: str, kept: int = 0) -> Peer:
        """Who calls, if an active member in one of ``roles``, and not too often; ``kept`` is how many bytes of the
        call are kept for ever. Raises UnauthenticatedError, NotPermittedError, LimitError.
        """
        try:
            peer = rpc.require_role(context, self.network, roles, self.clock())
            self.authorise(peer)
            self.rates.take(str(peer), 1 + kept / CALL_BYTES)
            return peer
        except ConsortiaError as error:
            if self.rates.may_record(rpc.caller(context), error):
                self.log.append("peer.refused", reason=error.what)
            raise

    def authorise(self, peer: Peer) -> None:
        """Return if the member may go on. Raises NotPermittedError, which says why not."""
        if why := self.store.standing(peer):
            raise _no_member(peer, why)

    def identity_of(self, peer: Peer) -> PublicIdentity:
        """The identity that the member enrolled with. Raises NotPermittedError."""
        identity = self.store.active(peer.institution, peer.role, peer.name)
        if identity is None:
            raise _no_member(peer, "it was revoked")
        return identity

    def identities(self) -> list[PublicIdentity]:
        """Every active member's identity."""
        return [PublicIdentity.from_document(canonical.decode(data)) for data in self.store.identities()]

    def nodes(self) -> Collection[str]:
        """The institutions that have an active node."""
        return [identity.institution for identity in self.identities() if identity.role == "node"]


def _no_member(peer: Peer, why: str) -> NotPermittedError:
    return NotPermittedError(
        f"{peer} is not an active member of the network: {why}",
        blame=peer.institution,
        remedy="ask the network's operator for a new invitation and enrol again; after a revocation, with new keys",
    )
