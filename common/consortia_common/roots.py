"""PURE: which roots a network's members trust, as one root hands over to the next.

A list of roots counts only if a root that was trusted before has signed it, and only if it is newer than the one
that is known; so neither the coordinator nor whoever has the issuing key can bring a root of their own.
"""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import Field, StringConstraints

from consortia_common import pki
from consortia_common.documents.base import Count, Document
from consortia_common.errors import CertificateError
from consortia_common.settings import NetworkName

_DOMAIN = b"consortia/v1/roots\0"
_ECDSA = ec.ECDSA(hashes.SHA256())
Pem = Annotated[str, StringConstraints(max_length=20_000, pattern=r"^-----BEGIN CERTIFICATE")]


class Roots(Document):
    """The roots that members trust from now on; two during a change, else one."""

    v: Literal[1] = 1
    network: NetworkName
    sequence: Annotated[int, Field(ge=1, le=1_000_000)]
    roots: Annotated[tuple[Pem, ...], Field(min_length=1, max_length=2)]
    at_ms: Count

    @property
    def pem(self) -> bytes:
        """What a ca.pem holds."""
        return "".join(self.roots).encode()

    @property
    def digests(self) -> list[str]:
        """The roots as a log names them."""
        return [pki.digest(certificate) for certificate in pki.read_chain(self.pem)]

    @staticmethod
    def digest_of(document: bytes) -> str:
        """What people compare of a list that is to be signed."""
        return hashlib.sha256(document).hexdigest()

    def sign(self, key: ec.EllipticCurvePrivateKey) -> bytes:
        """The signature, with the key of a root that members trust already."""
        return key.sign(_DOMAIN + self.canonical(), _ECDSA)

    @classmethod
    def accept(cls, document: bytes, signature: bytes, trusted_pem: bytes, network: str, known: int) -> Self:
        """The list in ``document``, if a trusted root signed it and it is newer than number ``known``.

        Raises DocumentError, CertificateError.
        """
        roots = cls.from_canonical(document, "the list of roots")
        if roots.network != network:
            raise _refuse("it is another network's")
        if roots.sequence <= known:
            raise _refuse(f"it is number {roots.sequence}, and number {known} is known here")
        for root in roots.roots:
            _require_root(root.encode())
        if not any(_signed(root.public_key(), signature, document) for root in pki.read_chain(trusted_pem)):
            raise _refuse("no root that is trusted here has signed it")
        return roots


@dataclass(frozen=True)
class SignedRoots:
    """A list and its signature, as one file: the signature in hexadecimal, a line's end, the document."""

    document: bytes = b""
    signature: bytes = b""

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The inverse of ``raw``. Raises CertificateError."""
        line, _, document = data.partition(b"\n")
        try:
            return cls(document, bytes.fromhex(line.decode("ascii")))
        except ValueError as error:
            raise _refuse("its file is damaged") from error

    @property
    def raw(self) -> bytes:
        """The content of the file."""
        return self.signature.hex().encode() + b"\n" + self.document


def _require_root(pem: bytes) -> None:
    """A root is one certificate, signed by itself, for others that sign."""
    chain = pki.read_chain(pem)
    if len(chain) != 1 or not pki.is_root(chain[0]):
        raise _refuse("one of them is no root certificate")


def _signed(key: object, signature: bytes, document: bytes) -> bool:
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    try:
        key.verify(signature, _DOMAIN + document, _ECDSA)
    except InvalidSignature:
        return False
    return True


def _refuse(why: str) -> CertificateError:
    return CertificateError(
        f"a list of new roots was refused: {why}",
        blame="the coordinator, which brought it",
        remedy="go on with the roots that are trusted here, and ask the network's operator",
    )
