"""Following a log's chain from its first entry: what can be said of it, and of which entry.

There are four verdicts. ``verified``: every check passed. ``tampered``: an entry is altered, missing, out of place
or not signed by the log's owner. ``uncovered``: the log is whole, and records an access that its agreements and
consents do not allow. ``unverifiable``: nothing is proved wrong, but something needed is missing or not understood.

The reader is trusted for this only: an entry that ``follow`` returns is the signer's own and follows from all
entries before it. Of a batch, that is known when its last entry is read, which carries the signature: seen from
there backwards, the first entry whose hash the next one does not cite is the one that was altered. The reader can't
see an end that was cut off together with the head that told of it, nor two histories of one log shown to two
readers; witnesses are for that.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn

from consortia_crypto.audit import events, shape, tree
from consortia_crypto.audit.entry import ALGORITHM, BATCH, NO_ENTRY, Entry, Head
from consortia_crypto.errors import AuditError, CryptoError, NewerFormatError
from consortia_crypto.keys import PublicIdentity

_NEVER = 1 << 63


class Verdict(StrEnum):
    """What verification can say of a log; see the module."""

    VERIFIED = "verified"
    UNCOVERED = "uncovered"
    TAMPERED = "tampered"
    UNVERIFIABLE = "unverifiable"


@dataclass(frozen=True)
class Finding:
    """Why a log is not simply verified: at which entry, when, and for what cause.

    ``time`` is what the entry says (empty if that can't be read), ``after`` the time of the last good entry.
    """

    verdict: Verdict
    entry: int | None
    cause: str
    time: str = ""
    after: str = ""


class TamperedLogError(AuditError):
    """A log that is not as its owner wrote it; ``finding`` names the entry."""

    def __init__(self, finding: Finding) -> None:
        where = "its head" if finding.entry is None else f"entry {finding.entry}"
        super().__init__(
            f"the log is tampered with at {where}: {finding.cause}",
            blame="whoever held this copy of the log",
            remedy="get another copy from its owner, and keep this one as evidence",
        )
        self.finding = finding


class ChainReader:
    """Checks records one by one, as they come. ``doubt`` holds the first thing that it could not judge."""

    def __init__(self, signer: PublicIdentity, head: Head | None = None) -> None:
        self.doubt: Finding | None = None
        self._signer = signer
        self._kid = signer.fingerprint
        self._head = head
        self.leaf = b""
        """The leaf hash of the last record."""
        self._leaf = NO_ENTRY
        self._last: Entry | None = None
        self._proved = 0
        self._waiting: list[Entry | None] = []
        self._breaks: list[int] = []
        self._due = _NEVER
        self._batch = b""
        self._kid_bytes = self._kid.encode()
        self._promised = head.size if head is not None else 0

    @property
    def size(self) -> int:
        """So many entries are read: whole, in their places, and all but those of an unfinished batch proved."""
        return self._proved + len(self._waiting)

    @property
    def time(self) -> str:
        """The time of the last entry that says one."""
        return self._last.time if self._last else ""

    def follow(self, raw: bytes) -> list[Entry]:
        """Take the next record. Raises TamperedLogError.

        Returns the entries that are proved by it, in order: usually this one alone; none, if a signature that
        vouches for it has still to come; with the last of a batch, all of that batch. Entries that are in their
        place but not understood are left out.
        """
        parts = shape.match(raw)
        if parts is not None and self._continues_batch(parts):
            self._last = Entry.of_parts(raw, parts)
            self._waiting.append(self._last)
            self.leaf = tree.leaf_hash(raw)
            self._leaf = self.leaf.hex()
            return []
        entry = self._parse(raw)
        judged = entry if entry is not None and self._check_place(entry) else None
        self._waiting.append(judged)
        self.leaf = tree.leaf_hash(raw)
        self._leaf = self.leaf.hex()
        if self._head is not None and self._head.size == self.size and self._head.leaf != self._leaf:
            self._proved, self._waiting = self.size - 1, []
            self.refuse("the log's signed head tells of another entry here", time=entry.time if entry else "")
        proved = self._settle(judged) if judged is not None and judged.algorithm == ALGORITHM else []
        self._last = entry or self._last
        return proved

    def finish(self) -> None:
        """Say that no record follows. Raises TamperedLogError if the head tells of more."""
        if self._promised > self.size:
            last = self._promised - 1
            which = f"entry {last} is" if last == self.size else f"entries {self.size} to {last} are"
            self.refuse(f"{which} missing from the end")
        if self._due != _NEVER:
            if self._proved < self._promised:
                self._require_signature()
            self._drop_from(self._proved)
        if self._head is None:
            self.note(self.size, "the log has no signed head, so entries may be missing from its end")

    def note(self, entry: int | None, cause: str, time: str = "") -> None:
        """Remember the first thing that keeps this log from being verified without its being tampered with."""
        if self.doubt is None:
            self.doubt = Finding(Verdict.UNVERIFIABLE, entry, cause, time, self.time)

    def refuse(self, cause: str, entry: int | None = None, time: str = "") -> NoReturn:
        """Raise TamperedLogError at ``entry``, or at the next one that was expected."""
        index = self.size if entry is None else entry
        raise TamperedLogError(Finding(Verdict.TAMPERED, index, cause, time, self.time))

    def _continues_batch(self, parts: re.Match[bytes]) -> bool:
        """Whether an entry of plain shape simply goes on with the batch: what most do, so it is tried first."""
        number, prev, kid, end = parts.group("i", "prev", "kid", "end")
        if end != self._batch or kid != self._kid_bytes or prev.decode() != self._leaf:
            return False
        index = int(number)
        return index == self._proved + len(self._waiting) < self._due and index + 1 != self._promised

    def _parse(self, raw: bytes) -> Entry | None:
        try:
            return Entry.parse(raw)
        except NewerFormatError as error:
            self.note(self.size, error.what)
        except AuditError as error:
            self.refuse(error.what)
        return None

    def _check_place(self, entry: Entry) -> bool:
        """Whether its kind of signature is known; what it follows from is judged when that has been checked."""
        algorithm = entry.algorithm
        if entry.kid != self._kid:
            self.refuse("it is signed by another key than the log's owner's", time=entry.time)
        if entry.index != self.size:
            self.refuse(f"entry {entry.index} stands in its place", time=entry.time)
        if entry.prev != self._leaf:
            self._breaks.append(entry.index)
        if entry.index > self._due:
            self._require_signature()
        if algorithm == BATCH:
            self._due = min(self._due, entry.end)
            self._batch = b"%d" % self._due
        elif algorithm != ALGORITHM:
            self.note(self.size, f"its signature is of the unknown kind {algorithm[:20]!r}", entry.time)
            return False
        return True

    def _settle(self, signed: Entry) -> list[Entry]:
        """The waiting entries, which ``signed``, their last, proves. Raises TamperedLogError if it does not."""
        self._check_signature(signed)
        if self._breaks:
            self._name_break(self._breaks[-1])
        first, waiting = self._proved, self._waiting
        self._proved, self._waiting = self.size, []
        self._due, self._batch = _NEVER, b""
        for index, entry in enumerate(waiting, first):
            if entry is not None and entry.end != signed.index:
                self._proved = index
                self.refuse(f"entry {entry.end} should sign it, but entry {signed.index} does", index, entry.time)
        return [entry for entry in waiting if entry is not None and self._is_known(entry)]

    def _check_signature(self, signed: Entry) -> None:
        try:
            signed.verify(self._signer)
        except CryptoError:
            first = self._proved
            self._drop_from(first)
            if first == signed.index:
                self.refuse("it was altered after it was signed", time=signed.time)
            which = f"entries {first} to {signed.index}"
            self.refuse(f"its signature does not hold: one of {which} was altered", signed.index, signed.time)

    def _name_break(self, index: int) -> NoReturn:
        """Refuse where the chain breaks, seen backwards from a signature: what follows ``index`` is as it was."""
        entry = self._waiting[index - self._proved]
        cause = "it does not follow from the entry before it"
        if index > self._proved:
            index -= 1
            entry = self._waiting[index - self._proved]
            cause = "the next entry, which is signed, follows from another one"
        self._drop_from(self._proved)
        self.refuse(cause, index, entry.time if entry else "")

    def _require_signature(self) -> None:
        """Refuse the first entry of a batch that waits for its signature in vain."""
        for index, entry in enumerate(self._waiting, self._proved):
            if entry is not None:
                self._drop_from(index)
                self.refuse(f"its signature, in entry {entry.end}, is missing", index, entry.time)

    def _drop_from(self, index: int) -> None:
        """Count only the entries before ``index``."""
        self._proved, self._waiting = min(self._proved, index), self._waiting[: max(0, index - self._proved)]

    def _is_known(self, entry: Entry) -> bool:
        if entry.is_plain:
            return True
        try:
            events.check(entry.body)
        except AuditError as error:
            self.note(entry.index, error.what, entry.time)
            return False
        return True
