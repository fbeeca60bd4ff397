"""One entry of an audit log: its canonical bytes, its leaf hash, its signature; and the signed head of a log.

    {"body": {…}, "i": n, "prev": leaf hash of entry n − 1, "salt": 16 random bytes,
     "sig": {"alg": "ed25519", "kid": signer's fingerprint, "val": signature}, "v": 1}

The leaf hash (RFC 9162: SHA-256 of 0x00 ‖ bytes) is over the whole entry, signature included. Everything but
``sig.val`` is signed, ``prev`` too, so a signature vouches for all that came before it. The salt keeps whoever is
shown a sibling hash from guessing the entry behind it. Hashes and signatures are lower-case hexadecimal: one value
has one spelling, so no byte can change unnoticed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, Self

from consortia_crypto import canonical
from consortia_crypto.audit import tree
from consortia_crypto.errors import AuditError, EncodingError, NewerFormatError
from consortia_crypto.keys import PublicIdentity, Signer

MAX_ENTRY_BYTES = 16 * 1024
SALT_BYTES = 16
NO_ENTRY = "0" * 64
"""What stands for the leaf hash of the entry before the first."""
ALGORITHM = "ed25519"
_DOMAIN = "audit-entry"
_HEAD_DOMAIN = "audit-head"
_FIELDS = frozenset({"body", "i", "prev", "salt", "sig", "v"})
_HEAD_FIELDS = frozenset({"leaf", "sig", "size", "v"})
_SIGNATURE_FIELDS = frozenset({"alg", "kid", "val"})
_HEX = {length: re.compile(f"[0-9a-f]{{{length}}}") for length in (32, 64, 128)}


@dataclass(frozen=True)
class Entry:
    """An entry as it lies in the log. ``raw`` is what is hashed; the rest is what ``raw`` says."""

    index: int
    prev: str
    body: Mapping[str, Any]
    algorithm: str
    kid: str
    raw: bytes = field(repr=False)
    unsigned: bytes = field(repr=False)
    signature: str = field(repr=False)

    @property
    def leaf_hash(self) -> str:
        """RFC 9162 leaf hash, 64 hexadecimal digits: what the next entry cites."""
        return tree.leaf_hash(self.raw).hex()

    @property
    def type(self) -> str:
        """The event's name, or nothing if the body has none."""
        return _text(self.body, "type")

    @property
    def time(self) -> str:
        """When the event was recorded, as the writer's clock had it."""
        return _text(self.body, "ts")

    @classmethod
    def sign(cls, index: int, prev: str, salt: bytes, body: Mapping[str, Any], signer: Signer, kid: str) -> Self:
        """A new entry after the one with leaf hash ``prev``; ``kid`` is the signer's fingerprint.

        Raises AuditError if it would be too long, EncodingError if the body is not canonical.
        """
        value = {"v": 1, "i": index, "prev": prev, "salt": salt.hex(), "body": dict(body)}
        raw = _signed(value, signer, _DOMAIN, kid)
        if len(raw) > MAX_ENTRY_BYTES:
            _refuse(f"it is longer than {MAX_ENTRY_BYTES} bytes")
        return cls.parse(raw)

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """The entry whose bytes are ``raw``; the signature is not yet checked.

        Raises AuditError; NewerFormatError if the bytes say that they follow a later version of this format.
        """
        if len(raw) > MAX_ENTRY_BYTES:
            _refuse(f"it is longer than {MAX_ENTRY_BYTES} bytes")
        value = _fields(raw, _FIELDS)
        index, body = value["i"], value["body"]
        if type(index) is not int or index < 0 or not isinstance(body, dict):
            _refuse("its number or its body has the wrong type")
        for name, length in (("prev", 64), ("salt", 32)):
            _need_hex(value[name], length, name)
        sig, unsigned = _split_signature(raw, value)
        return cls(index, value["prev"], body, sig["alg"], sig["kid"], raw, unsigned, sig["val"])

    def verify(self, signer: PublicIdentity) -> None:
        """Return if ``signer`` signed this entry; else raise SignatureRefusedError."""
        signer.verify_ed25519(_DOMAIN, self.unsigned, bytes.fromhex(self.signature))


@dataclass(frozen=True)
class Head:
    """How far a log has come: so many entries, the last with this leaf hash. Signed, so a cut end is seen."""

    size: int
    leaf: str
    raw: bytes = field(repr=False)

    @classmethod
    def sign(cls, size: int, leaf: str, signer: Signer, kid: str) -> Self:
        """The head of a log of ``size`` entries."""
        return cls(size, leaf, _signed({"v": 1, "size": size, "leaf": leaf}, signer, _HEAD_DOMAIN, kid))

    @classmethod
    def parse(cls, raw: bytes, signer: PublicIdentity) -> Self:
        """The head that ``signer`` signed as ``raw``. Raises AuditError or SignatureRefusedError."""
        if len(raw) > MAX_ENTRY_BYTES:
            _refuse("it is too long for a log's head")
        value = _fields(raw, _HEAD_FIELDS)
        if type(value["size"]) is not int or value["size"] < 0:
            _refuse("its size is not a number of entries")
        _need_hex(value["leaf"], 64, "leaf")
        sig, unsigned = _split_signature(raw, value)
        if sig["alg"] != ALGORITHM or sig["kid"] != signer.fingerprint:
            _refuse("it is signed by another key")
        signer.verify_ed25519(_HEAD_DOMAIN, unsigned, bytes.fromhex(sig["val"]))
        return cls(value["size"], value["leaf"], raw)


def _signed(value: dict[str, Any], signer: Signer, domain: str, kid: str) -> bytes:
    """The canonical bytes of ``value`` with its signature put in."""
    value["sig"] = {"alg": ALGORITHM, "kid": kid}
    value["sig"]["val"] = signer.sign_ed25519(domain, canonical.encode(value)).hex()
    return canonical.encode(value)


def _fields(raw: bytes, names: frozenset[str]) -> dict[str, Any]:
    try:
        value = canonical.decode(raw)
    except EncodingError as error:
        raise _malformed(error.what) from error
    version = value.get("v") if isinstance(value, dict) else None
    if type(version) is int and version > 1:
        raise _malformed(f"it is in version {version} of the format, which is not known here", NewerFormatError)
    if type(version) is not int or version != 1 or value.keys() != names:
        _refuse("it does not have exactly the fields of version 1")
    fields: dict[str, Any] = value
    return fields


def _split_signature(raw: bytes, value: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    """The signature's fields, and the bytes that were signed: ``raw`` without ``,"val":…``."""
    sig = value["sig"]
    if not isinstance(sig, dict) or sig.keys() != _SIGNATURE_FIELDS or not isinstance(sig["alg"], str):
        _refuse("its signature does not have the fields of one")
    _need_hex(sig["kid"], 64, "kid")
    _need_hex(sig["val"], 128, "val")
    val = b',"val":"' + sig["val"].encode() + b'"'
    start = raw.rindex(val)
    return sig, raw[:start] + raw[start + len(val) :]


def _need_hex(value: Any, length: int, name: str) -> None:
    if not isinstance(value, str) or not _HEX[length].fullmatch(value):
        _refuse(f"its {name} is not {length} hexadecimal digits")


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""


def _malformed(why: str, error: type[AuditError] = AuditError) -> AuditError:
    return error(
        f"a log entry was refused: {why}",
        blame="whoever wrote or altered it",
        remedy="verify the log with `consortia audit verify`, and attach long documents instead of writing them in",
    )


def _refuse(why: str) -> NoReturn:
    raise _malformed(why)
