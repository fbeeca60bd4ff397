"""Checkpoints, after C2SP tlog-checkpoint: which log, how many entries, which root; and who signed that.

    consortia.demo/bank-a/audit/2027        the log's origin
    20852163                                its number of entries
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2…       the root of its tree, in base64

A log signs its checkpoints under its origin as the key name, with Ed25519 and with ML-DSA-44; witnesses sign under
names of their own. Extension lines are refused: not every kind of signature covers them.
"""

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn, Self

from consortia_crypto.audit import cosignature, tree
from consortia_crypto.audit.note import Note, NoteSignature, parse_signatures
from consortia_crypto.audit.notekeys import KeyKind, NoteSigner, VerifierKey, check_name, strict_base64
from consortia_crypto.errors import NoteError, NoteSignatureError

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


def log_origin(network: str, institution: str, year: int) -> str:
    """The origin of an institution's log of one year."""
    return f"{_member(network, institution)}/audit/{year:04d}"


def is_origin_of(origin: str, network: str, institution: str) -> bool:
    """Whether ``origin`` is that of a log of this institution, of whatever year."""
    member, _, year = origin.rpartition("/audit/")
    return member == f"consortia.{network}/{institution}" and len(year) == 4 and year.isdecimal() and year.isascii()


def witness_name(network: str, institution: str) -> str:
    """The name under which an institution cosigns others' checkpoints."""
    return f"{_member(network, institution)}/witness"


@dataclass(frozen=True)
class Checkpoint:
    """The state of a log: its origin, its number of entries, the root of its tree."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        check_name(self.origin)
        if not 0 <= self.size <= tree.MAX_SIZE or len(self.root) != tree.HASH_LENGTH:
            _refuse("its size or its root is impossible")
        if self.size == 0 and self.root != tree.EMPTY_ROOT:
            _refuse("an empty log has another root")

    @property
    def text(self) -> str:
        """The three lines."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The checkpoint that ``text`` says. Raises NoteError."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] or not _SIZE.fullmatch(lines[1]):
            _refuse("it is not an origin, a size and a root on a line each")
        return cls(lines[0], int(lines[1]), strict_base64(lines[2]))

    def sign(self, signer: NoteSigner, timestamp: int) -> NoteSignature:
        """The signature line of ``signer``; ``timestamp`` (seconds since 1970) is part of a cosignature."""
        key = signer.verifier
        signature = signer.sign(self._message(key, timestamp))
        return NoteSignature(key.name, key.key_id, cosignature.pack(key, timestamp, signature))

    def verify(self, signature: NoteSignature, key: VerifierKey) -> int | None:
        """The time at which ``key`` made ``signature`` (None for a plain one); else raise NoteSignatureError."""
        try:
            timestamp, bare = cosignature.unpack(key, signature.value)
        except NoteError as error:
            raise _false(self, key) from error
        if not signature.is_by(key) or not key.verifies(self._message(key, timestamp or 0), bare):
            raise _false(self, key)
        return timestamp

    def contradicts(self, other: "Checkpoint") -> bool:
        """Whether both are of one log and can't both be true, which needs no proof to see."""
        return self.origin == other.origin and self.size == other.size and self.root != other.root

    def _message(self, key: VerifierKey, timestamp: int) -> bytes:
        return cosignature.signed_message(key, timestamp, self.text, self.origin, self.size, self.root)


@dataclass(frozen=True)
class Verified:
    """A signature that was verified: by which key, and when made (None for a plain one)."""

    key: VerifierKey
    timestamp: int | None


@dataclass(frozen=True)
class SignedCheckpoint:
    """A checkpoint, the note that it came in, and those of its signatures that were verified."""

    checkpoint: Checkpoint
    note: Note
    verified: tuple[Verified, ...]

    @property
    def by_log(self) -> tuple[Verified, ...]:
        """The log's own signatures."""
        kinds = (KeyKind.ED25519, KeyKind.MLDSA44)
        return tuple(
            item for item in self.verified if item.key.name == self.checkpoint.origin and item.key.kind in kinds
        )

    @property
    def cosigned(self) -> tuple[Verified, ...]:
        """Others' cosignatures."""
        return tuple(
            item for item in self.verified
            if item.key.name != self.checkpoint.origin and item.timestamp is not None
        )  # fmt: skip

    @property
    def time(self) -> int | None:
        """When the log signed it last, as its ML-DSA-44 signature says."""
        return max((item.timestamp for item in self.by_log if item.timestamp is not None), default=None)

    def is_signed_by_log(self, keys: Iterable[VerifierKey]) -> bool:
        """Whether each kind of key that ``keys`` has for this log made a signature here, so that both must be
        broken to forge one. Of a kind with several keys (old and new, while they overlap) one is enough.
        """
        expected = {key.kind for key in keys if key.name == self.checkpoint.origin}
        return bool(expected) and expected <= {item.key.kind for item in self.by_log}


def sign_checkpoint(checkpoint: Checkpoint, signers: Sequence[NoteSigner], timestamp: int) -> Note:
    """The checkpoint as a note signed by each of ``signers``, at least one."""
    return Note(checkpoint.text, tuple(checkpoint.sign(signer, timestamp) for signer in signers))


def open_checkpoint(raw: bytes, keys: Iterable[VerifierKey]) -> SignedCheckpoint:
    """The checkpoint in the note ``raw``, with every signature by one of ``keys`` verified.

    Signatures by others are ignored. Raises NoteError if it is malformed, NoteSignatureError if none of ``keys``
    signed it or a signature that says to be by one of them is false.
    """
    note = Note.parse(raw)
    checkpoint = Checkpoint.parse(note.text)
    by_id = {(key.name, key.key_id): key for key in keys}
    verified: dict[VerifierKey, Verified] = {}
    for signature in note.signatures:
        key = by_id.get((signature.name, signature.key_id))
        if key is not None:
            verified[key] = Verified(key, checkpoint.verify(signature, key))
    if not verified:
        raise _unsigned(checkpoint)
    return SignedCheckpoint(checkpoint, note, tuple(verified.values()))


def add_cosignatures(note: Note, answer: str, keys: Iterable[VerifierKey]) -> Note:
    """The checkpoint ``note`` with the signature lines of ``answer``, a witness's, that are by one of ``keys``.

    Lines by others are left out. Raises NoteError if ``answer`` is malformed, NoteSignatureError if a line is false
    or none is by one of ``keys``; so one witness can't spoil what the others gave.
    """
    lines = parse_signatures(answer)
    opened = open_checkpoint(Note(note.text, lines).raw, keys)
    known = {(item.key.name, item.key.key_id) for item in opened.verified}
    return note.with_signatures(line for line in lines if (line.name, line.key_id) in known)


def _member(network: str, institution: str) -> str:
    if "/" in network or "/" in institution:
        _refuse("the name of a network or an institution has a slash in it")
    name = f"consortia.{network}/{institution}"
    check_name(name)
    return name


def _false(checkpoint: Checkpoint, key: VerifierKey) -> NoteSignatureError:
    return NoteSignatureError(
        f"a signature of {key.name} under checkpoint {checkpoint.size} of {checkpoint.origin} does not verify",
        blame="whoever sent the checkpoint",
        remedy="get it again, straight from the log; if it persists, compare the key with its owner",
    )


def _unsigned(checkpoint: Checkpoint) -> NoteSignatureError:
    return NoteSignatureError(
        f"checkpoint {checkpoint.size} of {checkpoint.origin} is not signed by anybody known here",
        blame="whoever sent it, or a policy that lacks the log's newer key",
        remedy="compare the log's keys with its owner, then bring the policy up to date",
    )


def _refuse(why: str) -> NoReturn:
    raise NoteError(
        f"a checkpoint was refused: {why}",
        blame="whoever wrote it",
        remedy="ask the log for its newest checkpoint",
    )
