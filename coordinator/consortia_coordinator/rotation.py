"""A new issuing key, and a new root, while the network runs.

Three steps change the root, with as much time between them as members need: ``begin`` has members trust old and
new, ``reissue`` under the new one has everybody's certificate renewed, ``retire`` has them trust the new one alone.
Each is safe to repeat: what a crash interrupted is done by giving the command again. Members follow because a root
that they trust has signed what they are told, never on the coordinator's word.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from consortia_common import keyfiles, pki, tls
from consortia_common.errors import SettingsError
from consortia_common.roots import Roots, SignedRoots
from consortia_coordinator import ca, network
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
        issuing = ca.make_issuing(root, self.settings.network, now, keyfiles.new_p256(key))
        network.require_another(self.settings, issuing.key)
        return self._issue_by(issuing)

    def install(self, answer: bytes, now: datetime, *, leave_behind: bool = False) -> str:
        """Put into use what the root made of a request (see ceremony); in words, what that was.

        Raises ConsortiaError for what no trusted root has signed, and as long as a member is not ready for it.
        """
        if not answer.startswith(b"-----BEGIN CERTIFICATE-----"):
            roots = self._accept(SignedRoots.parse(answer), leave_behind)
            return f"members trust {len(roots.roots)} root(s) from now on"
        issuing = self._asked_for(pki.read_chain(answer)[0], now)
        _require_nobody(self.unaware(), "have not fetched the list of roots yet", leave_behind)
        digest = self._issue_by(issuing)
        if not (self.settings.folder / tls.CHAIN_FILE).exists():
            network.issue_server_certificate(self.settings.folder, issuing, self.settings.network, now)
        self.settings.next_issuing_key_file.unlink(missing_ok=True)
        return f"certificates are issued by the key with certificate {digest}"

    def begin(self, root_folder: Path, new_folder: Path, now: datetime, *, key: str = keyfiles.FILE) -> Roots:
        """Make the next root in ``new_folder``, its key at ``key``, unless it is there; have members trust both."""
        root = load_root(root_folder)
        self._require_trusted(root)
        if not (new_folder / network.ROOT_CERTIFICATE).exists():  # which is written last
            network.save_root(new_folder, ca.make_root(self.settings.network, now, keyfiles.new_p256(key)))
        new = load_root(new_folder)
        if new.certificate == root.certificate:
            raise _refuse("the new root is the old one", "name another folder for the new root")
        said = network.next_roots(self.settings, [root.certificate, new.certificate], now)
        return self._publish(said, said.sign(root.key))

    def retire(self, new_folder: Path, now: datetime, *, leave_behind: bool = False) -> Roots:
        """Have everybody trust the root in ``new_folder`` alone.

        Raises NetworkFolderError as long as somebody's certificate is not under it, unless they may be left behind:
        they are cut off, and must be invited anew.
        """
        new = load_root(new_folder)
        self._require_trusted(new)
        self._require_replaced(new.certificate, leave_behind)
        said = network.next_roots(self.settings, [new.certificate], now)
        return self._publish(said, said.sign(new.key))

    def unaware(self) -> list[str]:
        """The active members who have not said that they know the newest list of roots."""
        known = network.signed_roots(self.settings).document
        newest = Roots.from_canonical(known, "roots.signed").sequence if known else 0
        return [_name(one) for one in self._active() if one.roots_known < newest]

    def behind(self) -> list[str]:
        """The active members whose newest certificate is not by the issuing key in use."""
        issuer = pki.digest(network.load_authority(self.settings).certificate)
        return [_name(one) for one in self._active() if one.leaf.issuer != issuer]

    def _issue_by(self, issuing: ca.Authority) -> str:
        """Use the new issuing key; the digest of its certificate. Whatever is cut off leaves a pair that works."""
        certificate_file = self.settings.issuing_certificate_file
        older = keyfiles.read_file(certificate_file) if certificate_file.exists() else b""
        keyfiles.write_file(certificate_file, issuing.certificate_pem + older, keyfiles.PUBLIC)
        keyfiles.save_p256(self.settings.issuing_key_file, issuing.key)
        keyfiles.write_file(certificate_file, issuing.certificate_pem, keyfiles.PUBLIC)
        digest = pki.digest(issuing.certificate)
        if older:
            self.registry.note("issuer.changed", digest=digest)
        return digest

    def _asked_for(self, certificate: x509.Certificate, now: datetime) -> ca.Authority:
        """The authority with the key that a request was for, if a trusted root has made it one."""
        if not any(pki.is_issuing(certificate, root) for root in network.trusted(self.settings)):
            raise _refuse("no root that members trust has made that an issuing certificate", _ASK_KEEPER)
        pki.require_time(certificate, now)
        return ca.Authority.of(pki.pem(certificate), keyfiles.load_p256(self.settings.next_issuing_key_file))

    def _accept(self, signed: SignedRoots, leave_behind: bool) -> Roots:
        """Publish a list of roots that a trusted root has signed, if no member is lost over it."""
        present = network.signed_roots(self.settings)
        if present == signed:  # the step was cut off
            return self._publish(Roots.from_canonical(signed.document, "roots.signed"), signed.signature)
        known = Roots.from_canonical(present.document, "roots.signed").sequence if present.document else 0
        trusted = keyfiles.read_file(self._ca)
        said = Roots.accept(signed.document, signed.signature, trusted, self.settings.network, known)
        if len(said.roots) == 1:
            self._require_replaced(pki.read_chain(said.pem)[0], leave_behind)
        elif not set(network.trusted(self.settings)) <= set(pki.read_chain(said.pem)):
            raise _refuse("the list lacks a root that members trust now", "ask for it anew: `network request root`")
        return self._publish(said, signed.signature)

    def _require_replaced(self, new: x509.Certificate, leave_behind: bool) -> None:
        """Return if the network could do with that root alone."""
        self._require_issues(new)
        _require_nobody(self.behind(), "have no certificate under the new root yet", leave_behind)

    def _active(self) -> list[Member]:
        return [one for one in self.registry.members() if one.state == ACTIVE]

    @property
    def _ca(self) -> Path:
        return self.settings.folder / tls.CA_FILE

    def _require_trusted(self, root: ca.Authority) -> None:
        if root.certificate not in network.trusted(self.settings):
            raise _refuse(
                "members do not trust that root", "name the folder of a root that is in the network's ca.pem"
            )

    def _require_issues(self, root: x509.Certificate) -> None:
        """Return if the root is above the issuing key, and the coordinator shows a certificate by that."""
        issuing = network.load_authority(self.settings).certificate
        shown = pki.read_chain(keyfiles.read_file(self.settings.folder / tls.CHAIN_FILE))[1]
        if not pki.is_issued_by(issuing, root):
            raise _refuse(
                "the issuing key is not under that root", "run `consortia network rotate issuing` with it first"
            )
        if shown != issuing:
            raise _refuse(
                "the coordinator does not show a certificate by the new issuing key yet",
                "let it run for a minute, then try again",
            )

    def _publish(self, said: Roots, signature: bytes) -> Roots:
        """Tell members; invitations name a root before that, and no longer name one after it."""
        if len(said.roots) > 1:
            keyfiles.write_file(self._ca, said.pem, keyfiles.PUBLIC)
        keyfiles.write_file(self.settings.roots_file, SignedRoots(said.canonical(), signature).raw)
        self.registry.note("roots.changed", sequence=said.sequence, roots=said.digests)
        keyfiles.write_file(self._ca, said.pem, keyfiles.PUBLIC)
        return said


_ASK_KEEPER = "compare the digits of the request with the root's keeper, and have it signed again"


def load_root(folder: Path) -> ca.Authority:
    """The root in ``folder``, as ``consortia network init`` made it. Raises ConsortiaError."""
    try:
        certificate = keyfiles.read_file(folder / network.ROOT_CERTIFICATE)
        return ca.Authority.of(certificate, keyfiles.load_p256(folder / network.ROOT_KEY))
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
