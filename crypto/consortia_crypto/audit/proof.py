"""A proof that an entry is in a log, for somebody who has neither; after C2SP tlog-proof.

c2sp.org/tlog-proof@v1
index 73894
gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=     the inclusion proof, a hash on a line
…
                                                 an empty line, then the checkpoint as it was signed
"""

import base64
import re
from dataclasses import dataclass, field, replace
from typing import NoReturn, Self

from consortia_crypto.audit import tree
from consortia_crypto.audit.note import MAX_NOTE_BYTES
from consortia_crypto.audit.notekeys import strict_base64
from consortia_crypto.audit.policy import Judgement, Policy
from consortia_crypto.errors import NoteError

MAX_HASHES = 63
_FIRST = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True)
class LogProof:
    """The entry's number, the sibling hashes from the leaf upwards, and the signed checkpoint that they lead to."""

    index: int
    hashes: tuple[bytes, ...]
    note: bytes = field(repr=False)

    @property
    def raw(self) -> bytes:
        """The proof's bytes."""
        lines = [_FIRST, f"index {self.index}", *(base64.b64encode(item).decode() for item in self.hashes), "", ""]
        return "\n".join(lines).encode() + self.note

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """The proof whose bytes are ``raw``; nothing is verified. Raises NoteError."""
        if len(raw) > 2 * MAX_NOTE_BYTES:
            _refuse("it is too long")
        head, blank, note = raw.partition(b"\n\n")
        if not blank or not head.isascii():
            _refuse("it is not a head, an empty line and a checkpoint")
        first, *lines = head.decode().split("\n")
        number = _INDEX.fullmatch(lines[0]) if lines else None
        if first != _FIRST or number is None or len(lines) > 1 + MAX_HASHES:
            _refuse("its head is malformed, or has extra data, which no entry here needs")
        hashes = tuple(strict_base64(line) for line in lines[1:])
        if any(len(item) != tree.HASH_LENGTH for item in hashes):
            _refuse("a hash has the wrong length")
        return cls(int(number[1]), hashes, note)

    def judge(self, entry: bytes, policy: Policy, latest: int | None = None) -> Judgement:
        """Whether the entry with the bytes ``entry`` is in a log whose checkpoint satisfies ``policy``."""
        judgement = policy.judge(self.note, latest)
        if judgement.signed is None or not judgement.satisfied:
            return judgement
        checkpoint = judgement.signed.checkpoint
        leaf = tree.leaf_hash(entry)
        if tree.includes(checkpoint.root, checkpoint.size, self.index, leaf, self.hashes):
            return judgement
        return replace(judgement, satisfied=False, cause=f"it is not entry {self.index} of {checkpoint.origin}")


def _refuse(why: str) -> NoReturn:
    raise NoteError(
        f"a proof was refused: {why}",
        blame="whoever made or sent it",
        remedy="ask for it again; `consortia audit prove` makes one",
    )
