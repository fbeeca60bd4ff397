"""What a witness does with a checkpoint, after C2SP tlog-witness: cosign it, or say why not. Stores nothing.

A witness keeps one state for each log. It may cosign what ``decide`` accepts only after the new state is on disk,
and only if the state there was still the one that was decided on (compare and swap); else two requests at once
could make it sign two histories.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn, Self

from consortia_crypto.audit import tree
from consortia_crypto.audit.checkpoint import SignedCheckpoint, open_checkpoint
from consortia_crypto.audit.note import MAX_NOTE_BYTES
from consortia_crypto.audit.notekeys import VerifierKey, strict_base64
from consortia_crypto.errors import NoteError

MAX_PROOF = 63
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True)
class WitnessState:
    """The newest checkpoint of a log that this witness has cosigned; ``note`` is it, as it was signed."""

    size: int = 0
    root: bytes = tree.EMPTY_ROOT
    note: bytes = field(default=b"", repr=False)


NOTHING_SEEN = WitnessState()
"""The state for a log that was never cosigned."""


@dataclass(frozen=True)
class AddCheckpoint:
    """A request to cosign ``note``: the size that the witness is thought to know, and the proof from there."""

    old_size: int
    proof: tuple[bytes, ...]
    note: bytes = field(repr=False)

    @property
    def raw(self) -> bytes:
        """The request's bytes."""
        lines = [f"old {self.old_size}", *(base64.b64encode(item).decode() for item in self.proof), "", ""]
        return "\n".join(lines).encode() + self.note

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """The request whose bytes are ``raw``; the note is not yet parsed. Raises NoteError."""
        if len(raw) > 2 * MAX_NOTE_BYTES:
            _refuse("it is too long")
        head, blank, note = raw.partition(b"\n\n")
        if not blank or not head.isascii():
            _refuse("it is not a size, a proof, an empty line and a checkpoint")
        old, *proof = head.decode().split("\n")
        size = _OLD.fullmatch(old)
        if size is None or int(size[1]) > tree.MAX_SIZE or len(proof) > MAX_PROOF:
            _refuse("its old size or its proof is malformed")
        hashes = tuple(strict_base64(line) for line in proof)
        if any(len(item) != tree.HASH_LENGTH for item in hashes):
            _refuse("a hash of its proof has the wrong length")
        return cls(int(size[1]), hashes, note)


@dataclass(frozen=True)
class Accepted:
    """The checkpoint continues what was seen: store ``state`` in place of the one before, then cosign."""

    state: WitnessState
    signed: SignedCheckpoint


@dataclass(frozen=True)
class Stale:
    """The log started from another size than the witness knows: it may ask again with a proof from ``size``.

    ``note`` is the checkpoint that the witness cosigned at that size. A log that does not know it has lost entries:
    it was put back from an old backup.
    """

    size: int
    note: bytes = field(repr=False)


@dataclass(frozen=True)
class Refused:
    """The request is no good, and shows nothing about the log. ``cause`` says why, in words."""

    cause: str


@dataclass(frozen=True)
class Conflict:
    """The log signed something that does not follow from what it had signed before. Keep both notes; alarm.

    ``proven``: the two notes alone convict the log, to anybody with its key (one size, two roots). If not, the log
    only failed to prove that the newer one follows, which an honest log never does.
    """

    old: bytes
    new: bytes
    proven: bool
    cause: str


Decision = Accepted | Stale | Refused | Conflict


def decide(state: WitnessState, request: AddCheckpoint, origin: str, keys: Sequence[VerifierKey]) -> Decision:
    """What to do with a request about the log ``origin`` that signs with ``keys``, after ``state`` was cosigned."""
    try:
        signed = open_checkpoint(request.note, [key for key in keys if key.name == origin])
    except NoteError as error:
        return Refused(error.what)
    if signed.checkpoint.origin != origin:
        return Refused(f"it is a checkpoint of {signed.checkpoint.origin}, not of {origin}")
    if not signed.is_signed_by_log(keys):
        return Refused("the log has not signed it with each kind of key that it has")
    return _compare(state, request, signed)


def convicts(first: bytes, second: bytes, origin: str, keys: Sequence[VerifierKey]) -> bool:
    """Whether the two notes show, to anybody who knows the keys of ``origin``, that it signed two histories."""
    own = [key for key in keys if key.name == origin]
    try:
        one, other = (open_checkpoint(raw, own) for raw in (first, second))
    except NoteError:
        return False
    both_signed = one.is_signed_by_log(own) and other.is_signed_by_log(own)
    return both_signed and one.checkpoint.contradicts(other.checkpoint)


def _compare(state: WitnessState, request: AddCheckpoint, signed: SignedCheckpoint) -> Decision:
    checkpoint = signed.checkpoint
    if checkpoint.size == state.size and checkpoint.root != state.root:
        cause = f"two different logs of {checkpoint.size} entries were signed"
        return Conflict(state.note, request.note, True, cause)
    if request.old_size > checkpoint.size:
        return Refused("its old size is larger than the checkpoint's")
    if request.old_size != state.size:
        return Stale(state.size, state.note)
    if not _follows(state, checkpoint.size, checkpoint.root, request.proof):
        cause = f"no proof that {checkpoint.size} entries continue the {state.size} that were cosigned before"
        return Conflict(state.note, request.note, False, cause)
    return Accepted(WitnessState(checkpoint.size, checkpoint.root, request.note), signed)


def _follows(state: WitnessState, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    if state.size == 0:
        return not proof
    return tree.is_consistent(state.size, state.root, size, root, proof)


def _refuse(why: str) -> NoReturn:
    raise NoteError(
        f"a request for a cosignature was refused: {why}",
        blame="whoever sent it",
        remedy="update the software of the institution that sent it",
    )
