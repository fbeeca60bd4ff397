"""A new issuing key, and a new root, while the network runs.

Three steps change the root, with as much time between them as members need: ``begin`` has members trust old and
new, ``reissue`` under the new one has everybody's certificate renewed, ``retire`` has them trust the new one alone.
Each is safe to repeat: what a crash interrupted is done by giving the command again. Members follow because a root
that they trust has signed what they are told, never on the coordinator's word.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from consortia_common import keyfiles, pki, tls
from consortia_common.errors import SettingsError
from consortia_common.roots import Roots, SignedRoots
from consortia_coordinator import network
from consortia_coordinator.config import CoordinatorSettings
from consortia_coordinator.errors import NetworkFolderError
from consortia_coordinator.registry import Registry
from consortia_coordinator.store.members import ACTIVE, Member


@dataclass(frozen=True)
class Rotation:
    """Changes the authority of one coordinator. What it changes is noted for the log."""

    settings: CoordinatorSettings
    registry: Registry

    def reissue(
        self, root_folder: Path, now: datetime, *, key: str = keyfiles.FILE, leave_behind: bool = False
    ) -> str:
        """Make a new issuing key, at ``key``, under the root in ``root_folder``; the digest of its certificate.

        The running coordinator uses it at once, and members renew within minutes. Certificates under the old one
        stay good until they expire. Raises NetworkFolderError as long as a member may not know of the root, unless
        such may be left behind.
        """
        root = load_root(root_folder)
        self._require_trusted(root)
        _require_nobody(self.unaware(), "have not fetched the list of roots yet", leave_behind)
        issuing = pki.make_issuing(root, self.settings.network, now, keyfiles.new_p256(key))
        if issuing.key.public_key() == network.load_authority(self.settings).key.public_key():
            raise _refuse("that key is the one in use", "name another object of the module with --key")
        older = keyfiles.read_file(self.settings.issuing_certificate_file)
        both = issuing.certificate_pem + older
        keyfiles.write_file(self.settings.issuing_certificate_file, both, keyfiles.PUBLIC)
        keyfiles.save_p256(self.settings.issuing_key_file, issuing.key)
        keyfiles.write_file(self.settings.issuing_certificate_file, issuing.certificate_pem, keyfiles.PUBLIC)
        digest = pki.digest(issuing.certificate)
        self.registry.note("issuer.changed", digest=digest)
        return digest

    def begin(self, root_folder: Path, new_folder: Path, now: datetime, *, key: str = keyfiles.FILE) -> Roots:
        """Make the next root in ``new_folder``, its key at ``key``, unless it is there; have members trust both."""
        root = load_root(root_folder)
        self._require_trusted(root)
        if not (new_folder / network.ROOT_CERTIFICATE).exists():  # which is written last
            network.save_root(new_folder, pki.make_root(self.settings.network, now, keyfiles.new_p256(key)))
        new = load_root(new_folder)
        if new.certificate == root.certificate:
            raise _refuse("the new root is the old one", "name another folder for the new root")
        keyfiles.write_file(self._ca, root.certificate_pem + new.certificate_pem, keyfiles.PUBLIC)
        return self._publish((root, new), root, now)

    def retire(self, new_folder: Path, now: datetime, *, leave_behind: bool = False) -> Roots:
        """Have everybody trust the root in ``new_folder`` alone.

        Raises NetworkFolderError as long as somebody's certificate is not under it, unless they may be left behind:
        they are cut off, and must be invited anew.
        """
        new = load_root(new_folder)
        self._require_trusted(new)
        self._require_issues(new)
        _require_nobody(self.behind(), "have no certificate under the new root yet", leave_behind)
        roots = self._publish((new,), new, now)
        keyfiles.write_file(self._ca, new.certificate_pem, keyfiles.PUBLIC)
        return roots

    def unaware(self) -> list[str]:
        """The active members who have not said that they know the newest list of roots."""
        known = network.signed_roots(self.settings).document
        newest = Roots.from_canonical(known, "roots.signed").sequence if known else 0
        return [_name(one) for one in self._active() if one.roots_known < newest]

    def behind(self) -> list[str]:
        """The active members whose newest certificate is not by the issuing key in use."""
        issuer = pki.digest(network.load_authority(self.settings).certificate)
        return [_name(one) for one in self._active() if one.leaf.issuer != issuer]

    def _active(self) -> list[Member]:
        return [one for one in self.registry.members() if one.state == ACTIVE]

    @property
    def _ca(self) -> Path:
        return self.settings.folder / tls.CA_FILE

    def _require_trusted(self, root: pki.Authority) -> None:
        if root.certificate not in pki.read_chain(keyfiles.read_file(self._ca)):
            raise _refuse(
                "members do not trust that root", "name the folder of a root that is in the network's ca.pem"
            )

    def _require_issues(self, root: pki.Authority) -> None:
        """Return if the root is above the issuing key, and the coordinator shows a certificate by that."""
        issuing = network.load_authority(self.settings).certificate
        shown = pki.read_chain(keyfiles.read_file(self.settings.folder / tls.CHAIN_FILE))[1]
        if not pki.is_issued_by(issuing, root.certificate):
            raise _refuse(
                "the issuing key is not under that root", "run `consortia network rotate issuing` with it first"
            )
        if shown != issuing:
            raise _refuse(
                "the coordinator does not show a certificate by the new issuing key yet",
                "let it run for a minute, then try again",
            )

    def _publish(self, roots: tuple[pki.Authority, ...], signer: pki.Authority, now: datetime) -> Roots:
        known = network.signed_roots(self.settings).document
        last = Roots.from_canonical(known, "roots.signed").sequence if known else 0
        pems = tuple(root.certificate_pem.decode() for root in roots)
        said = Roots(network=self.settings.network, sequence=last + 1, roots=pems, at_ms=network.milliseconds(now))
        keyfiles.write_file(self.settings.roots_file, SignedRoots(said.canonical(), said.sign(signer)).raw)
        self.registry.note("roots.changed", sequence=said.sequence, roots=said.digests)
        return said


def load_root(folder: Path) -> pki.Authority:
    """The root in ``folder``, as ``consortia network init`` made it. Raises ConsortiaError."""
    try:
        certificate = keyfiles.read_file(folder / network.ROOT_CERTIFICATE)
        return pki.Authority.of(certificate, keyfiles.load_p256(folder / network.ROOT_KEY))
    except SettingsError as error:
        raise _refuse(
            f"there is no root in {folder}: {error.what}", "bring the medium that the root is kept on"
        ) from error


def _require_nobody(members: list[str], why: str, leave_behind: bool) -> None:
    if members and not leave_behind:
        raise _refuse(
            f"{len(members)} members {why}: {', '.join(members[:10])}",
            "wait until nodes have connected and people have run `consortia user renew`; or leave them behind",
        )


def _name(member: Member) -> str:
    who = member.identity
    return f"{who.institution}/{who.role}/{who.name}"


def _refuse(why: str, remedy: str) -> NetworkFolderError:
    return NetworkFolderError(f"nothing was changed: {why}", blame="whoever gave the command", remedy=remedy)
