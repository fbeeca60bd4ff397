"""Enrolment: from an invitation to a member with a certificate, each step on the log before it is taken.

Trusted for: no certificate is issued that the log does not name first, no invitation works twice, and an active
member's name is never given to other keys. ``consortia network invite`` only stores an invitation, because the
running coordinator is the log's one writer; the coordinator logs it at its start or when it is presented,
whichever is first, and honours none before.
"""

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine

from consortia_common import pki, rpc
from consortia_common.audit_log import AuditLog
from consortia_common.documents.base import utc
from consortia_common.joining import PROOF_DOMAIN, proof_message
from consortia_common.tls import Peer
from consortia_coordinator.certificates import Issuer, record_of
from consortia_coordinator.errors import EnrolmentError
from consortia_coordinator.network import milliseconds
from consortia_coordinator.store.members import InvitationRecord, MembersStore, already_used
from consortia_coordinator.store.orders import OrderStore
from consortia_crypto import canonical
from consortia_crypto.errors import ConsortiaError
from consortia_crypto.keys import PublicIdentity
from consortia_proto.v1 import network_pb2 as pb
from consortia_proto.v1 import network_pb2_grpc as rpc_stubs

Clock = Callable[[], datetime]


def log_invitations(store: MembersStore, log: AuditLog, clock: Clock) -> int:
    """Put every invitation that was made meanwhile on the log, in order; how many there were."""
    waiting = store.unlogged()
    for record in waiting:
        log.append(
            "invitation.created",
            invitation=record.invitation_id,
            institution=record.institution,
            role=record.role,
            name=record.name,
            expires_at=utc(datetime.fromtimestamp(record.expires_ms / 1000, UTC)),
        )
        store.mark_logged(record.invitation_id, milliseconds(clock()))
    return len(waiting)


@rpc.guarded
class EnrolmentService(rpc_stubs.EnrolmentServicer):
    """The one call that an invitation's certificate may make."""

    def __init__(
        self,
        engine: Engine,
        log: AuditLog,
        issuer: Issuer,
        identity: PublicIdentity,
        clock: Clock,
    ) -> None:
        self._store = MembersStore(engine)
        self._log = log
        self._issuer = issuer
        self._orders = OrderStore(engine)
        self._identity = identity
        self._clock = clock
        self._one_at_a_time = threading.Lock()

    async def Enrol(self, request: pb.EnrolRequest, context: Any) -> pb.EnrolResponse:
        """Admit the newcomer who calls. Raises ConsortiaError, which the caller is told."""
        now = self._clock()
        peer = rpc.require_role(context, self._identity.network, ("invitee",), now)
        return await asyncio.to_thread(self._enrol, peer, request, now)

    def _enrol(self, peer: Peer, request: pb.EnrolRequest, now: datetime) -> pb.EnrolResponse:
        with self._one_at_a_time:
            log_invitations(self._store, self._log, self._clock)
            try:
                return self._admit(peer, request, now)
            except ConsortiaError as error:
                self._log.append("peer.refused", reason=error.what, peer=str(peer), role=peer.role)
                raise

    def _admit(self, peer: Peer, request: pb.EnrolRequest, now: datetime) -> pb.EnrolResponse:
        record = self._usable(peer, now)
        key = pki.read_request(request.csr_pem)
        identity = self._proven(record, request)
        self._log.append(
            "member.enrolled",
            invitation=record.invitation_id,
            institution=record.institution,
            role=record.role,
            name=record.name,
            fingerprint=identity.fingerprint,
        )
        chain = self._issuer.issue(key, identity, now)
        self._store.admit(record.invitation_id, identity, record_of(chain), milliseconds(now))
        return pb.EnrolResponse(
            certificate_pem=chain,
            coordinator_identity=canonical.encode(self._identity.document()),
        )

    def _usable(self, peer: Peer, now: datetime) -> InvitationRecord:
        """The caller's invitation, if it can still be used."""
        record = self._store.invitation(peer.name)
        if record is None or record.institution != peer.institution:
            raise EnrolmentError("this network has no such invitation", blame=peer.institution, remedy=_ASK_AGAIN)
        if record.used_ms is not None:
            raise already_used(peer.institution)
        if milliseconds(now) >= record.expires_ms:
            raise EnrolmentError("the invitation has expired", blame=peer.institution, remedy=_ASK_AGAIN)
        return record

    def _proven(self, record: InvitationRecord, request: pb.EnrolRequest) -> PublicIdentity:
        """The newcomer's identity, if it is the invited one, holds its keys, and displaces nobody."""
        identity = PublicIdentity.from_document(canonical.decode(request.identity))
        invited = (self._identity.network, record.institution, record.role, record.name)
        if (identity.network, identity.institution, identity.role, identity.name) != invited:
            raise EnrolmentError(
                f"the invitation is for {'/'.join(invited[1:])} and nobody else",
                blame="the newcomer",
                remedy="set up a folder with exactly these names, or ask for another invitation",
            )
        identity.verify(PROOF_DOMAIN, proof_message(request.csr_pem, record.invitation_id), request.proof)
        if self._orders.is_revoked(identity.fingerprint):
            raise EnrolmentError(
                f"the keys of {'/'.join(invited[1:])} were revoked, and keys never come back",
                blame="the newcomer",
                remedy="make new keys in a new folder, and enrol with those",
            )
        member = self._store.active(record.institution, record.role, record.name)
        if member is not None and member.fingerprint != identity.fingerprint:
            raise EnrolmentError(
                f"{'/'.join(invited[1:])} is an active member with other keys",
                blame="the newcomer, or the operator who invited a name twice",
                remedy="renew with the keys that were enrolled, or choose another name",
            )
        return identity


_ASK_AGAIN = "ask the network's operator for a new invitation"
