"""Following a log's chain from its first entry: what can be said of it, and of which entry.

There are four verdicts. ``verified``: every check passed. ``tampered``: an entry is altered, missing, out of place
or not signed by the log's owner. ``uncovered``: the log is whole, and records an access that its agreements and
consents do not allow. ``unverifiable``: nothing is proved wrong, but something needed is missing or not understood.

The reader is trusted for this only: an entry that ``follow`` returns is the signer's own and follows from all
entries before it. It can't see an end that was cut off together with the head that told of it, nor two histories
of one log shown to two readers; witnesses are for that.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn

from consortia_crypto.audit import events, tree
from consortia_crypto.audit.entry import ALGORITHM, NO_ENTRY, Entry, Head
from consortia_crypto.errors import AuditError, CryptoError, NewerFormatError
from consortia_crypto.keys import PublicIdentity


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
        self.size = 0
        self.time = ""
        self.doubt: Finding | None = None
        self._signer = signer
        self._kid = signer.fingerprint
        self._head = head
        self._leaf = NO_ENTRY
        self._unproved = False

    def follow(self, raw: bytes) -> Entry | None:
        """The next entry; None if it is in its place but not understood. Raises TamperedLogError."""
        entry = self._parse(raw)
        if entry is not None:
            self._check_signature(entry)
            self._check_place(entry)
        self._unproved = entry is None or entry.algorithm != ALGORITHM
        known = entry is not None and not self._unproved and self._is_known(entry)
        self._advance(raw, entry)
        return entry if known else None

    def finish(self) -> None:
        """Say that no record follows. Raises TamperedLogError if the head tells of more."""
        if self._head is not None and self._head.size > self.size:
            last = self._head.size - 1
            which = f"entry {last} is" if last == self.size else f"entries {self.size} to {last} are"
            self.refuse(f"{which} missing from the end")
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

    def _parse(self, raw: bytes) -> Entry | None:
        try:
            return Entry.parse(raw)
        except NewerFormatError as error:
            self.note(self.size, error.what)
        except AuditError as error:
            self.refuse(error.what)
        return None

    def _check_signature(self, entry: Entry) -> None:
        if entry.kid != self._kid:
            self.refuse("it is signed by another key than the log's owner's", time=entry.time)
        if entry.algorithm != ALGORITHM:
            self.note(self.size, f"its signature is of the unknown kind {entry.algorithm[:20]!r}", entry.time)
            return
        try:
            entry.verify(self._signer)
        except CryptoError:
            self.refuse("it was altered after it was signed", time=entry.time)

    def _check_place(self, entry: Entry) -> None:
        if entry.index != self.size:
            self.refuse(f"entry {entry.index} stands in its place", time=entry.time)
        if entry.prev == self._leaf:
            return
        if self._unproved:
            self.refuse("the next entry, which is signed, follows from another one", self.size - 1)
        self.refuse("it does not follow from the entry before it", time=entry.time)

    def _is_known(self, entry: Entry) -> bool:
        try:
            events.check(entry.body)
        except AuditError as error:
            self.note(self.size, error.what, entry.time)
            return False
        return True

    def _advance(self, raw: bytes, entry: Entry | None) -> None:
        self._leaf = tree.leaf_hash(raw).hex()
        if self._head is not None and self._head.size == self.size + 1 and self._head.leaf != self._leaf:
            self.refuse("the log's signed head tells of another entry here", time=entry.time if entry else "")
        self.size += 1
        self.time = entry.time if entry else self.time
