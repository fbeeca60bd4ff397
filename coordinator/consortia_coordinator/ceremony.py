"""What is asked of a root that never comes near the operator's machine, and how its keeper answers.

Two files are carried: a request from the operator, and what the root made of it. For a new issuing key they are a
PKCS #10 request and a certificate, so that any tool that signs such may keep the root; for the list of roots that
members trust, the list and its signature. A request claims nothing but a key or a list, and people compare its
digits. See rotation for what becomes of an answer.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from consortia_common import keyfiles, pki
from consortia_common.roots import Roots, SignedRoots
from consortia_coordinator import ca, network
from consortia_coordinator.config import CoordinatorSettings
from consortia_coordinator.errors import NetworkFolderError

_CSR = b"-----BEGIN CERTIFICATE REQUEST-----"


@dataclass(frozen=True)
class Answer:
    """What the root makes of a request, and in words for its keeper what that is."""

    raw: bytes
    facts: dict[str, str]


def ask_for_issuing(settings: CoordinatorSettings, key: str = keyfiles.FILE) -> bytes:
    """The request (PEM) for a certificate of the next issuing key, which is made at ``key`` unless it is there."""
    path = settings.next_issuing_key_file
    if not path.exists():
        made = keyfiles.new_p256(key)
        network.require_another(settings, made)
        keyfiles.save_p256(path, made)
    return pki.make_request(keyfiles.load_p256(path))


def ask_for_roots(settings: CoordinatorSettings, new_pem: bytes, now: datetime, *, alone: bool) -> bytes:
    """The request that members trust the new root, ``alone`` or beside the present one. Raises ConsortiaError."""
    new = pki.read_chain(new_pem)[0]
    present = [root for root in network.trusted(settings) if root != new]
    if len(present) > 1:
        raise NetworkFolderError(
            "nothing was asked: another change of the root is under way",
            blame="whoever gave the command",
            remedy="end that one first, with `consortia network request retire`",
        )
    return network.next_roots(settings, [new] if alone else [*present, new], now).canonical()


def fingerprint_of(request: bytes) -> str:
    """What operator and keeper read to each other, to see that they have the same request."""
    return pki.key_digest(pki.read_request(request)) if request.startswith(_CSR) else Roots.digest_of(request)


def sign(root: ca.Authority, request: bytes, now: datetime) -> Answer:
    """What the root makes of a request. Raises ConsortiaError for what is none."""
    compare = {"to compare": fingerprint_of(request)}
    if request.startswith(_CSR):
        certificate = ca.certify_issuing(root, pki.read_request(request), ca.network_of(root.certificate), now)
        until = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
        return Answer(pki.pem(certificate), {"signed": "an issuing key", "until": until, **compare})
    said = Roots.from_canonical(request, "the request")
    facts = {"signed": f"list {said.sequence} of the roots of {said.network}", "roots": ", ".join(said.digests)}
    return Answer(SignedRoots(request, said.sign(root.key)).raw, facts | compare)


def make_root(folder: Path, name: str, now: datetime, key: str = keyfiles.FILE) -> ca.Authority:
    """A network's root in the new folder ``folder``, its key at ``key``. Raises ConsortiaError."""
    network.require_empty(folder)
    root = ca.make_root(name, now, keyfiles.new_p256(key))
    network.save_root(folder, root)
    return root
