"""Making a network: its authority, the coordinator's keys and settings, and invitations.

The root key is made in ``root/`` and needed again only to renew the issuing certificate: take it offline. Every
other key here stays in the coordinator's folder. Nothing here opens anybody's data.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from consortia_common import keyfiles, leaves, pki, tls
from consortia_common.joining import Invitation
from consortia_common.roots import Roots, SignedRoots
from consortia_coordinator import ca
from consortia_coordinator.config import INSTITUTION, CoordinatorSettings
from consortia_coordinator.errors import NetworkFolderError
from consortia_coordinator.sample import COORDINATOR_TOML
from consortia_coordinator.store.members import InvitationRecord, MembersStore
from consortia_crypto.keys import PrivateIdentity, PublicIdentity

ROOT_FOLDER = "root"
ROOT_KEY, ROOT_CERTIFICATE = "root.key", "root.pem"
INVITATION_LIFETIME = timedelta(days=7)


@dataclass(frozen=True)
class Keys:
    """Where a new network's authority has its keys: ``file:``, or ``pkcs11:…``."""

    root: str = keyfiles.FILE
    issuing: str = keyfiles.FILE


def require_empty(folder: Path) -> None:
    """Return if nothing is in ``folder``. Raises NetworkFolderError."""
    if folder.exists() and any(folder.iterdir()):
        raise NetworkFolderError(
            f"{folder} is not empty, and nothing in it is overwritten",
            blame="whoever chose the folder",
            remedy="name a folder that does not exist yet",
        )


def create(
    folder: Path, network: str, listen: str, now: datetime, keys: Keys | None = None, root_pem: bytes = b""
) -> PublicIdentity:
    """Make a network in the new folder ``folder``; returns the coordinator's identity.

    With ``root_pem`` its root is kept elsewhere: the folder then lacks an issuing certificate, see ceremony.
    """
    require_empty(folder)
    pki.Subject(network, INSTITUTION, "coordinator", INSTITUTION)  # refuses a name before any file is made
    keyfiles.make_folder(folder)
    keyfiles.make_folder(folder / "log")
    identity = PrivateIdentity.generate(network, INSTITUTION, "coordinator", INSTITUTION)
    keyfiles.save_identity(folder / "identity.key", identity)
    keyfiles.save_public_identity(folder / "identity.json", identity.public)
    if root_pem:
        _require_root(root_pem, network)
        keyfiles.write_file(folder / tls.CA_FILE, root_pem, keyfiles.PUBLIC)
    else:
        issue_server_certificate(folder, _make_authority(folder, network, now, keys or Keys()), network, now)
    text = COORDINATOR_TOML.format(network=network, listen=listen)
    keyfiles.write_file(folder / "coordinator.toml", text.encode())
    return identity.public


def load_authority(settings: CoordinatorSettings) -> ca.Authority:
    """The authority that issues members' certificates. Raises SettingsError or CertificateError."""
    certificates = keyfiles.read_file(settings.issuing_certificate_file)
    return ca.Authority.of(certificates, keyfiles.load_p256(settings.issuing_key_file))


def trusted(settings: CoordinatorSettings) -> list[x509.Certificate]:
    """The roots that members trust."""
    return pki.read_chain(keyfiles.read_file(settings.folder / tls.CA_FILE))


def next_roots(settings: CoordinatorSettings, roots: Sequence[x509.Certificate], now: datetime) -> Roots:
    """The list of roots that may follow the present one; it counts once a root has signed it."""
    known = signed_roots(settings).document
    last = Roots.from_canonical(known, "roots.signed").sequence if known else 0
    pems = tuple(pki.pem(root).decode() for root in roots)
    return Roots(network=settings.network, sequence=last + 1, roots=pems, at_ms=milliseconds(now))


def require_another(settings: CoordinatorSettings, key: ec.EllipticCurvePrivateKey) -> None:
    """Return if ``key`` is not the issuing key in use. Raises NetworkFolderError."""
    used = settings.issuing_key_file
    if used.exists() and keyfiles.load_p256(used).public_key() == key.public_key():
        raise NetworkFolderError(
            "nothing was changed: that key is the one in use",
            blame="whoever gave the command",
            remedy="name another object of the module with --key",
        )


def signed_roots(settings: CoordinatorSettings) -> SignedRoots:
    """The list of roots that members are to trust; empty while the first root is the only one."""
    if not settings.roots_file.exists():
        return SignedRoots()
    return SignedRoots.parse(keyfiles.read_file(settings.roots_file))


def milliseconds(moment: datetime) -> int:
    """Unix milliseconds, as the database keeps moments."""
    return int(moment.timestamp() * 1000)


def renew_server_certificate(settings: CoordinatorSettings, now: datetime) -> bool:
    """Give the coordinator a new certificate and key if it is time or the issuer was replaced; whether it did."""
    shown = tls.Credentials.load(settings.folder)
    leaf, issuing = pki.read_chain(shown.chain_pem)[:2]
    authority = load_authority(settings)
    if not leaves.is_due(leaf, now) and issuing == authority.certificate:
        return False
    lifetime = timedelta(days=settings.certificate_days)
    issue_server_certificate(settings.folder, authority, settings.network, now, shown.key_pem, lifetime)
    return True


def invite(
    settings: CoordinatorSettings,
    store: MembersStore,
    invitee: tuple[str, str, str],
    now: datetime,
    lifetime: timedelta = INVITATION_LIFETIME,
) -> Invitation:
    """Invite (institution, role, name). The invitation is stored before it is returned."""
    institution, role, name = invitee
    _check_invitee(settings.network, institution, role, name)
    invitation_id = f"inv-{secrets.token_hex(16)}"
    key = pki.new_key()
    subject = pki.Subject(settings.network, institution, "invitee", invitation_id)
    chain = ca.issue(load_authority(settings), key.public_key(), subject, now, lifetime)
    invitation = Invitation.from_value(
        {
            "invitation_id": invitation_id,
            "network": settings.network,
            "address": settings.public_address,
            "coordinator": keyfiles.load_public_identity(settings.public_identity_file).fingerprint,
            "institution": institution,
            "role": role,
            "name": name,
            "expires": pki.read_chain(chain)[0].not_valid_after_utc,
            "ca_pem": keyfiles.read_file(settings.folder / tls.CA_FILE).decode(),
            "chain_pem": chain.decode(),
            "key_pem": pki.key_pem(key).decode(),
        },
        "the invitation",
    )
    expires = milliseconds(invitation.expires)
    store.invite(InvitationRecord(invitation_id, institution, role, name, milliseconds(now), expires))
    return invitation


def _check_invitee(network: str, institution: str, role: str, name: str) -> None:
    pki.Subject(network, institution, role, name)
    if role not in pki.MEMBER_ROLES or institution == INSTITUTION:
        raise NetworkFolderError(
            f"nobody can be invited as {institution}/{role}",
            blame="whoever wrote the invitation",
            remedy=f"invite another institution, as one of {', '.join(pki.MEMBER_ROLES)}",
        )


def save_root(folder: Path, root: ca.Authority) -> None:
    """Put a new root where it will be taken offline from."""
    keyfiles.make_folder(folder)
    keyfiles.save_p256(folder / ROOT_KEY, root.key)
    keyfiles.write_file(folder / ROOT_CERTIFICATE, root.certificate_pem, keyfiles.PUBLIC)


def _make_authority(folder: Path, network: str, now: datetime, keys: Keys) -> ca.Authority:
    root = ca.make_root(network, now, keyfiles.new_p256(keys.root))
    issuing = ca.make_issuing(root, network, now, keyfiles.new_p256(keys.issuing))
    save_root(folder / ROOT_FOLDER, root)
    keyfiles.write_file(folder / tls.CA_FILE, root.certificate_pem, keyfiles.PUBLIC)
    keyfiles.save_p256(folder / "issuing.key", issuing.key)
    keyfiles.write_file(folder / "issuing.pem", issuing.certificate_pem, keyfiles.PUBLIC)
    return issuing


def _require_root(root_pem: bytes, network: str) -> None:
    """Return if it is one root, made for this network. Raises ConsortiaError."""
    chain = pki.read_chain(root_pem)
    if len(chain) != 1 or not pki.is_root(chain[0]) or ca.network_of(chain[0]) != network:
        raise NetworkFolderError(
            f"that is not the root of a network {network}",
            blame="whoever chose the file or the name",
            remedy="give the root.pem that `consortia network root` made for this network",
        )


def issue_server_certificate(
    folder: Path,
    authority: ca.Authority,
    network: str,
    now: datetime,
    older_key: bytes = b"",
    lifetime: timedelta = ca.LEAF_LIFETIME,
) -> None:
    """A new certificate for a new key; the older key stays until the new certificate is there."""
    key, key_file = pki.new_key(), folder / tls.KEY_FILE
    keyfiles.write_file(key_file, leaves.both(older_key, key))
    subject = pki.Subject(network, INSTITUTION, "coordinator", INSTITUTION)
    chain = ca.issue(authority, key.public_key(), subject, now, lifetime)
    keyfiles.write_file(folder / tls.CHAIN_FILE, chain, keyfiles.PUBLIC)
    keyfiles.write_file(key_file, pki.key_pem(key))
