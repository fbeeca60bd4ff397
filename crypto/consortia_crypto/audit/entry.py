"""One entry of an audit log: its canonical bytes, its leaf hash, its signature; and the signed head of a log.

    {"body": {…}, "i": n, "prev": leaf hash of entry n − 1, "salt": 16 random bytes,
     "sig": {"alg": "ed25519", "kid": signer's fingerprint, "val": signature}, "v": 1}

The leaf hash (RFC 9162: SHA-256 of 0x00 ‖ bytes) is over the whole entry, signature included. Everything but
``sig.val`` is signed, ``prev`` too, so a signature vouches for all that came before it. Entries that are written
together therefore need one signature, in the last of them, number m; the others have

     "sig": {"alg": "ed25519-batch", "end": m, "kid": signer's fingerprint}

The salt keeps whoever is shown a sibling hash from guessing the entry behind it. Hashes and signatures are
lower-case hexadecimal: one value has one spelling, so no byte can change unnoticed.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NoReturn, Self

from consortia_crypto import canonical
from consortia_crypto.audit import shape, tree
from consortia_crypto.errors import AuditError, EncodingError, NewerFormatError
from consortia_crypto.keys import PublicIdentity, Signer

MAX_ENTRY_BYTES = 16 * 1024
SALT_BYTES = 16
NO_ENTRY = "0" * 64
"""What stands for the leaf hash of the entry before the first."""
ALGORITHM = "ed25519"
"""How an entry is signed that carries its own signature."""
BATCH = "ed25519-batch"
"""How an entry is signed that a later entry of its batch vouches for."""
MAX_BATCH = 1024
"""So many entries may share a signature."""
_DOMAIN = "audit-entry"
_HEAD_DOMAIN = "audit-head"
_FIELDS = frozenset({"body", "i", "prev", "salt", "sig", "v"})
_HEAD_FIELDS = frozenset({"leaf", "sig", "size", "v"})
_SIGNATURE_FIELDS = frozenset({"alg", "kid", "val"})
_BATCH_FIELDS = frozenset({"alg", "end", "kid"})
Parts = re.Match[bytes] | dict[str, bytes]
_BODY = '{"body":'
"""What every entry begins with."""
_decode_value = json.JSONDecoder().raw_decode
_END = b'},"v":1}'
_HEX = {length: re.compile(f"[0-9a-f]{{{length}}}") for length in (32, 64, 128)}


@dataclass(frozen=True)
class Entry:
    """An entry as it lies in the log. ``raw`` is what is hashed; the rest is what ``raw`` says."""

    index: int
    raw: bytes = field(repr=False)

    @cached_property
    def parts(self) -> Parts:
        """What ``raw`` says, in pieces; for the properties below."""
        return _parts(self.raw)

    @property
    def prev(self) -> str:
        """The leaf hash of the entry before this one."""
        return self.parts["prev"].decode()

    @property
    def kid(self) -> str:
        """The fingerprint of the signer."""
        return self.parts["kid"].decode()

    @property
    def algorithm(self) -> str:
        """How it is signed: ALGORITHM, BATCH, or what a later version of this program knows."""
        if isinstance(self.parts, dict):
            return self.parts["alg"].decode()
        return ALGORITHM if self.parts["end"] is None else BATCH

    @property
    def end(self) -> int:
        """The entry whose signature vouches for this one: a later one in a batch, else itself."""
        return int(self.parts["end"] or self.index)

    @property
    def is_plain(self) -> bool:
        """Whether its shape alone shows that the catalogue allows it; if not, it may be allowed all the same."""
        return not isinstance(self.parts, dict)

    @property
    def leaf_hash(self) -> str:
        """RFC 9162 leaf hash, 64 hexadecimal digits: what the next entry cites."""
        return tree.leaf_hash(self.raw).hex()

    @property
    def body(self) -> Mapping[str, Any]:
        """What the entry records."""
        body: dict[str, Any] | None = self.__dict__.get("_body")
        if body is None:
            body, _ = _decode_value(self.raw.decode(), len(_BODY))
            self.__dict__["_body"] = body
        return body

    @property
    def type(self) -> str:
        """The event's name, or nothing if the body has none."""
        return self.parts["type"].decode()

    @property
    def time(self) -> str:
        """When the event was recorded, as the writer's clock had it."""
        return self.parts["ts"].decode()

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
        return cls.of_parts(raw, _parts(raw))

    @classmethod
    def of_parts(cls, raw: bytes, parts: Parts) -> Self:
        """The entry ``raw``, which has been found to say ``parts``."""
        entry = object.__new__(cls)
        said = entry.__dict__
        said["index"], said["raw"], said["parts"] = int(parts["i"]), raw, parts
        return entry

    def verify(self, signer: PublicIdentity) -> None:
        """Return if ``signer`` signed this very entry; else raise SignatureRefusedError.

        Raises AuditError for an entry whose signature stands in another one, ``end``.
        """
        if self.algorithm == BATCH:
            _refuse(f"its signature is in entry {self.end}")
        signature = self.parts["val"]
        signer.verify_ed25519(_DOMAIN, _without(self.raw, signature), bytes.fromhex(signature.decode()))


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
        sig = value["sig"]
        _check_signature(sig)
        if sig["alg"] != ALGORITHM or sig["kid"] != signer.fingerprint:
            _refuse("it is signed by another key")
        signer.verify_ed25519(_HEAD_DOMAIN, _without(raw, sig["val"].encode()), bytes.fromhex(sig["val"]))
        return cls(value["size"], value["leaf"], raw)


def sign_bytes(start: bytes, signer: Signer, kid: str) -> bytes:
    """The entry whose canonical bytes begin with ``start`` and go on with its signature."""
    sig = b',"sig":{"alg":"%b","kid":"%b"' % (ALGORITHM.encode(), kid.encode())
    val = signer.sign_ed25519(_DOMAIN, start + sig + _END).hex()
    return start + sig + b',"val":"%b"' % val.encode() + _END


def _parts(raw: bytes) -> Parts:
    """What an entry says. Raises AuditError if ``raw`` is not one."""
    if len(raw) > MAX_ENTRY_BYTES:
        _refuse(f"it is longer than {MAX_ENTRY_BYTES} bytes")
    parts = shape.match(raw) or _parse(raw)
    if parts["end"] and not 0 < int(parts["end"]) - int(parts["i"]) < MAX_BATCH:
        _refuse("it names an impossible entry as the one that signs its batch")
    return parts


def _parse(raw: bytes) -> dict[str, bytes]:
    """As _parts, the long way: for any entry, not only one of plain shape."""
    value = _fields(raw, _FIELDS)
    index, body, sig = value["i"], value["body"], value["sig"]
    if type(index) is not int or index < 0 or not isinstance(body, dict):
        _refuse("its number or its body has the wrong type")
    for name, length in (("prev", 64), ("salt", 32)):
        _need_hex(value[name], length, name)
    if isinstance(sig, dict) and sig.get("alg") == BATCH:
        _check_batch_signature(sig)
    else:
        _check_signature(sig)
    texts = {
        "i": str(index),
        "prev": value["prev"],
        "kid": sig["kid"],
        "alg": sig["alg"],
        "val": sig.get("val", ""),
        "end": str(sig.get("end", "")),
        "type": _text(body, "type"),
        "ts": _text(body, "ts"),
    }
    return {name: text.encode() for name, text in texts.items()}


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


def _check_signature(sig: Any) -> None:
    if not isinstance(sig, dict) or sig.keys() != _SIGNATURE_FIELDS or not isinstance(sig["alg"], str):
        _refuse("its signature does not have the fields of one")
    _need_hex(sig["kid"], 64, "kid")
    _need_hex(sig["val"], 128, "val")


def _check_batch_signature(sig: dict[str, Any]) -> None:
    if sig.keys() != _BATCH_FIELDS or type(sig["end"]) is not int:
        _refuse("its signature does not have the fields of one in a batch")
    _need_hex(sig["kid"], 64, "kid")


def _without(raw: bytes, signature: bytes) -> bytes:
    """What was signed: ``raw`` without ``,"val":…``."""
    val = b',"val":"' + signature + b'"'
    start = raw.rindex(val)
    return raw[:start] + raw[start + len(val) :]


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
