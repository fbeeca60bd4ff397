"""Who somebody is: the keys behind an institution's or a person's own statements.

Every identity holds an Ed25519 and an ML-DSA-65 signing key, used together, so that a statement stands unless
both are broken, and an X-Wing key (ML-KEM-768 with X25519) to which envelopes are sealed. Private keys are made
where they are used and never travel. The Ed25519 key may lie in a hardware module, a ``ModuleKey``; no module holds
the others yet, so they stay in the file.

Everything signed is bound to a domain (``consortia/v1/<domain>``), so that a signature made for one purpose
can't serve another. Follows FIPS 204, RFC 8032, and draft-connolly-cfrg-xwing-kem as cryptography offers it.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey, MLKEM768X25519PublicKey

from consortia_crypto import canonical
from consortia_crypto.errors import EncodingError, SignatureRefusedError

ED25519_SIGNATURE = 64
MLDSA65_SIGNATURE = 3309
SIGNATURE_LENGTH = ED25519_SIGNATURE + MLDSA65_SIGNATURE
_PUBLIC_LENGTHS = {"ed25519": 32, "mldsa65": 1952, "mlkem768": 1184, "x25519": 32}
_SEED_LENGTHS = {"ed25519": 32, "mldsa65": 32, "mlkem768": 64, "x25519": 32}


@dataclass(frozen=True)
class PublicIdentity:
    """The public half: a name within a network and four public keys (raw bytes)."""

    network: str
    institution: str
    role: str
    name: str
    ed25519: bytes
    mldsa65: bytes
    mlkem768: bytes
    x25519: bytes

    def __post_init__(self) -> None:
        for key, length in _PUBLIC_LENGTHS.items():
            if len(getattr(self, key)) != length:
                raise _bad_identity(f"the {key} public key is not {length} bytes long")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical document, as 64 hexadecimal digits: what people compare out of band."""
        return canonical.digest(self.document())

    def document(self) -> dict[str, Any]:
        """The identity as a canonical JSON document (keys in base64)."""
        return {"v": 1} | {
            item.name: _text(getattr(self, item.name)) if item.type is bytes else getattr(self, item.name)
            for item in fields(self)
        }

    @classmethod
    def from_document(cls, document: Any) -> Self:
        """The identity that ``document`` describes. Raises EncodingError."""
        names = {item.name for item in fields(cls)} | {"v"}
        if not isinstance(document, dict) or set(document) != names or document["v"] is True or document["v"] != 1:
            raise _bad_identity("the document does not have exactly the fields of an identity")
        if not all(isinstance(document[name], str) for name in names - {"v"}):
            raise _bad_identity("a field is not text")
        values: dict[str, Any] = {
            item.name: _bytes(document[item.name]) if item.type is bytes else document[item.name]
            for item in fields(cls)
        }
        return cls(**values)

    def verify(self, domain: str, message: bytes, signature: bytes) -> None:
        """Return if ``signature`` is this identity's over ``message``; else raise SignatureRefusedError."""
        if len(signature) != SIGNATURE_LENGTH:
            raise self._refused(domain)
        signed = _bound(domain, message)
        try:
            Ed25519PublicKey.from_public_bytes(self.ed25519).verify(signature[:ED25519_SIGNATURE], signed)
            MLDSA65PublicKey.from_public_bytes(self.mldsa65).verify(signature[ED25519_SIGNATURE:], signed)
        except (InvalidSignature, ValueError) as error:
            raise self._refused(domain) from error

    def verify_ed25519(self, domain: str, message: bytes, signature: bytes) -> None:
        """As ``verify``, for the statements that are signed with Ed25519 alone (log entries)."""
        try:
            Ed25519PublicKey.from_public_bytes(self.ed25519).verify(signature, _bound(domain, message))
        except (InvalidSignature, ValueError) as error:
            raise self._refused(domain) from error

    def envelope_key(self) -> MLKEM768X25519PublicKey:
        """The X-Wing key to which envelopes for this identity are sealed. Raises EncodingError."""
        try:
            return MLKEM768X25519PublicKey(
                MLKEM768PublicKey.from_public_bytes(self.mlkem768),
                X25519PublicKey.from_public_bytes(self.x25519),
            )
        except ValueError as error:
            raise _bad_identity("the envelope key is not a valid X-Wing key") from error

    def _refused(self, domain: str) -> SignatureRefusedError:
        return SignatureRefusedError(
            f"a {domain} signature does not verify under the key of {self.institution}/{self.name} "
            f"(fingerprint {self.fingerprint[:16]})",
            blame=f"whoever presented it as signed by {self.institution}",
            remedy="ask for the original; if it persists, compare fingerprints with them by telephone",
        )


class Signer(Protocol):
    """Signs as one identity; the private keys may lie in a file or in a hardware module."""

    @property
    def public(self) -> PublicIdentity:
        """Whose signatures these are."""

    def sign(self, domain: str, message: bytes) -> bytes:
        """Ed25519 ‖ ML-DSA-65 over the domain and ``message``: SIGNATURE_LENGTH bytes."""

    def sign_ed25519(self, domain: str, message: bytes) -> bytes:
        """Ed25519 alone, 64 bytes, for the log's many entries."""


class ModuleKey(Protocol):
    """An Ed25519 key that lies elsewhere and signs there."""

    @property
    def uri(self) -> str:
        """Where it is; begins with the scheme."""

    @property
    def public_bytes(self) -> bytes:
        """The public key, 32 bytes."""

    def sign(self, message: bytes) -> bytes:
        """64 bytes. Raises ConsortiaError."""


@dataclass(frozen=True)
class PrivateIdentity:
    """An identity with its seeds in memory: Signer for keys in a file, or with ``module_key`` in a module."""

    network: str
    institution: str
    role: str
    name: str
    seeds: dict[str, bytes] = field(repr=False)
    module_key: ModuleKey | None = None
    """In the place of the seed of Ed25519."""

    @classmethod
    def generate(
        cls, network: str, institution: str, role: str, name: str, module_key: ModuleKey | None = None
    ) -> Self:
        """Fresh keys from the operating system's randomness, beside the one that is in a module."""
        seeds = {
            "ed25519": Ed25519PrivateKey.generate().private_bytes_raw(),
            "mldsa65": MLDSA65PrivateKey.generate().private_bytes_raw(),
            "mlkem768": MLKEM768PrivateKey.generate().private_bytes_raw(),
            "x25519": X25519PrivateKey.generate().private_bytes_raw(),
        }
        if module_key is not None:
            del seeds["ed25519"]
        return cls(network, institution, role, name, seeds, module_key)

    @classmethod
    def from_document(cls, document: Any, open_key: Callable[[str], ModuleKey] | None = None) -> Self:
        """The inverse of ``document``; ``open_key`` finds a key in a module. Raises EncodingError."""
        try:
            network, institution, role, name = (document[key] for key in ("network", "institution", "role", "name"))
            uri = document.get("ed25519_at")
            seeds = {
                key: _bytes(document["seeds"][key]) for key in _SEED_LENGTHS if uri is None or key != "ed25519"
            }
        except (KeyError, TypeError, AttributeError) as error:
            raise _bad_identity("the key file lacks a field") from error
        if not all(isinstance(part, str) for part in (network, institution, role, name)):
            raise _bad_identity("a field is not text")
        if any(len(seed) != _SEED_LENGTHS[key] for key, seed in seeds.items()):
            raise _bad_identity("a seed has the wrong length")
        if uri is None:
            return cls(network, institution, role, name, seeds)
        if not isinstance(uri, str) or open_key is None:
            raise _bad_identity("its key is in a module, which can't be asked here")
        return cls(network, institution, role, name, seeds, open_key(uri))

    def document(self) -> dict[str, Any]:
        """The secret document that a key file holds. Never log it, never send it."""
        return {
            "v": 1,
            "network": self.network,
            "institution": self.institution,
            "role": self.role,
            "name": self.name,
            "seeds": {key: _text(seed) for key, seed in self.seeds.items()},
        } | ({"ed25519_at": self.module_key.uri} if self.module_key else {})

    @property
    def public(self) -> PublicIdentity:
        """The public half."""
        return PublicIdentity(
            self.network,
            self.institution,
            self.role,
            self.name,
            self.module_key.public_bytes if self.module_key else self._ed25519().public_key().public_bytes_raw(),
            self._mldsa65().public_key().public_bytes_raw(),
            MLKEM768PrivateKey.from_seed_bytes(self.seeds["mlkem768"]).public_key().public_bytes_raw(),
            X25519PrivateKey.from_private_bytes(self.seeds["x25519"]).public_key().public_bytes_raw(),
        )

    def sign(self, domain: str, message: bytes) -> bytes:
        """See Signer.sign."""
        signed = _bound(domain, message)
        return self._sign(signed) + self._mldsa65().sign(signed)

    def sign_ed25519(self, domain: str, message: bytes) -> bytes:
        """See Signer.sign_ed25519."""
        return self._sign(_bound(domain, message))

    def envelope_private_key(self) -> MLKEM768X25519PrivateKey:
        """The X-Wing key that opens envelopes sealed to this identity."""
        return MLKEM768X25519PrivateKey(
            MLKEM768PrivateKey.from_seed_bytes(self.seeds["mlkem768"]),
            X25519PrivateKey.from_private_bytes(self.seeds["x25519"]),
        )

    def _sign(self, signed: bytes) -> bytes:
        return self.module_key.sign(signed) if self.module_key else self._ed25519().sign(signed)

    def _ed25519(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seeds["ed25519"])

    def _mldsa65(self) -> MLDSA65PrivateKey:
        return MLDSA65PrivateKey.from_seed_bytes(self.seeds["mldsa65"])


def _bound(domain: str, message: bytes) -> bytes:
    return b"consortia/v1/" + domain.encode() + b"\0" + hashlib.sha256(message).digest()


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise _bad_identity("a key is not base64") from error
    if _text(raw) != text:
        raise _bad_identity("a key is not in the one base64 form that it has")
    return raw


def _bad_identity(why: str) -> EncodingError:
    return EncodingError(
        f"not an identity: {why}",
        blame="whoever made the document",
        remedy="export the identity again with Consortia's own tools",
    )
