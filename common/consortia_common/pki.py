"""The network's certificates: whom one names, whether a root vouches for it, and the keys that belong to them.

Every leaf carries one URI, ``spiffe://<network>/<institution>/<role>/<name>``, which the issuer writes: nothing
of a request is taken over but its public key. All keys are P-256 (gRPC's TLS takes no Ed25519). Trusted for: a name
is believed only if a root of the network vouches for it now. Nothing is issued here, only by the coordinator (ca).
Follows RFC 5280 and SPIFFE.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from consortia_common.errors import CertificateError

ROLES = ("coordinator", "node", "analyst", "officer", "regulator", "invitee")
MEMBER_ROLES = ("node", "analyst", "officer", "regulator")
MAX_CSR_BYTES = 16_384
_UNREADABLE = (
    *(ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm),
    *(x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
)
"""What cryptography raises for bytes that are no certificate or request of the kinds that we take."""
_PART = re.compile(r"[a-z][a-z0-9_-]{0,62}")
NETWORK = re.compile(r"[a-z][a-z0-9-]{0,62}")
"""What a network may be called."""
_REQUESTER = "the process that asked for a certificate"
_ENROL = "ask the network's operator for a new invitation and enrol again"
RESTORE = "restore the folder from a backup, or set it up anew"
_CLOCKS = "have both machines set their clocks by a time server, then try again"
_EXPIRED = "set the clock if it is wrong; else have the operator issue anew: an invitation, or `network rotate`"
_NAMES = "use a lower-case letter, then letters, digits and hyphens, 63 characters at most"


@dataclass(frozen=True)
class Subject:
    """Whom a leaf names."""

    network: str
    institution: str
    role: str
    name: str

    def __post_init__(self) -> None:
        parts = _PART.fullmatch(self.institution) and _PART.fullmatch(self.name)
        if not (NETWORK.fullmatch(self.network) and parts and self.role in ROLES):
            raise refuse("a name in it is not one that Consortia gives", "whoever chose the name", _NAMES)

    @property
    def uri(self) -> str:
        """The SPIFFE identifier."""
        return f"spiffe://{self.network}/{self.institution}/{self.role}/{self.name}"

    @classmethod
    def from_uri(cls, uri: str) -> Self:
        """The inverse of ``uri``. Raises CertificateError."""
        scheme, _, rest = uri.partition("://")
        parts = rest.split("/")
        if scheme != "spiffe" or len(parts) != 4:
            raise refuse("its URI is not one of this network's", "whoever issued it", _ENROL)
        return cls(*parts)


def server_name(network: str) -> str:
    """The DNS name that the coordinator's certificate carries, wherever it listens."""
    return f"coordinator.{network}"


def key_digest(key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of the public key (SubjectPublicKeyInfo), by which the registry knows whose certificate it is."""
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def digest(certificate: x509.Certificate) -> str:
    """SHA-256 of a certificate."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def pem(certificate: x509.Certificate) -> bytes:
    """A certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS #8 PEM, unencrypted: for a file of mode 0600."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def read_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """The P-256 private key in ``pem``. Raises CertificateError."""
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise refuse("the private key can't be read", "whoever set up the folder", RESTORE) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise refuse("the private key is not a P-256 key", "whoever set up the folder", RESTORE)
    return key


def make_request(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A certificate signing request (PEM) that proves possession of ``key`` and claims nothing."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "request")])
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def read_request(pem: bytes) -> ec.EllipticCurvePublicKey:
    """The P-256 key whose possession the request proves. Raises CertificateError."""
    if len(pem) > MAX_CSR_BYTES:
        raise refuse("the signing request is far too long", _REQUESTER, _ENROL)
    try:
        request = x509.load_pem_x509_csr(pem)
        key, valid = request.public_key(), request.is_signature_valid
    except _UNREADABLE as error:
        raise refuse("the signing request can't be read", _REQUESTER, _ENROL) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise refuse("the signing request's key is not a P-256 key", _REQUESTER, _ENROL)
    if not valid:
        raise refuse("the signing request is not signed by its own key", _REQUESTER, _ENROL)
    return key


def read_chain(pem: bytes) -> list[x509.Certificate]:
    """The certificates in ``pem``, at least one. Raises CertificateError."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except _UNREADABLE as error:
        raise refuse("it can't be read as PEM", "whoever made the file", RESTORE) from error


def is_root(certificate: x509.Certificate) -> bool:
    """Whether it is signed by its own key, and may sign others."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    return constraints.ca and is_issued_by(certificate, certificate)


def is_issuing(certificate: x509.Certificate, root: x509.Certificate) -> bool:
    """Whether it is an issuing certificate under that root: one that may sign leaves, and nothing deeper."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    signs = constraints.ca and constraints.path_length == 0 and usage.key_cert_sign
    return signs and is_issued_by(certificate, root)


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer's key signed it, under the issuer's name."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def subject_of(certificate: x509.Certificate) -> Subject:
    """Whom ``certificate`` names. Raises CertificateError unless it names exactly one member."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, *_UNREADABLE) as error:
        raise refuse("it does not name exactly one member", "whoever issued it", _ENROL) from error
    return Subject.from_uri(uri)


def verify_leaf(chain_pem: bytes, roots_pem: bytes, now: datetime) -> Subject:
    """Whom the first certificate of the chain names, if one of the roots vouches for it as a client at ``now``."""
    leaf, *others = read_chain(chain_pem)
    require_time(leaf, now)
    verifier = PolicyBuilder().store(Store(read_chain(roots_pem))).time(now).build_client_verifier()
    try:
        verifier.verify(leaf, others)
    except (VerificationError, *_UNREADABLE) as error:
        raise refuse("no root of this network vouches for it", "whoever issued it", _ENROL) from error
    return subject_of(leaf)


def require_time(certificate: x509.Certificate, now: datetime) -> None:
    """Return if ``now`` is within the certificate's life. Raises CertificateError, which tells both moments."""
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begins:
        why = f"it is valid from {_told(begins)} only, and the clock here says {_told(now)}"
        raise refuse(why, "the clock of this machine, or of the coordinator's", _CLOCKS)
    if now >= ends:
        why = f"it expired at {_told(ends)}, and the clock here says {_told(now)}"
        raise refuse(why, "its holder, who was away when it was due for renewal, or the clock here", _EXPIRED)


def _told(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def refuse(why: str, blame: str, remedy: str) -> CertificateError:
    """The error for a certificate, key or request that is not taken."""
    return CertificateError(f"a certificate was refused: {why}", blame=blame, remedy=remedy)
