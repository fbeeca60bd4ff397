"""Making entries fast: bodies are encoded by whoever has something to log, entries by whoever writes them all.

``Body`` is checked and encoded before it waits to be written; the time and the place in the chain are put in when
its turn comes. ``sign`` chains the bodies of one batch and signs the last entry, which vouches for all of them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from consortia_crypto import canonical
from consortia_crypto.audit import events, shape, tree
from consortia_crypto.audit.entry import BATCH, MAX_BATCH, MAX_ENTRY_BYTES, SALT_BYTES, sign_bytes
from consortia_crypto.errors import AuditError
from consortia_crypto.keys import Signer

_NO_TIME = "0000-00-00T00:00:00.000Z"
_TIME = f'"ts":"{_NO_TIME}"'.encode()
_ENVELOPE_BYTES = 512
"""More than the parts of an entry around its body ever take."""
_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode


class Body(NamedTuple):
    """An event that the catalogue allows, as canonical JSON but for its time."""

    before: bytes
    after: bytes

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """The body with these fields, all but ``ts``. Raises AuditError, or EncodingError for what has no bytes."""
        body = {**fields, "ts": _NO_TIME}
        raw = _canonical(body)
        if len(raw) > MAX_ENTRY_BYTES - _ENVELOPE_BYTES:
            raise _too_long()
        before, _, after = raw.partition(_TIME)
        return cls(before, after)

    def at(self, time: str) -> bytes:
        """The body of something recorded at ``time``."""
        return b'%b"ts":"%b"%b' % (self.before, time.encode(), self.after)


@dataclass(frozen=True)
class Place:
    """Where in a log the next entry goes: its number, and the leaf hash of the one before it."""

    index: int
    prev: str


@dataclass(frozen=True)
class Signed:
    """The bytes of the entries of one batch, and their leaf hashes."""

    entries: list[bytes] = field(repr=False)
    leaves: list[bytes] = field(repr=False)


def sign(bodies: Sequence[Body], time: str, place: Place, salts: bytes, signer: Signer, kid: str) -> Signed:
    """The entries with these bodies (1 to MAX_BATCH), in order, the first of them at ``place``.

    ``salts`` holds SALT_BYTES random bytes for each, ``kid`` is the signer's fingerprint.
    """
    if not 1 <= len(bodies) <= MAX_BATCH or len(salts) != len(bodies) * SALT_BYTES:
        raise ValueError("a batch has 1 to MAX_BATCH bodies, and a salt for each")
    *others, last = (body.at(time) for body in bodies)
    digits, width = salts.hex(), 2 * SALT_BYTES
    prev, end = place.prev, place.index + len(others)
    sig = b'","sig":{"alg":"%b","end":%d,"kid":"%b"},"v":1}' % (BATCH.encode(), end, kid.encode())
    signed = Signed([], [])
    for number, body in enumerate(others):
        salt = digits[number * width : (number + 1) * width]
        start = b'{"body":%b,"i":%d,"prev":"%b","salt":"' % (body, place.index + number, prev.encode())
        raw = start + salt.encode() + sig
        leaf = tree.leaf_hash(raw)
        signed.entries.append(raw)
        signed.leaves.append(leaf)
        prev = leaf.hex()
    start = b'{"body":%b,"i":%d,"prev":"%b","salt":"%b"' % (last, end, prev.encode(), digits[-width:].encode())
    signed.entries.append(sign_bytes(start, signer, kid))
    signed.leaves.append(tree.leaf_hash(signed.entries[-1]))
    return signed


def _canonical(body: dict[str, Any]) -> bytes:
    """The canonical bytes of a body that the catalogue allows; the long way only where its shape is not plain."""
    plain = shape.of(str(body.get("type")).encode())
    if plain is not None:
        try:
            raw = _encode(body).encode()
        except (TypeError, ValueError, RecursionError):
            raw = b""
        if plain.body.fullmatch(raw):
            return raw
    events.check(body)
    return canonical.encode(body)


def _too_long() -> AuditError:
    return AuditError(
        f"a log entry was refused: it is longer than {MAX_ENTRY_BYTES - _ENVELOPE_BYTES} bytes",
        blame="the program that wrote it",
        remedy="attach long documents, and cite them by their hash",
    )
