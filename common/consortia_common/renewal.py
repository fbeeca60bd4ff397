"""A member's side of staying in the network: a new certificate in time, and the roots that follow the present ones.

Trusted for: a fresh key is on disk before anybody is asked to certify it, an answer is checked like the first one,
and whatever a crash leaves is a certificate with its key. What a member trusts changes by a root's signature only,
see roots. The caller dials again afterwards; a stream goes on until then.
"""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import grpc

from consortia_common import keyfiles, leaves, pki, rpc, tls
from consortia_common.errors import ExchangeError
from consortia_common.roots import Roots
from consortia_crypto.keys import PublicIdentity, Signer
from consortia_proto.v1 import network_pb2 as pb
from consortia_proto.v1 import network_pb2_grpc

PROOF_DOMAIN = "renew"
ROOTS_FILE = "roots.json"
CALL_SECONDS = 20
COORDINATOR = "the coordinator"
Connect = Callable[[], AbstractContextManager[grpc.Channel]]


@dataclass(frozen=True)
class Renewed:
    """What changed in the folder: the new certificate's end, the new list of roots; None for what did not."""

    not_after: datetime | None = None
    roots: Roots | None = None

    def __bool__(self) -> bool:
        return self.not_after is not None or self.roots is not None


Announce = Callable[[Renewed], object]
"""Told of a change before it is stored: what has to be on a log first."""


def proof_message(csr_pem: bytes) -> bytes:
    """What the member's identity signs: this request."""
    return hashlib.sha256(csr_pem).digest() + PROOF_DOMAIN.encode()


class Renewal:
    """Keeps one member's folder up to date. ``check`` may be called as often as one likes, from one thread."""

    def __init__(
        self,
        folder: Path,
        identity: Signer,
        connect: Connect,
        clock: Callable[[], datetime],
        announce: Announce = lambda _: None,
    ) -> None:
        self._folder = folder
        self._identity = identity
        self._connect = connect
        self._clock = clock
        self._announce = announce

    def is_due(self) -> bool:
        """Whether two thirds of the certificate's life are over."""
        return leaves.is_due(tls.Credentials.load(self._folder).leaf, self._clock())

    def check(self) -> Renewed:
        """Ask what to trust, and have the certificate renewed if it is due or its issuer was replaced.

        Raises ConsortiaError; everything then stands as it did.
        """
        with self._connect() as channel, rpc.calling(COORDINATOR):
            calls = network_pb2_grpc.CertificatesStub(channel)
            known = self._known()
            answer = calls.Trust(pb.TrustRequest(known=known), timeout=CALL_SECONDS)
            roots = self._follow(answer, known)
            if roots is not None:
                calls.Trust(pb.TrustRequest(known=roots.sequence), timeout=CALL_SECONDS)
            chain = pki.read_chain(tls.Credentials.load(self._folder).chain_pem)
            if leaves.is_due(chain[0], self._clock()) or answer.issuer not in map(pki.digest, chain[1:]):
                return Renewed(self._renew(calls), roots)
        return Renewed(roots=roots)

    def _known(self) -> int:
        """The number of the list of roots that is in the folder."""
        path = self._folder / ROOTS_FILE
        return Roots.from_canonical(keyfiles.read_file(path), str(path)).sequence if path.exists() else 0

    def _follow(self, answer: pb.TrustResponse, known: int) -> Roots | None:
        """Take over a newer list of roots."""
        path = self._folder / ROOTS_FILE
        if not answer.roots or (path.exists() and keyfiles.read_file(path) == answer.roots):
            return None
        trusted = keyfiles.read_file(self._folder / tls.CA_FILE)
        roots = Roots.accept(answer.roots, answer.signature, trusted, self._identity.public.network, known)
        self._announce(Renewed(roots=roots))
        keyfiles.write_file(self._folder / tls.CA_FILE, roots.pem, keyfiles.PUBLIC)
        keyfiles.write_file(path, answer.roots, keyfiles.PUBLIC)
        return roots

    def _renew(self, calls: network_pb2_grpc.CertificatesStub) -> datetime:
        credentials, key = tls.Credentials.load(self._folder), pki.new_key()
        key_file = self._folder / tls.KEY_FILE
        keyfiles.write_file(key_file, leaves.both(credentials.key_pem, key))
        csr = pki.make_request(key)
        proof = self._identity.sign(PROOF_DOMAIN, proof_message(csr))
        answer = calls.Renew(pb.RenewRequest(csr_pem=csr, proof=proof), timeout=CALL_SECONDS)
        ca_pem = keyfiles.read_file(self._folder / tls.CA_FILE)
        given = pki.verify_leaf(answer.certificate_pem, ca_pem, self._clock())
        leaf = pki.read_chain(answer.certificate_pem)[0]
        if given != subject_of(self._identity.public) or leaf.public_key() != key.public_key():
            raise ExchangeError(
                "the coordinator answered a renewal with somebody else's certificate",
                blame="the coordinator",
                remedy="go on with the present certificate, and ask the network's operator",
            )
        self._announce(Renewed(not_after=leaf.not_valid_after_utc))
        keyfiles.write_file(self._folder / tls.CHAIN_FILE, answer.certificate_pem, keyfiles.PUBLIC)
        keyfiles.write_file(key_file, pki.key_pem(key))
        return leaf.not_valid_after_utc


def subject_of(identity: PublicIdentity) -> pki.Subject:
    """The name that an identity's certificate carries."""
    return pki.Subject(identity.network, identity.institution, identity.role, identity.name)
