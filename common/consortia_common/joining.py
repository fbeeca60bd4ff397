"""Joining a network: the invitation, and what a newcomer does with it.

An invitation is a file that carries a bootstrap certificate of role ``invitee``, good for one call, Enrol, for a
few days. The newcomer makes its keys itself and sends only public halves: a signing request and its identity,
bound together by the identity's signature. It trusts the answer because the invitation names the network's root
and the coordinator's fingerprint; both people still compare fingerprints by another way, since whoever could
alter the file could alter those too.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import AwareDatetime, Field, StringConstraints, field_serializer

from consortia_common import keyfiles, pki, rpc, tls
from consortia_common.documents.base import Document, Fingerprint, Name, utc
from consortia_common.errors import ExchangeError, SettingsError
from consortia_common.settings import Address, NetworkName
from consortia_crypto import canonical
from consortia_crypto.keys import PrivateIdentity, PublicIdentity
from consortia_proto.v1 import network_pb2 as pb
from consortia_proto.v1 import network_pb2_grpc as rpc_stubs

PROOF_DOMAIN = "enrol"
IDENTITY_FILE = "identity.key"
COORDINATOR_FILE = "coordinator.json"
ENROL_SECONDS = 30
Pem = Annotated[str, StringConstraints(max_length=20_000, pattern=r"^-----BEGIN ")]


class Invitation(Document):
    """What an operator hands to one newcomer. Secret until used."""

    v: Literal[1] = 1
    invitation_id: Annotated[str, StringConstraints(pattern=r"^inv-[0-9a-f]{32}$")]
    network: NetworkName
    address: Address
    coordinator: Fingerprint
    institution: Name
    role: Literal["node", "analyst", "officer", "regulator"]
    name: Name
    expires: AwareDatetime
    ca_pem: Pem
    chain_pem: Pem
    key_pem: Annotated[Pem, Field(repr=False)]

    @field_serializer("expires")
    def _utc(self, moment: datetime) -> str:
        return utc(moment.astimezone(UTC))

    @classmethod
    def load(cls, path: Path) -> Self:
        """The invitation in the file ``path``. Raises SettingsError or DocumentError."""
        return cls.from_canonical(keyfiles.read_file(path), f"the invitation {path}")

    def save(self, path: Path) -> None:
        """Write the file that the operator hands over."""
        keyfiles.write_file(path, self.canonical())

    def credentials(self) -> tls.Credentials:
        """The bootstrap certificate."""
        return tls.Credentials(self.ca_pem.encode(), self.chain_pem.encode(), self.key_pem.encode())


@dataclass(frozen=True)
class Admission:
    """What a newcomer has when it belongs."""

    credentials: tls.Credentials
    coordinator: PublicIdentity

    def save(self, folder: Path) -> None:
        """Write certificate, root and the coordinator's identity beside the keys."""
        keyfiles.write_file(folder / tls.CA_FILE, self.credentials.ca_pem, keyfiles.PUBLIC)
        keyfiles.write_file(folder / tls.CHAIN_FILE, self.credentials.chain_pem, keyfiles.PUBLIC)
        keyfiles.save_public_identity(folder / COORDINATOR_FILE, self.coordinator)


def make_keys(folder: Path, institution: str, role: str, name: str, signing_key: str = keyfiles.FILE) -> None:
    """Make a newcomer's keys in ``folder``; the network is filled in when an invitation names it.

    ``signing_key``: where the identity's Ed25519 key is made, ``file:`` or ``pkcs11:…``.
    """
    identity_file = keyfiles.make_folder(folder) / IDENTITY_FILE
    if identity_file.exists():
        raise SettingsError(
            f"{folder} holds keys already, and they are not overwritten",
            blame="whoever ran init twice",
            remedy="use another folder, or go on with this one",
        )
    module_key = keyfiles.new_ed25519(signing_key)
    keyfiles.save_identity(identity_file, PrivateIdentity.generate("", institution, role, name, module_key))
    keyfiles.write_file(folder / tls.KEY_FILE, pki.key_pem(pki.new_key()))


def bind_identity(folder: Path, invitation: Invitation) -> PrivateIdentity:
    """The identity in ``folder``, bound from now on to the network that invites it. Raises SettingsError."""
    found = keyfiles.load_identity(folder / IDENTITY_FILE)
    bound = replace(found, network=invitation.network)
    invited = (invitation.institution, invitation.role, invitation.name)
    if (found.institution, found.role, found.name) != invited or found.network not in ("", bound.network):
        raise SettingsError(
            f"the invitation is for {'/'.join(invited)} in {invitation.network}; the keys in {folder} are "
            f"{found.institution}/{found.role}/{found.name}" + (f" in {found.network}" * bool(found.network)),
            blame="whoever picked the invitation or the folder",
            remedy="ask for an invitation with exactly these names, or set up a folder with the invited ones",
        )
    keyfiles.save_identity(folder / IDENTITY_FILE, bound)
    return bound


def proof_message(csr_pem: bytes, invitation_id: str) -> bytes:
    """What the newcomer's identity signs: this request, under this invitation."""
    return hashlib.sha256(csr_pem).digest() + invitation_id.encode()


def join(
    invitation: Invitation, identity: PrivateIdentity, key: ec.EllipticCurvePrivateKey, now: datetime
) -> Admission:
    """Enrol at the coordinator, and check every part of its answer. Raises ConsortiaError."""
    if now >= invitation.expires:
        raise SettingsError(
            f"the invitation expired at {utc(invitation.expires.astimezone(UTC))}",
            blame="the passing of time",
            remedy="ask the network's operator for a new invitation",
        )
    csr = pki.make_request(key)
    request = pb.EnrolRequest(
        csr_pem=csr,
        identity=canonical.encode(identity.public.document()),
        proof=identity.sign(PROOF_DOMAIN, proof_message(csr, invitation.invitation_id)),
    )
    whom = f"the coordinator of {invitation.network} at {invitation.address}"
    channel = tls.client_channel(invitation.address, invitation.credentials(), invitation.network)
    with channel, rpc.calling(whom):
        answer = rpc_stubs.EnrolmentStub(channel).Enrol(request, timeout=ENROL_SECONDS)
    return _accept(answer, invitation, key, now)


def _accept(
    answer: pb.EnrolResponse, invitation: Invitation, key: ec.EllipticCurvePrivateKey, now: datetime
) -> Admission:
    given = pki.verify_leaf(answer.certificate_pem, invitation.ca_pem.encode(), now)
    wanted = pki.Subject(invitation.network, invitation.institution, invitation.role, invitation.name)
    coordinator = PublicIdentity.from_document(canonical.decode(answer.coordinator_identity))
    if (
        given != wanted
        or pki.read_chain(answer.certificate_pem)[0].public_key() != key.public_key()
        or coordinator.fingerprint != invitation.coordinator
    ):
        raise ExchangeError(
            "the coordinator's answer is not what the invitation promises",
            blame="the coordinator, or whoever altered the invitation",
            remedy="do not use this network before you have spoken to its operator",
        )
    credentials = tls.Credentials(invitation.ca_pem.encode(), answer.certificate_pem, pki.key_pem(key))
    return Admission(credentials, coordinator)
