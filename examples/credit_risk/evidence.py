"""The regulator's side of the story: taking the logs, verifying them offline, and a forgery that is found."""

import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from consortia_common.audit_reconcile import Lack
from consortia_common.audit_segments import LogFolder, records
from consortia_crypto.audit.entry import Entry
from consortia_crypto.audit.note import Note
from examples.credit_risk import commands
from examples.credit_risk.errors import DemoError
from examples.credit_risk.network import QUORUM, Places
from examples.credit_risk.split import BANKS

OWNERS = (*BANKS, "coordinator")


@dataclass(frozen=True)
class Verdict:
    """What verification said of one log."""

    verdict: str
    report: dict[str, Any]

    @property
    def sentence(self) -> str:
        """The verdict, with the entry if it names one."""
        return self.verdict + (f" at entry {self.report['entry']}" if self.verdict == "tampered" else "")


def collect(places: Places) -> dict[str, Path]:
    """Copies of the four logs: the coordinator's read over the network, the banks' handed over by the banks."""
    folders = {owner: places.root / "evidence" / owner for owner in OWNERS}
    folders["coordinator"].parent.mkdir(mode=0o700)
    for bank in BANKS:
        commands.run("audit", "export", "--from", places.node(bank).parent, "--out", folders[bank])
    commands.run("audit", "fetch", "--profile", places.regulator, "--out", folders["coordinator"])
    return folders


def ask_for_witnesses(places: Places, folders: dict[str, Path]) -> None:
    """Write the regulator's policy: two of the three banks must have cosigned each log, none of them its own."""
    sources = [word for folder in folders.values() for word in ("--from", folder)]
    banks = [word for bank in BANKS for word in ("--witness", bank)]
    known = ("--profile", places.regulator, "--members", places.members)
    commands.run("audit", "policy", *known, *sources, *banks, "--quorum", str(QUORUM), "--out", places.policy)


def verify(folder: Path, fingerprint: str, policy: Path) -> Verdict:
    """Check one copy offline, against its owner's fingerprint and the cosignatures that ``policy`` asks for."""
    words = ("--fingerprint", fingerprint, "--policy", policy, "--json")
    outcome = commands.attempt("audit", "verify", folder, *words)
    (report,) = outcome.document()["logs"]
    return Verdict(report["verdict"], report)


def witnesses_of(folder: Path) -> list[str]:
    """The banks whose cosignatures stand under a log's cosigned checkpoint, which ``verify`` has verified."""
    notes = [Note.parse(path.read_bytes()) for path in (folder / "cosigned").glob("[!.]*")]
    names = {one.name for note in notes for one in note.signatures}
    return [bank for bank in BANKS if any(name.endswith(f"/{bank}/witness") for name in names)]


def compare(folders: dict[str, Path]) -> tuple[int, list[str]]:
    """How often two logs tell of the same thing, and what one of them leaves out, in words.

    Messages of a job that was refused in the middle may never have been taken; their lack is no omission.
    """
    outcome = commands.attempt("audit", "reconcile", *folders.values(), "--json").document()
    left_out = [
        item["sentence"] for item in outcome["lacks"] if item["lack"] not in (Lack.UNDER_WAY, Lack.GIVEN_UP)
    ]
    return sum(outcome["matched"].values()), left_out


def verify_alone(places: Places) -> bool:
    """Whether an export of the four logs verifies with the program in it, on a Python without any library."""
    archive, folder = places.root / "evidence.zip", places.root / "evidence" / "export"
    homes = [places.node(bank).parent for bank in BANKS] + [places.coordinator.parent]
    sources = [word for home in homes for word in ("--from", home)]
    commands.run("audit", "export", *sources, "--policy", places.policy, "--out", archive)
    shutil.unpack_archive(archive, folder)
    done = subprocess.run([sys.executable, "-I", "-S", "verify.py"], cwd=folder, capture_output=True, check=False)
    return done.returncode == 0


def entries(folder: Path) -> Iterator[Entry]:
    """The entries of a copy, in order."""
    return (Entry.parse(record) for record in records(LogFolder(folder)))


def cohorts(folders: dict[str, Path], job: str) -> tuple[int, int]:
    """From the banks' logs: rows used for ``job``, and rows left out because consent was missing.

    A cohort is formed again when consent changes while the job runs; the last one of each dataset counts.
    """
    last = {
        (bank, entry.body["dataset"]): entry.body
        for bank in BANKS
        for entry in entries(folders[bank])
        if entry.type == "access.cohort" and entry.body["job"] == job
    }
    return sum(body["rows_used"] for body in last.values()), sum(body["rows_left_out"] for body in last.values())


def receipted(proof: Path, agreement: str) -> int:
    """How many rows a job's receipts tell of; their ``proof`` is checked offline, by the ``agreement`` as known."""
    checked = commands.ask("job", "verify", proof, "--agreement", agreement)
    return sum(cohort["rows_used"] for receipt in checked["receipts"] for cohort in receipt["cohorts"])


def flip(folder: Path, copy: Path) -> int:
    """Copy a log and change one byte, a digit of the rows used in its first cohort; returns the entry's number."""
    shutil.copytree(folder, copy)
    cohort = next(entry for entry in entries(folder) if entry.type == "access.cohort")
    segment = _segment(copy, cohort)
    content = bytearray(segment.read_bytes())
    content[content.index(cohort.raw) + _digit(cohort.raw)] ^= 1
    segment.write_bytes(content)
    return cohort.index


def mend(copy: Path, folder: Path, number: int) -> None:
    """Make the forgery of entry ``number`` better: recompute the checksum, which needs no key."""
    genuine = next(islice(entries(folder), number, None))
    forged = bytearray(genuine.raw)
    forged[_digit(genuine.raw)] ^= 1
    segment = _segment(copy, genuine)
    checksum = zlib.crc32(forged).to_bytes(4, "little")
    content = segment.read_bytes()
    start = content.index(bytes(forged))
    segment.write_bytes(content[: start - 4] + checksum + content[start:])


def _digit(entry: bytes) -> int:
    """Where in ``entry`` the last digit of the number of rows stands."""
    match = re.search(rb'"rows_used":\d*(\d)', entry)
    if match is None:
        raise DemoError(
            "a cohort's entry does not say how many rows were used",
            blame="the node that wrote it",
            remedy="run the demo from a clean checkout",
        )
    return match.start(1)


def _segment(folder: Path, entry: Entry) -> Path:
    """The segment with ``entry``."""
    log = LogFolder(folder)
    return log.segment(max(first for first in log.firsts() if first <= entry.index))
