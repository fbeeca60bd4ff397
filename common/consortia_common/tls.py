"""Mutual TLS over gRPC: who connects, with what, and who the other end is.

No connection is anonymous: the coordinator demands a certificate of its own network from everybody, and every
caller demands the certificate whose DNS name is ``coordinator.<network>``, wherever the coordinator listens.
gRPC negotiates TLS 1.3 with X25519MLKEM768 where both ends have it. A connection outlives its certificate, so
``not_after`` travels with the Peer and is checked at every call.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Self, cast, overload

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from consortia_common import keyfiles, leaves, pki
from consortia_common.errors import CertificateError, UnauthenticatedError

CA_FILE = "ca.pem"
CHAIN_FILE = "tls.pem"
KEY_FILE = "tls.key"
MAX_FRAME_BYTES = 4 << 20
"""Largest gRPC message either end takes; whatever may be larger is cut into chunks."""

PING_TIMEOUT_MS = 5_000
"""After so long a silence a connection is given up; a machine that is merely busy may be silent for two seconds."""

CHANNEL_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.max_receive_message_length", MAX_FRAME_BYTES),
    ("grpc.max_send_message_length", MAX_FRAME_BYTES),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", PING_TIMEOUT_MS),
    ("grpc.http2.ping_timeout_ms", PING_TIMEOUT_MS),  # without it a frozen peer is noticed after a minute
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.use_local_subchannel_pool", 1),  # a new channel never reuses a connection made with older keys
    ("grpc.enable_http_proxy", 0),
)
SERVER_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_FRAME_BYTES),
    ("grpc.max_send_message_length", MAX_FRAME_BYTES),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", PING_TIMEOUT_MS),
    ("grpc.http2.ping_timeout_ms", PING_TIMEOUT_MS),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),  # below the callers' interval, else they are cut
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.server_handshake_timeout_ms", 10_000),  # who says nothing at first is hung up on; gRPC's own is 120 s
    ("grpc.max_connection_idle_ms", 120_000),  # so is who has no call for so long; a node always has its stream
    ("grpc.max_concurrent_streams", 32),  # of one connection
    ("grpc.max_metadata_size", 16 << 10),
    ("grpc.so_reuseport", 0),  # a second coordinator on one port must fail, not share it
)


@dataclass(frozen=True)
class Credentials:
    """What one end shows and whom it trusts, all PEM."""

    ca_pem: bytes
    chain_pem: bytes
    key_pem: bytes = field(repr=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The credentials in a node's, a person's or the coordinator's folder.

        Raises SettingsError, CertificateError.
        """
        ca_pem, chain_pem = keyfiles.read_file(folder / CA_FILE), keyfiles.read_file(folder / CHAIN_FILE)
        leaf = pki.read_chain(chain_pem)[0]
        return cls(ca_pem, chain_pem, leaves.key_of(leaf, keyfiles.read_secret(folder / KEY_FILE)))

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate that names this end."""
        return pki.read_chain(self.chain_pem)[0]

    def not_after(self) -> datetime:
        """When the certificate shown here expires."""
        return self.leaf.not_valid_after_utc

    def require_valid(self, now: datetime) -> "Credentials":
        """These, if the other end can accept them now. Raises CertificateError, which says what is wrong.

        TLS itself tells the one whose certificate it refuses next to nothing.
        """
        pki.verify_leaf(self.chain_pem, self.ca_pem, now)
        return self


@dataclass(frozen=True)
class Peer:
    """The other end of a connection, as its certificate names it."""

    network: str
    institution: str
    role: str
    name: str
    not_after: datetime
    key: str
    """The digest of the key that the certificate is for; see pki.key_digest."""

    def __str__(self) -> str:
        return f"{self.institution}/{self.role}/{self.name}"


def peer_of(auth_context: Mapping[str, Iterable[bytes]]) -> Peer:
    """Who is at the other end, from ``context.auth_context()``. Raises UnauthenticatedError."""
    pem = next(iter(auth_context.get("x509_pem_cert", ())), b"")
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        subject = pki.subject_of(certificate)
        key = pki.key_digest(cast("ec.EllipticCurvePublicKey", certificate.public_key()))
    except (ValueError, CertificateError) as error:
        raise UnauthenticatedError(
            "a call came without a certificate that names its sender",
            blame="the caller",
            remedy="call with the certificate that enrolment gave",
        ) from error
    ends = certificate.not_valid_after_utc
    return Peer(subject.network, subject.institution, subject.role, subject.name, ends, key)


@overload
def client_channel(
    address: str, credentials: Credentials, network: str, *, aio: Literal[False] = False
) -> grpc.Channel: ...
@overload
def client_channel(
    address: str, credentials: Credentials, network: str, *, aio: Literal[True]
) -> grpc.aio.Channel: ...
def client_channel(
    address: str, credentials: Credentials, network: str, *, aio: bool = False
) -> grpc.Channel | grpc.aio.Channel:
    """A channel to the coordinator of ``network`` at ``address`` (HOST:PORT); connects at the first call."""
    secured = grpc.ssl_channel_credentials(
        credentials.ca_pem, private_key=credentials.key_pem, certificate_chain=credentials.chain_pem
    )
    options = (*CHANNEL_OPTIONS, ("grpc.ssl_target_name_override", pki.server_name(network)))
    if aio:
        return grpc.aio.secure_channel(address, secured, options=options)
    return grpc.secure_channel(address, secured, options=options)
