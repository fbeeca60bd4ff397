"""The network's private certificate authority: root, issuing certificate, and leaves that name their holder.

The root signs one issuing certificate and goes offline; the issuing key lies with the coordinator and can name
members, but an agreement names its parties' own keys, so a false member is none to the nodes. Trusted for: of a
request only its key gets into a certificate, and only a coordinator's leaf serves as a server. Follows RFC 5280.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from consortia_common import pki
from consortia_coordinator import x509_shapes

ROOT_LIFETIME = timedelta(days=3650)
ISSUING_LIFETIME = timedelta(days=730)
LEAF_LIFETIME = timedelta(days=30)
_ROOT_NAME = "Consortia {} root"
_ROOT = re.compile(rf"CN=Consortia ({pki.NETWORK.pattern}) root")


@dataclass(frozen=True)
class Authority:
    """A certificate that issues others, its key, and the chain that a leaf's holder presents after the leaf."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    """In memory, or a stand-in for one in a hardware module."""

    @property
    def certificate_pem(self) -> bytes:
        """PEM."""
        return pki.pem(self.certificate)

    @classmethod
    def of(cls, certificate_pem: bytes, key: ec.EllipticCurvePrivateKey) -> Self:
        """The authority whose certificate, one of those in the file, is for ``key``. Raises CertificateError."""
        for certificate in pki.read_chain(certificate_pem):
            if certificate.public_key() == key.public_key():
                return cls(certificate, key)
        raise pki.refuse("the issuing key is another certificate's", "whoever set up the folder", pki.RESTORE)


def make_root(network: str, now: datetime, key: ec.EllipticCurvePrivateKey | None = None) -> Authority:
    """A network's root: signs issuing certificates only. ``key``: one that is there already, say in a module."""
    key = key or pki.new_key()
    name = x509_shapes.common_name(_ROOT_NAME.format(network))
    builder = x509_shapes.builder(name, name, key.public_key(), now, ROOT_LIFETIME)
    return Authority(x509_shapes.as_authority(builder, key.public_key(), key, path_length=1), key)


def network_of(root: x509.Certificate) -> str:
    """The network for which a root was made. Raises CertificateError if it is none of ours."""
    found = _ROOT.fullmatch(root.subject.rfc4514_string())
    if found is None:
        raise pki.refuse("it is not the root of a Consortia network", "whoever made it", pki.RESTORE)
    return found[1]


def make_issuing(
    root: Authority, network: str, now: datetime, key: ec.EllipticCurvePrivateKey | None = None
) -> Authority:
    """The authority that the coordinator holds: signs leaves only. ``key`` as above."""
    key = key or pki.new_key()
    return Authority(certify_issuing(root, key.public_key(), network, now), key)


def certify_issuing(
    root: Authority, public_key: ec.EllipticCurvePublicKey, network: str, now: datetime
) -> x509.Certificate:
    """The certificate of an issuing key, which may lie elsewhere."""
    name = x509_shapes.common_name(f"Consortia {network} issuing")
    builder = x509_shapes.builder(name, root.certificate.subject, public_key, now, ISSUING_LIFETIME)
    return x509_shapes.as_authority(builder, public_key, root.key, path_length=0)


def issue(
    authority: Authority,
    public_key: ec.EllipticCurvePublicKey,
    subject: pki.Subject,
    now: datetime,
    lifetime: timedelta = LEAF_LIFETIME,
) -> bytes:
    """A leaf for ``subject`` and the issuing certificate, PEM. Only a coordinator's leaf serves as a server.

    Raises CertificateError if the issuing certificate has expired.
    """
    pki.require_time(authority.certificate, now)
    end = min(now + lifetime, authority.certificate.not_valid_after_utc)
    name = x509_shapes.common_name(f"{subject.institution} {subject.name}")
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(subject.uri)]
    usage = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if subject.role == "coordinator":
        names.append(x509.DNSName(pki.server_name(subject.network)))
        usage = [ExtendedKeyUsageOID.SERVER_AUTH]
    leaf = (
        x509_shapes.builder(name, authority.certificate.subject, public_key, now, end - now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509_shapes.key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509_shapes.authority_key(authority.key), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return leaf.public_bytes(serialization.Encoding.PEM) + authority.certificate_pem
