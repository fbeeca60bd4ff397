"""A person's profile: who they are, and the network where they belong; a folder that only they may read.

``profile.toml`` is written by ``consortia user``; ``CONSORTIA_CLIENT__…`` variables go over it.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal, Self

import grpc

from consortia_client.errors import ProfileError
from consortia_common import joining, keyfiles, leaves, pki, tls
from consortia_common.documents.base import Name
from consortia_common.joining import Invitation
from consortia_common.renewal import Renewal, Renewed
from consortia_common.settings import Address, NetworkName, Settings
from consortia_crypto.errors import ConsortiaError
from consortia_crypto.keys import PrivateIdentity, PublicIdentity

PROFILE_FILE = "profile.toml"
_TEMPLATE = """\
# Written by `consortia user`. Private keys are in this folder too; keep it to yourself.
institution = "{institution}"
role = "{role}"
name = "{name}"
# The network and its coordinator's address, from enrolment; empty before.
network = "{network}"
coordinator = "{coordinator}"
"""


class ProfileSettings(Settings):
    """The content of profile.toml."""

    PART: ClassVar[str] = "CLIENT"

    institution: Name
    role: Literal["analyst", "officer", "regulator"]
    name: Name
    network: NetworkName | Literal[""] = ""
    coordinator: Address | Literal[""] = ""


@dataclass(frozen=True)
class Profile:
    """An enrolled person, ready to call the coordinator."""

    settings: ProfileSettings
    identity: PrivateIdentity
    coordinator: PublicIdentity
    credentials: tls.Credentials

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The profile in ``folder``. Raises ProfileError or SettingsError."""
        settings = ProfileSettings.load(folder / PROFILE_FILE)
        if not (settings.network and settings.coordinator):
            raise ProfileError(
                f"the profile {folder} does not belong to a network yet",
                blame="whoever set it up",
                remedy="ask the network's operator for an invitation, then run `consortia user enrol`",
            )
        return cls(
            settings,
            keyfiles.load_identity(folder / joining.IDENTITY_FILE),
            keyfiles.load_public_identity(folder / joining.COORDINATOR_FILE),
            tls.Credentials.load(folder),
        )

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.settings.folder

    @property
    def network(self) -> str:
        """The network's name."""
        return self.settings.network

    @property
    def address(self) -> str:
        """Where the coordinator listens."""
        return self.settings.coordinator

    def channel(self) -> grpc.Channel:
        """A channel to the coordinator; the caller closes it. Raises CertificateError for what TLS would refuse.

        A certificate that is due is renewed first; if that fails, the one that there is still serves.
        """
        if leaves.is_due(self.credentials.leaf, _now()):
            with suppress(ConsortiaError):
                self.renew()
            return self._connect(tls.Credentials.load(self.folder))
        return self._connect(self.credentials)

    def renew(self) -> Renewed:
        """Have the certificate renewed if it is due, and follow the network's roots. Raises ConsortiaError."""
        return Renewal(self.folder, self.identity, partial(self._connect, self.credentials), _now).check()

    def _connect(self, credentials: tls.Credentials) -> grpc.Channel:
        return tls.client_channel(self.address, credentials.require_valid(_now()), self.network)


def _now() -> datetime:
    return datetime.now(UTC)


def create(folder: Path, institution: str, role: str, name: str, signing_key: str = keyfiles.FILE) -> None:
    """Make a profile with fresh keys in the new folder ``folder``. For ``signing_key`` see joining."""
    joining.make_keys(folder, institution, role, name, signing_key)
    _save(folder, institution=institution, role=role, name=name, network="", coordinator="")


def enrol(folder: Path, invitation: Invitation, now: datetime) -> Profile:
    """Join the network that invites, or renew the certificate there. Raises ConsortiaError."""
    settings = ProfileSettings.load(folder / PROFILE_FILE)
    identity = joining.bind_identity(folder, invitation)
    key = pki.read_key(keyfiles.read_secret(folder / tls.KEY_FILE))
    joining.join(invitation, identity, key, now).save(folder)
    _save(
        folder,
        institution=settings.institution,
        role=settings.role,
        name=settings.name,
        network=invitation.network,
        coordinator=invitation.address,
    )
    return Profile.load(folder)


def _save(folder: Path, **values: str) -> None:
    keyfiles.write_file(folder / PROFILE_FILE, _TEMPLATE.format(**values).encode())
