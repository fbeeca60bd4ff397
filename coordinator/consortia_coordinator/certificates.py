"""Certificates: issued to members for keys of their own making, and renewed while the membership lasts.

Trusted for: a certificate names who the registry says, is logged before it is given, and is noted with its key, so
that an older one of the same name is nobody's. The authority is read at each use, so a new issuing key is in use at
once.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric import ec

from consortia_common import pki, renewal, rpc
from consortia_common.audit_log import AuditLog
from consortia_common.documents.base import utc
from consortia_common.tls import Peer
from consortia_coordinator import ca, network
from consortia_coordinator.config import CoordinatorSettings
from consortia_coordinator.members import Members
from consortia_coordinator.store.members import Leaf
from consortia_crypto.keys import PublicIdentity
from consortia_proto.v1 import network_pb2 as pb
from consortia_proto.v1 import network_pb2_grpc


@dataclass(frozen=True)
class Issuer:
    """The network's authority as the coordinator's folder holds it now."""

    settings: CoordinatorSettings

    def issue(self, key: ec.EllipticCurvePublicKey, holder: PublicIdentity, now: datetime) -> bytes:
        """A leaf for the holder's key and the issuing certificate, PEM."""
        lifetime = timedelta(days=self.settings.certificate_days)
        return ca.issue(network.load_authority(self.settings), key, renewal.subject_of(holder), now, lifetime)

    def trust(self) -> pb.TrustResponse:
        """What members are to trust, and the issuing certificate in use."""
        issuer = pki.digest(network.load_authority(self.settings).certificate)
        roots = network.signed_roots(self.settings)
        return pb.TrustResponse(roots=roots.document, signature=roots.signature, issuer=issuer)


def record_of(chain_pem: bytes) -> Leaf:
    """A new certificate as the registry keeps it."""
    leaf, issuing = pki.read_chain(chain_pem)[:2]
    key = cast("ec.EllipticCurvePublicKey", leaf.public_key())
    ends = int(leaf.not_valid_after_utc.timestamp() * 1000)
    return Leaf(pki.key_digest(key), pki.digest(issuing), ends)


@rpc.guarded
class CertificateService(network_pb2_grpc.CertificatesServicer):
    """Serves Certificates."""

    def __init__(self, members: Members, log: AuditLog, issuer: Issuer, clock: Callable[[], datetime]) -> None:
        self._members = members
        self._log = log
        self._issuer = issuer
        self._clock = clock

    async def Renew(self, request: pb.RenewRequest, context: Any) -> pb.RenewResponse:
        """A new certificate for whoever calls, who keeps its name."""
        peer = self._members.require(context, *pki.MEMBER_ROLES)
        return await asyncio.to_thread(self._renew, peer, request)

    async def Trust(self, request: pb.TrustRequest, context: Any) -> pb.TrustResponse:
        """The roots and the issuing certificate that are in use."""
        peer = self._members.require(context, *pki.MEMBER_ROLES)
        await asyncio.to_thread(self._members.store.note_roots, peer, request.known)
        return await asyncio.to_thread(self._issuer.trust)

    def _renew(self, peer: Peer, request: pb.RenewRequest) -> pb.RenewResponse:
        identity = self._members.identity_of(peer)
        with self._log.refusing(peer=str(peer), step="certificate.renew"):
            key = pki.read_request(request.csr_pem)
            identity.verify(renewal.PROOF_DOMAIN, renewal.proof_message(request.csr_pem), request.proof)
        chain = self._issuer.issue(key, identity, self._clock())
        leaf = pki.read_chain(chain)[0]
        self._log.append(
            "certificate.issued",
            institution=peer.institution,
            role=peer.role,
            name=peer.name,
            digest=pki.digest(leaf),
            until=utc(leaf.not_valid_after_utc),
        )
        self._members.store.renew(peer, record_of(chain))
        return pb.RenewResponse(certificate_pem=chain)
