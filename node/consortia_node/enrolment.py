"""How a node comes to belong: keys and settings made here, then one call with an invitation.

Trusted for: private keys never leave the folder, and the node's log says which network and which coordinator it
joined before anything of that membership is stored.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from consortia_common import joining, keyfiles, pki, tls
from consortia_common.audit_log import AuditLog
from consortia_common.joining import Invitation
from consortia_node.config import NODE_NAME, NodeSettings, save_membership
from consortia_node.errors import NodeError
from consortia_node.sample import DATASETS_TOML, NODE_TOML

SETTINGS_FILE, DATASETS_FILE = "node.toml", "datasets.toml"


@dataclass(frozen=True)
class Joined:
    """The two fingerprints that people of both sides compare by another way than the network."""

    own: str
    coordinator: str


def create(folder: Path, institution: str, signing_key: str = keyfiles.FILE) -> Path:
    """Make a node's folder with fresh keys; returns the path of its settings. For ``signing_key`` see joining."""
    settings_file = folder / SETTINGS_FILE
    if settings_file.exists():
        raise NodeError(
            f"{folder} holds a node already, and nothing in it is overwritten",
            blame="whoever chose the folder",
            remedy="name a folder that does not exist yet",
        )
    joining.make_keys(folder, institution, "node", NODE_NAME, signing_key)
    keyfiles.make_folder(folder / "data")
    keyfiles.make_folder(folder / "log")
    keyfiles.write_file(folder / DATASETS_FILE, DATASETS_TOML.encode())
    keyfiles.write_file(settings_file, NODE_TOML.format(institution=institution).encode())
    return settings_file


def enrol(settings: NodeSettings, invitation: Invitation, clock: Callable[[], datetime]) -> Joined:
    """Join the network that invites, or renew the certificate there. Raises ConsortiaError."""
    identity = joining.bind_identity(settings.folder, invitation)
    key = pki.read_key(keyfiles.read_secret(settings.folder / tls.KEY_FILE))
    with AuditLog.open(settings.audit_folder, identity, settings.institution, clock) as log:
        admission = joining.join(invitation, identity, key, clock())
        joined = Joined(identity.public.fingerprint, admission.coordinator.fingerprint)
        log.append(
            "node.enrolled", network=invitation.network, fingerprint=joined.own, coordinator=joined.coordinator
        )
        admission.save(settings.folder)
        save_membership(settings.folder, invitation.network, invitation.address)
    return joined
