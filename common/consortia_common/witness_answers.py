"""PURE: what a log's owner makes of its witnesses' answers; none of them is believed further than it is signed.

A cosignature counts if it verifies. A checkpoint that a witness holds against this log counts if this log signed
it: if it is not one of these entries, the log was put back from an old copy. All else is the witness's word, or
that of whoever passed it on, and no more than a reason to tell a person.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from consortia_crypto.audit import tree
from consortia_crypto.audit.checkpoint import Checkpoint, SignedCheckpoint, add_cosignatures, open_checkpoint
from consortia_crypto.audit.logkeys import KeyPair, keys_at
from consortia_crypto.audit.note import Note
from consortia_crypto.audit.notekeys import VerifierKey
from consortia_crypto.errors import ConsortiaError, NoteError

Prove = Callable[[int], Sequence[bytes]]
"""The consistency proof from that size to the checkpoint that is asked for."""


@dataclass(frozen=True)
class Given:
    """A witness cosigned; ``note`` has its signatures beside those that were there."""

    note: Note


@dataclass(frozen=True)
class Knows:
    """The witness cosigned ``size`` entries last, which are this log's: ask again from there."""

    size: int


@dataclass(frozen=True)
class Lost:
    """This log signed ``note``, of ``size`` entries, and these are not in it any more."""

    size: int
    note: bytes


@dataclass(frozen=True)
class Nothing:
    """No cosignature, and nothing that is shown. ``why`` is for a person."""

    why: str


def given(note: Note, lines: bytes, keys: Sequence[VerifierKey]) -> Given | Nothing:
    """What the signature lines of a witness with ``keys`` are worth."""
    try:
        return Given(add_cosignatures(note, lines.decode(), keys))
    except (NoteError, UnicodeDecodeError):
        return Nothing("what it answered are not cosignatures by its keys in the policy")


def held_against(
    held: bytes, signed: SignedCheckpoint, pairs: Sequence[KeyPair], prove: Prove
) -> Knows | Lost | Nothing:
    """What it means that a witness holds the checkpoint ``held`` against the newest one, ``signed``."""
    newest = signed.checkpoint
    try:
        claimed = Checkpoint.parse(Note.parse(held).text)
        keys = keys_at(pairs, newest.origin, claimed.size)
        opened = open_checkpoint(held, keys)
    except ConsortiaError:
        return Nothing("it speaks of a checkpoint that this log never signed")
    if claimed.origin != newest.origin or not opened.is_signed_by_log(keys):
        return Nothing("it speaks of a checkpoint that this log never signed")
    if claimed.size > newest.size or not _continues(claimed, newest, prove):
        return Lost(claimed.size, held)
    return Knows(claimed.size)


def _continues(old: Checkpoint, new: Checkpoint, prove: Prove) -> bool:
    if old.size == 0:
        return True
    return tree.is_consistent(old.size, old.root, new.size, new.root, prove(old.size))
