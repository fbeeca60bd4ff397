"""What verifying a log found: a verdict, its causes, and what was counted on the way."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consortia_crypto.audit.verify import Finding, Verdict

GRAVITY = (Verdict.TAMPERED, Verdict.UNCOVERED, Verdict.UNVERIFIABLE)
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
    confirmations: int = 0
    """How many members' fingerprints officers have confirmed with a signature that is good."""
    checkpoint: int | None = None
    """How many entries the newest signed checkpoint counts; None if there is none that is good."""
    signed_time: str = ""
    """When the owner last signed that the log holds exactly these entries; empty if that is not known."""

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
    "accesses_covered", "accesses_uncovered", "rows_used", "rows_left_out", "confirmations", "checkpoint",
    "signed_time",
)  # fmt: skip
_FINDING_FIELDS = ("verdict", "entry", "cause", "time", "after")


def _finding_document(finding: Finding) -> dict[str, Any]:
    return {name: getattr(finding, name) for name in _FINDING_FIELDS}
