"""Verifying a log folder, live or exported: the chain, the signatures, and that every access was allowed.

Needs nothing but the folder and, from elsewhere, the fingerprint that its owner should have; without one, the key
is taken from the folder, which shows only that the log was not altered by somebody without that key. Streams: a log
may be larger than memory. Whatever the folder holds ends in a Report.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consortia_common import keyfiles
from consortia_common.audit_coverage import Coverage
from consortia_common.audit_segments import LogFolder, RecordError, records
from consortia_common.errors import CommonError
from consortia_crypto.audit.entry import Head
from consortia_crypto.audit.verify import ChainReader, Finding, TamperedLogError, Verdict
from consortia_crypto.errors import CryptoError
from consortia_crypto.keys import PublicIdentity

_GRAVITY = (Verdict.TAMPERED, Verdict.UNCOVERED, Verdict.UNVERIFIABLE)
EXIT_CODES = {Verdict.VERIFIED: 0, Verdict.UNCOVERED: 1, Verdict.TAMPERED: 1, Verdict.UNVERIFIABLE: 2}


@dataclass(frozen=True)
class Report:
    """What verification found. ``findings`` begins with the gravest; it is empty if all is well."""

    path: Path
    verdict: Verdict
    findings: tuple[Finding, ...]
    institution: str = ""
    fingerprint: str = ""
    key_confirmed: bool = False
    """Whether the fingerprint was given by whoever asked, instead of taken from the folder."""
    entries: int = 0
    """Intact entries, from the first on."""
    last_time: str = ""
    accesses_covered: int = 0
    accesses_uncovered: int = 0
    rows_used: int = 0
    rows_left_out: int = 0

    @property
    def entry(self) -> int | None:
        """The entry to which the verdict points."""
        return self.findings[0].entry if self.findings else None

    @property
    def cause(self) -> str:
        """Why the log is not verified, in words."""
        return self.findings[0].cause if self.findings else ""

    @property
    def summary(self) -> str:
        """One line: "verified", or "tampered at entry 7: …"."""
        if not self.findings:
            return str(self.verdict)
        where = f" at entry {self.entry}" if self.entry is not None else ""
        return f"{self.verdict}{where}: {self.cause}"

    def document(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        first = _finding_document(self.findings[0]) if self.findings else dict.fromkeys(_FINDING_FIELDS)
        return {
            **plain,
            "path": str(self.path),
            "verdict": str(self.verdict),
            **{name: value for name, value in first.items() if name != "verdict"},
            "findings": [_finding_document(item) for item in self.findings],
        }


_PLAIN = (
    "institution", "fingerprint", "key_confirmed", "entries", "last_time",
    "accesses_covered", "accesses_uncovered", "rows_used", "rows_left_out",
)  # fmt: skip
_FINDING_FIELDS = ("verdict", "entry", "cause", "time", "after")


def verify_folder(path: Path, expected_fingerprint: str | None = None) -> Report:
    """Verify the log in ``path`` (a log folder, or the folder of a node or coordinator that has one)."""
    folder = find_log(path)
    try:
        identity = keyfiles.load_public_identity(folder.identity)
    except CommonError:
        return _unverifiable(path, "there is no log here, or its identity.json can't be read")
    if expected_fingerprint not in (None, identity.fingerprint):
        return _unverifiable(path, f"it is the log of another identity, {identity.fingerprint}")
    reader, coverage, breach = _follow(folder, identity)
    doubts = [reader.doubt] if reader.doubt else []
    findings = sorted([*breach, *coverage.findings, *doubts], key=lambda item: _GRAVITY.index(item.verdict))
    return Report(
        path,
        findings[0].verdict if findings else Verdict.VERIFIED,
        tuple(findings),
        identity.institution,
        identity.fingerprint,
        expected_fingerprint is not None,
        reader.size,
        reader.time,
        coverage.covered,
        coverage.uncovered,
        coverage.rows_used,
        coverage.rows_left_out,
    )


def find_log(path: Path) -> LogFolder:
    """The log folder at ``path``, or in it under the name that nodes and coordinators give it."""
    return LogFolder(path / "log" if (path / "log" / "identity.json").is_file() else path)


def _follow(folder: LogFolder, identity: PublicIdentity) -> tuple[ChainReader, Coverage, list[Finding]]:
    """Read the whole log. The head is read first, so that a log that is being written to is not found short."""
    head, breach = _read_head(folder, identity)
    reader = ChainReader(identity, head)
    coverage = Coverage(identity.institution, lambda sha256: _document(folder, sha256))
    try:
        _read_entries(folder, reader, coverage, head)
        reader.finish()
    except TamperedLogError as error:
        breach.insert(0, error.finding)
    return reader, coverage, breach


def _read_head(folder: LogFolder, identity: PublicIdentity) -> tuple[Head | None, list[Finding]]:
    if not folder.head.exists():
        return None, []
    try:
        return Head.parse(keyfiles.read_file(folder.head), identity), []
    except (CommonError, CryptoError) as error:
        return None, [Finding(Verdict.TAMPERED, None, f"its signed head was altered ({error.what})")]


def _read_entries(folder: LogFolder, reader: ChainReader, coverage: Coverage, head: Head | None) -> None:
    try:
        for raw in records(folder):
            entry = reader.follow(raw)
            if entry is not None:
                coverage.see(entry)
    except RecordError as error:
        half_written = error.tail and (head is None or error.index >= head.size)
        if not half_written:
            reader.refuse(error.why, error.index)


def _document(folder: LogFolder, sha256: str) -> bytes | None:
    """An attached document; None if there is none. What can't be read is not the document either."""
    path = folder.document(sha256)
    if not path.is_file():
        return None
    try:
        return keyfiles.read_file(path)
    except CommonError:
        return b""


def _unverifiable(path: Path, cause: str) -> Report:
    return Report(path, Verdict.UNVERIFIABLE, (Finding(Verdict.UNVERIFIABLE, None, cause),))


def _finding_document(finding: Finding) -> dict[str, Any]:
    return {name: getattr(finding, name) for name in _FINDING_FIELDS}
