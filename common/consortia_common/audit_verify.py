"""Verifying a log folder, live or exported: chain, signatures, tree, checkpoints; was every access allowed?

Needs nothing but the folder and, from elsewhere, the fingerprint that its owner should have; without one, the key
is taken from the folder, which shows only that the log was not altered by somebody without that key. Earlier years
are verified too, each as a log of its own that the next one names. Streams: a log may be larger than memory.
Whatever the folder holds ends in a Report.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from consortia_common import keyfiles
from consortia_common.audit_coverage import Coverage
from consortia_common.audit_report import EXIT_CODES, GRAVITY, Report
from consortia_common.audit_segments import LogFolder, RecordError, records
from consortia_common.audit_tree_check import TreeCheck
from consortia_common.errors import CommonError
from consortia_crypto.audit.checkpoint import Checkpoint
from consortia_crypto.audit.entry import Entry, Head
from consortia_crypto.audit.policy import Policy
from consortia_crypto.audit.verify import ChainReader, Finding, TamperedLogError, Verdict
from consortia_crypto.errors import CryptoError
from consortia_crypto.keys import PublicIdentity

__all__ = ["CONTINUED", "EXIT_CODES", "Report", "Visitor", "attached", "find_log", "verify_folder"]

Visitor = Callable[[PublicIdentity, Entry], None]
CONTINUED = "log.continued"
"""What each year's log but the first begins with."""


def verify_folder(
    path: Path, expected_fingerprint: str | None = None, *, policy: Policy | None = None, see: Visitor | None = None
) -> Report:
    """Verify the log in ``path`` (a log folder, or the folder of a node or coordinator that has one).

    With a ``policy``, a checkpoint must also be signed and cosigned as it asks. ``see`` is called with the owner
    and each entry as it is proved, so that a question about a log is answered while it is verified; what it was
    given counts only as far as the report says.
    """
    folder = find_log(path)
    try:
        identity = keyfiles.load_public_identity(folder.identity)
    except CommonError:
        return _unverifiable(path, "there is no log here, or its identity.json can't be read")
    if expected_fingerprint not in (None, identity.fingerprint):
        return _unverifiable(path, f"it is the log of another identity, {identity.fingerprint}")
    coverage = Coverage(identity.institution, lambda sha256: attached(folder, sha256))
    *earlier, present = folder.shards()
    years = [_Year(shard, identity, coverage, None, see) for shard in earlier]
    years.append(_Year(present, identity, coverage, policy, see))
    findings = _read_years(years)
    findings += coverage.findings
    findings.sort(key=lambda item: GRAVITY.index(item.verdict))
    last = years[-1]
    return Report(
        path,
        findings[0].verdict if findings else Verdict.VERIFIED,
        tuple(findings),
        identity.institution,
        identity.fingerprint,
        expected_fingerprint is not None,
        sum(year.size for year in years),
        last.time,
        coverage.covered,
        coverage.uncovered,
        coverage.rows_used,
        coverage.rows_left_out,
        coverage.confirmed,
        last.tree.signed.checkpoint.size if last.tree.signed else None,
        last.tree.signed_time,
    )


def find_log(path: Path) -> LogFolder:
    """The log folder at ``path``, or in it under the name that nodes and coordinators give it."""
    return LogFolder(path / "log" if (path / "log" / "identity.json").is_file() else path)


def attached(folder: LogFolder, sha256: str) -> bytes | None:
    """An attached document; None if there is none. What can't be read is not the document either."""
    path = folder.document(sha256)
    if not path.is_file():
        return None
    try:
        return keyfiles.read_file(path)
    except CommonError:
        return b""


@dataclass
class _Year:
    """The log of one year, on its own."""

    folder: LogFolder
    identity: PublicIdentity
    coverage: Coverage
    policy: Policy | None
    see: Visitor | None
    first: Entry | None = None
    size: int = 0
    time: str = ""
    tree: TreeCheck = field(init=False)

    def read(self) -> list[Finding]:
        """Read it all. Checkpoint and head are read first, so that a log being written to is not found short."""
        self.tree = TreeCheck(self.folder, self.identity, self.policy)
        head, found = _read_head(self.folder, self.identity)
        reader = ChainReader(self.identity, head)
        try:
            for entry in _entries(self.folder, reader, head, self.tree):
                self.first = self.first or entry
                self.coverage.see(entry)
                if self.see is not None:
                    self.see(self.identity, entry)
            reader.finish()
            self.tree.finish()
        except TamperedLogError as error:
            found.insert(0, error.finding)
        self.size, self.time = reader.size, reader.time
        found += self._lost_head(head)
        return [*found, *self.tree.findings, *([reader.doubt] if reader.doubt else [])]

    def _lost_head(self, head: Head | None) -> list[Finding]:
        """A head that a power cut emptied, since it is not synced: its checkpoint must vouch for the log then."""
        if head is not None or not _is_blank(self.folder.head):
            return []
        if self.tree.signed is None:
            return [Finding(Verdict.TAMPERED, None, "its signed head is empty, and no good checkpoint replaces it")]
        proved = self.tree.signed.checkpoint.size
        cause = (
            f"its signed head is empty, as after a power cut; its checkpoint vouches for the first {proved} entries"
        )
        return [Finding(Verdict.UNVERIFIABLE, None, f"{cause}, and later ones may be missing")]

    def follows(self, before: Checkpoint | None) -> Finding | None:
        """What is wrong with its being the year after the one that ended with ``before``, if anything."""
        says = self.first.body.get("detail", {}) if self.first and self.first.type == CONTINUED else None
        if before is None and says is None:
            return None
        if says is None or before is None:
            cause = (
                "it does not name the year before it" if before else "the year before, which it names, is missing"
            )
            return Finding(Verdict.UNVERIFIABLE, 0, cause)
        if (says["previous"], says["size"], says["root"]) == (before.origin, before.size, before.root.hex()):
            return None
        return Finding(
            Verdict.TAMPERED, 0, "it names another end of the year before it", self.first.time if self.first else ""
        )


def _read_years(years: list[_Year]) -> list[Finding]:
    """What is wrong with the years, each after the other; causes of earlier ones name the year."""
    findings: list[Finding] = []
    before: Checkpoint | None = None
    for year in years:
        found = year.read()
        link = year.follows(before)
        if link is not None and not found:
            found = [link]
        name = year.folder.path.name if year is not years[-1] else ""
        findings += [replace(item, cause=f"{name}: {item.cause}") if name else item for item in found]
        before = year.tree.signed.checkpoint if year.tree.signed else None
    return findings


def _read_head(folder: LogFolder, identity: PublicIdentity) -> tuple[Head | None, list[Finding]]:
    if not folder.head.exists():
        return None, []
    if _is_blank(folder.head):
        return None, []
    try:
        return Head.parse(keyfiles.read_file(folder.head), identity), []
    except (CommonError, CryptoError) as error:
        return None, [Finding(Verdict.TAMPERED, None, f"its signed head was altered ({error.what})")]


def _is_blank(path: Path) -> bool:
    """Whether a file is there and has nothing in it, or zeros only: what a power cut leaves of it."""
    try:
        return not keyfiles.read_file(path).strip(b"\0")
    except CommonError:
        return False


def _entries(folder: LogFolder, reader: ChainReader, head: Head | None, tree: TreeCheck) -> Iterator[Entry]:
    """The entries that the reader finds good. Raises TamperedLogError."""
    try:
        for raw in records(folder):
            proved = reader.follow(raw)
            tree.see(raw, reader.leaf)
            if proved:
                yield from proved
    except RecordError as error:
        half_written = error.tail and (head is None or error.index >= head.size)
        if not half_written:
            reader.refuse(error.why, error.index)


def _unverifiable(path: Path, cause: str) -> Report:
    return Report(path, Verdict.UNVERIFIABLE, (Finding(Verdict.UNVERIFIABLE, None, cause),))
