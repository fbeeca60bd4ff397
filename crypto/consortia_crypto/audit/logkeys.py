"""Which keys sign a log's checkpoints, and that its owner says so.

    [{"ed25519": vkey, "mldsa44": vkey, "name": origin, "since": n, "until": m or null, "val": signature}, …]

One record for each pair of keys that there ever was, in the order of their making. A pair signs the checkpoints of
``since`` up to ``until`` entries; where two pairs overlap, both sign, so that a reader who knows only the older one
can follow to the newer. ``val`` is the owner's identity's signature, Ed25519 ‖ ML-DSA-65 in hexadecimal, over the
record without it, in the domain "log-key".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, Self

from consortia_crypto import canonical
from consortia_crypto.audit.notekeys import KeyKind, VerifierKey
from consortia_crypto.errors import AuditError, CryptoError, EncodingError, SignatureRefusedError
from consortia_crypto.keys import PublicIdentity, Signer

DOMAIN = "log-key"
_FIELDS = frozenset({"ed25519", "mldsa44", "name", "since", "until", "val"})


@dataclass(frozen=True)
class KeyPair:
    """The public halves of one pair, for checkpoints of ``since`` to ``until`` entries (None: no end yet)."""

    ed25519: VerifierKey
    mldsa44: VerifierKey
    since: int
    until: int | None = None
    endorsement: bytes = field(default=b"", repr=False)

    @property
    def name(self) -> str:
        """The log's origin."""
        return self.ed25519.name

    @property
    def keys(self) -> tuple[VerifierKey, VerifierKey]:
        """Both keys."""
        return self.ed25519, self.mldsa44

    def signs(self, origin: str, size: int) -> bool:
        """Whether it signs the checkpoint of ``size`` entries of the log ``origin``."""
        return self.name == origin and self.since <= size and (self.until is None or size <= self.until)

    def endorsed(self, owner: Signer) -> Self:
        """The same, with the owner's signature."""
        return replace(self, endorsement=owner.sign(DOMAIN, canonical.encode(self._statement())))

    def document(self) -> dict[str, Any]:
        """The record as a canonical JSON object."""
        return {**self._statement(), "val": self.endorsement.hex()}

    def _statement(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "ed25519": self.ed25519.text,
            "mldsa44": self.mldsa44.text,
            "since": self.since,
            "until": self.until,
        }


def encode(pairs: Iterable[KeyPair]) -> bytes:
    """The records as canonical JSON."""
    return canonical.encode([pair.document() for pair in pairs])


def parse(raw: bytes, owner: PublicIdentity) -> tuple[KeyPair, ...]:
    """The records in ``raw``, each endorsed by ``owner``. Raises AuditError."""
    try:
        documents = canonical.decode(raw)
    except EncodingError as error:
        _refuse(error.what, error)
    if not isinstance(documents, list):
        _refuse("they are not a list")
    return tuple(_pair(document, owner) for document in documents)


def keys_at(pairs: Sequence[KeyPair], origin: str, size: int) -> list[VerifierKey]:
    """The keys that sign the checkpoint of ``size`` entries of the log ``origin``."""
    return [key for pair in pairs if pair.signs(origin, size) for key in pair.keys]


def _pair(document: Any, owner: PublicIdentity) -> KeyPair:
    if not isinstance(document, dict) or document.keys() != _FIELDS:
        _refuse("a record does not have exactly its fields")
    if not all(isinstance(document[name], str) for name in ("ed25519", "mldsa44", "name", "val")):
        _refuse("a field has the wrong type")
    since, until = document["since"], document["until"]
    if type(since) is not int or not (until is None or type(until) is int) or not 0 <= since <= (until or since):
        _refuse("a period is impossible")
    try:
        ed25519, mldsa44 = (VerifierKey.parse(document[name]) for name in ("ed25519", "mldsa44"))
        pair = KeyPair(ed25519, mldsa44, since, until, bytes.fromhex(document["val"]))
        owner.verify(DOMAIN, canonical.encode(pair._statement()), pair.endorsement)
    except (SignatureRefusedError, ValueError) as error:
        _refuse("the owner's signature under a record does not verify", error)
    except CryptoError as error:
        _refuse(error.what, error)
    if {ed25519.name, mldsa44.name} != {document["name"]} or pair.document() != document:
        _refuse("the keys have other names than the record")
    if (ed25519.kind, mldsa44.kind) != (KeyKind.ED25519, KeyKind.MLDSA44):
        _refuse("the keys are of other kinds")
    return pair


def _refuse(why: str, cause: BaseException | None = None) -> NoReturn:
    raise AuditError(
        f"the log's checkpoint keys were refused: {why}",
        blame="whoever holds the log, or altered its vkeys.json",
        remedy="get the file again from the log's owner, and compare the owner's fingerprint",
    ) from cause
