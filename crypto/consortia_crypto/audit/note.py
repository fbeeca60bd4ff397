"""Signed notes, after C2SP signed-note: a text, an empty line, and a line for each signature.

Parsing says what stands there, not that it is true: a note's text means nothing until a signature over it was
verified (``checkpoint.open_checkpoint``). What parses comes back byte for byte.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NoReturn, Self

from consortia_crypto.audit.notekeys import KEY_ID_LENGTH, VerifierKey, check_name, strict_base64
from consortia_crypto.errors import NoteError

MAX_NOTE_BYTES = 1 << 20
MAX_SIGNATURES = 200
_DASH = "\u2014 "


@dataclass(frozen=True)
class NoteSignature:
    """One signature line: who is said to have signed, with which key, and the signature (which may hold a time)."""

    name: str
    key_id: bytes
    value: bytes = field(repr=False)

    @property
    def line(self) -> str:
        """The line, without its end."""
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.value).decode()}"

    @classmethod
    def parse(cls, line: str) -> Self:
        """The signature that ``line`` says. Raises NoteError."""
        dash, name, encoded = line[: len(_DASH)], *_two(line[len(_DASH) :])
        check_name(name)
        data = strict_base64(encoded)
        if dash != _DASH or len(data) <= KEY_ID_LENGTH:
            _refuse("a signature line is malformed")
        return cls(name, data[:KEY_ID_LENGTH], data[KEY_ID_LENGTH:])

    def is_by(self, key: VerifierKey) -> bool:
        """Whether it says to be by ``key``; not whether it is."""
        return self.name == key.name and self.key_id == key.key_id


@dataclass(frozen=True)
class Note:
    """A text, which ends its last line, and signatures, at least one of them."""

    text: str
    signatures: tuple[NoteSignature, ...]

    @property
    def raw(self) -> bytes:
        """The note's bytes."""
        return "".join([self.text, "\n", *(f"{item.line}\n" for item in self.signatures)]).encode()

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """The note whose bytes are ``raw``; no signature is verified. Raises NoteError."""
        text, blank, lines = _decode(raw).rpartition("\n\n")
        if not blank or not lines.endswith("\n"):
            _refuse("it is not a text, an empty line and signature lines")
        signatures = lines[:-1].split("\n")
        if len(signatures) > MAX_SIGNATURES:
            _refuse(f"it has more than {MAX_SIGNATURES} signatures")
        return cls(text + "\n", tuple(NoteSignature.parse(line) for line in signatures))

    def with_signatures(self, signatures: Iterable[NoteSignature]) -> Self:
        """The same text with more signatures; one by a key that has signed already takes the older one's place."""
        by_key = {(item.name, item.key_id): item for item in (*self.signatures, *signatures)}
        return type(self)(self.text, tuple(by_key.values()))


def parse_signatures(text: str) -> tuple[NoteSignature, ...]:
    """The signatures in ``text``, a sequence of whole signature lines, as a witness answers. Raises NoteError."""
    if not text.endswith("\n") or text.count("\n") > MAX_SIGNATURES:
        _refuse("it is not a sequence of whole signature lines")
    return tuple(NoteSignature.parse(line) for line in text[:-1].split("\n"))


def _decode(raw: bytes) -> str:
    if len(raw) > MAX_NOTE_BYTES:
        _refuse(f"it is longer than {MAX_NOTE_BYTES} bytes")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        _refuse("it is not UTF-8")
    if any(char < " " and char != "\n" for char in text):
        _refuse("it has a control character in it")
    return text


def _two(text: str) -> tuple[str, str]:
    parts = text.split(" ")
    if len(parts) != 2:
        _refuse("a signature line is malformed")
    return parts[0], parts[1]


def _refuse(why: str) -> NoReturn:
    raise NoteError(
        f"a signed note was refused: {why}",
        blame="whoever wrote or sent it",
        remedy="ask for it again; notes must be copied byte for byte",
    )
