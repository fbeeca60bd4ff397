"""The public identities of other institutions and people, each in a file named by its fingerprint.

A fingerprint says which identity is meant, and agreements name parties and analysts by it; so who brought an
identity here does not matter, and a wrong one can't take the place of a right one. An identity that the network
revoked stays here with the coordinator's signed statement of that, and is given to nobody any more.
"""

from pathlib import Path

from consortia_common import keyfiles
from consortia_crypto.keys import PublicIdentity
from consortia_node.errors import AgreementError

PEERS_FOLDER = "peers"


class Peers:
    """The identities that this node has seen and had a use for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, identity: PublicIdentity) -> None:
        """Keep an identity that an agreement names."""
        path = self._path(identity.fingerprint)
        if not path.exists():
            keyfiles.make_folder(self._folder)
            keyfiles.save_public_identity(path, identity)

    def get(self, fingerprint: str) -> PublicIdentity:
        """The identity of that fingerprint. Raises AgreementError if it never came here."""
        self.require_standing(fingerprint)
        path = self._path(fingerprint)
        identity = keyfiles.load_public_identity(path) if path.exists() else None
        if identity is None or identity.fingerprint != fingerprint:
            raise AgreementError(
                f"the identity with fingerprint {fingerprint[:16]} is not known here",
                blame="the coordinator, which passes identities on",
                remedy="let the institution or person with that fingerprint enrol, then try again",
            )
        return identity

    def revoke(self, fingerprint: str, document: bytes) -> None:
        """Never again give out the identity of that fingerprint; ``document`` says why."""
        keyfiles.make_folder(self._folder)
        keyfiles.write_file(self._revoked(fingerprint), document)

    def is_revoked(self, fingerprint: str) -> bool:
        """Whether the network has revoked these keys."""
        return self._revoked(fingerprint).exists()

    def require_standing(self, fingerprint: str) -> None:
        """Return if these keys were not revoked. Raises AgreementError."""
        if self.is_revoked(fingerprint):
            raise AgreementError(
                f"the keys with fingerprint {fingerprint[:16]} were revoked in this network",
                blame="whoever still uses them",
                remedy="have the parties sign an agreement that names the new keys",
            )

    def _revoked(self, fingerprint: str) -> Path:
        return self._folder / f"{fingerprint}.revoked"

    def _path(self, fingerprint: str) -> Path:
        return self._folder / f"{fingerprint}.json"
