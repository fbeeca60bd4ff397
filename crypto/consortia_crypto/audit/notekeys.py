"""The keys that sign notes: their text form (vkeys), their short ids, their three kinds.

A key belongs to a name and a kind; the same bytes under another name or for another kind are another key. After
C2SP signed-note (0x01) and tlog-cosignature (0x04, 0x06). What exactly a kind signs is in ``cosignature``.
"""

import base64
import binascii
import hashlib
import secrets
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NoReturn, Protocol, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from consortia_crypto.errors import NoteError

KEY_ID_LENGTH = 4
SEED_LENGTH = 32
MAX_NAME_BYTES = 255


class KeyKind(IntEnum):
    """The signature type byte of a key."""

    ED25519 = 0x01
    """Ed25519 over the note's text: a log's own checkpoints."""
    ED25519_COSIGNATURE = 0x04
    """Ed25519 over the note's text and a time: a witness."""
    MLDSA44 = 0x06
    """ML-DSA-44 over the signer's name, a time and the tree: a witness, or the log itself."""


PUBLIC_LENGTHS = {KeyKind.ED25519: 32, KeyKind.ED25519_COSIGNATURE: 32, KeyKind.MLDSA44: 1312}
_P = 2**255 - 19
_Y8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022
_SMALL_ORDER = frozenset({0, 1, _P - 1, _Y8, _P - _Y8})
"""The y-coordinates of curve25519's points of order 1 to 8: under such a key, signatures can be made up."""
SIGNATURE_LENGTHS = {KeyKind.ED25519: 64, KeyKind.ED25519_COSIGNATURE: 64, KeyKind.MLDSA44: 2420}


@dataclass(frozen=True)
class VerifierKey:
    """A public key under a name, for one kind of signature."""

    name: str
    kind: KeyKind
    public: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.public) != PUBLIC_LENGTHS[self.kind]:
            _refuse("the key has the wrong length for its kind")
        if self.kind is not KeyKind.MLDSA44 and not _is_sound(self.public):
            _refuse("under this key anybody could sign, or it is not written in the one proper way")

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell keys of one name apart. Anybody can make a key with the same ones."""
        return hashlib.sha256(self.name.encode() + b"\n" + self._material).digest()[:KEY_ID_LENGTH]

    @property
    def text(self) -> str:
        """The vkey: ``name+id+key``, the id in hexadecimal and the key, behind its kind, in base64."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(self._material).decode()}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key that ``text`` is the vkey of. Raises NoteError."""
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        material = strict_base64(encoded)
        if material[:1] not in (bytes([kind]) for kind in KeyKind):
            _refuse("it is of a kind that is not known here")
        key = cls(name, KeyKind(material[0]), material[1:])
        if key.key_id.hex() != key_id:
            _refuse("its id does not belong to its name and key")
        return key

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether ``signature`` is this key's over the bytes ``message``."""
        if len(signature) != SIGNATURE_LENGTHS[self.kind]:
            return False
        try:
            if self.kind is KeyKind.MLDSA44:
                MLDSA44PublicKey.from_public_bytes(self.public).verify(signature, message)
            else:
                Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True

    @property
    def _material(self) -> bytes:
        return bytes([self.kind]) + self.public


class NoteSigner(Protocol):
    """Signs as one key; the private half may lie in a file or in a hardware module."""

    @property
    def verifier(self) -> VerifierKey:
        """Whose signatures these are."""

    def sign(self, message: bytes) -> bytes:
        """The bare signature over ``message``."""


@dataclass(frozen=True)
class SigningKey:
    """A private key as its 32-byte seed in memory. Use one seed for one name and one kind only."""

    name: str
    kind: KeyKind
    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.seed) != SEED_LENGTH:
            _refuse("the seed has the wrong length")

    @classmethod
    def generate(cls, name: str, kind: KeyKind) -> Self:
        """A fresh key from the operating system's randomness."""
        return cls(name, kind, secrets.token_bytes(SEED_LENGTH))

    @property
    def verifier(self) -> VerifierKey:
        """The public half."""
        return VerifierKey(self.name, self.kind, self._private().public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """See NoteSigner.sign."""
        return self._private().sign(message)

    def _private(self) -> Ed25519PrivateKey | MLDSA44PrivateKey:
        if self.kind is KeyKind.MLDSA44:
            return MLDSA44PrivateKey.from_seed_bytes(self.seed)
        return Ed25519PrivateKey.from_private_bytes(self.seed)


def _is_sound(ed25519: bytes) -> bool:
    y = int.from_bytes(ed25519, "little") & (2**255 - 1)
    return y < _P and y not in _SMALL_ORDER


def check_name(name: str) -> None:
    """Return if a key may have this name; else raise NoteError."""
    if not name or "+" in name or any(char.isspace() or char < " " for char in name):
        _refuse("a name is empty or has a space, a plus or a control character in it")
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        _refuse("a name is not Unicode text")
    if length > MAX_NAME_BYTES:
        _refuse(f"a name is longer than {MAX_NAME_BYTES} bytes")


def strict_base64(text: str) -> bytes:
    """The bytes whose one standard base64 text is ``text``. Raises NoteError."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        _refuse("something is not base64")
    if base64.b64encode(data).decode() != text:
        _refuse("base64 is not written in the one proper way")
    return data


def _refuse(why: str) -> NoReturn:
    raise NoteError(
        f"a key or note was refused: {why}",
        blame="whoever wrote it",
        remedy="get the key's text from its owner again, and copy it whole",
    )
