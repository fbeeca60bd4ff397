"""Contradictions: kept on disk, logged, alarmed; and until a person has acknowledged each, nothing is released.

    log/evidence/<id>.first, <id>.second   the two checkpoints
    log/evidence/<id>.warning              what the other witnesses were told, to be told again after a restart
    log/evidence/<id>.found                canonical JSON: whose log, who found it, why they can't both be true
    log/evidence/<id>.logged               there once the contradiction stands on the log
    log/evidence/<id>.acknowledged         the operator's words, put there by `consortia audit acknowledge`
    log/evidence/<id>.closed               the same, once the acknowledgement stands on the log
    log/evidence/<id>.forget               that this witness is to forget a log; from `consortia audit forget`

The evidence is on disk, and stops every release at this process, also after a restart, before it is logged; what a
crash kept off the log is logged at the next look. An acknowledgement is logged before it counts. Trusted for both.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from consortia_common import keyfiles, logs
from consortia_common.audit_disk import Disk, make_folders, put_file_durably
from consortia_common.audit_log import AuditLog
from consortia_common.errors import WitnessError
from consortia_crypto import canonical
from consortia_crypto.audit.notekeys import check_name
from consortia_crypto.errors import ConsortiaError

MAX_OPEN = 10
"""So many unacknowledged contradictions of one log are kept; more of them show nothing new."""


@dataclass(frozen=True)
class Contradiction:
    """Two checkpoints of the log ``origin`` that can't both be true. ``proven``: to anybody with its keys."""

    origin: str
    first: bytes = field(repr=False)
    second: bytes = field(repr=False)
    proven: bool
    cause: str
    finder: str

    @property
    def id(self) -> str:
        """The same for the same two checkpoints, in whatever order."""
        return hashlib.sha256(b"\0".join(sorted((self.first, self.second)))).hexdigest()[:16]

    @property
    def about(self) -> bytes:
        """What is kept beside the two checkpoints."""
        names = ("origin", "proven", "cause", "finder")
        return canonical.encode({name: getattr(self, name) for name in names})


class Alarms:
    """The contradictions that one process knows of. ``alarm`` is told of each new one, after it was logged."""

    def __init__(self, log: AuditLog, alarm: Callable[[], None] = lambda: None) -> None:
        self._log = log
        self._alarm = alarm
        self._folder = log.folder.path / "evidence"
        self._one_at_a_time = Lock()

    def keep(self, found: Contradiction, warning: bytes = b"") -> bool:
        """Keep and log a contradiction; False if it is known, or if enough of that log are known."""
        with self._one_at_a_time:
            if (self._folder / f"{found.id}.found").exists() or len(self._open_of(found.origin)) >= MAX_OPEN:
                return False
            disk = Disk()
            make_folders(disk, self._folder, inside=self._log.folder.path)
            kept = {"first": found.first, "second": found.second, "warning": warning, "found": found.about}
            for suffix, data in kept.items():
                put_file_durably(disk, self._folder / f"{found.id}.{suffix}", data)
            self._log_kept()
        logs.warning("witness.conflict", reason=f"{found.origin}: {found.cause}", peer=found.finder, file=found.id)
        self._alarm()
        return True

    def check(self) -> None:
        """Return if every contradiction has been acknowledged. Raises WitnessError."""
        with self._one_at_a_time:
            self._log_kept()
            for path in sorted(self._folder.glob("*.acknowledged")):
                self._close(path)
            found = next(self._open(), None)
        if found is not None:
            raise _contradicted(*found)

    def warnings(self) -> list[bytes]:
        """What the other witnesses were told of each contradiction that is not acknowledged."""
        kept = [self._folder / f"{number}.warning" for number, _, _ in self._open()]
        return [keyfiles.read_file(path) for path in kept if path.exists()]

    def forget(self, do: Callable[[str], object]) -> None:
        """Have ``do`` forget each log that the operator said; logged before."""
        for path in self._folder.glob("*.forget"):
            with self._one_at_a_time:
                if path.exists():
                    origin, reason = _said(path)
                    self._log.append("witness.forgotten", origin=origin, reason=reason)
                    do(origin)
                    path.unlink()

    def _log_kept(self) -> None:
        """Log the contradictions on disk that are not on the log yet."""
        for path in sorted(self._folder.glob("*.found")):
            if not (logged := path.with_suffix(".logged")).exists():
                self._log.append("witness.conflict", evidence=path.stem, **_about(path))
                put_file_durably(Disk(), logged, b"")

    def _close(self, path: Path) -> None:
        """Log an acknowledgement, then let it count."""
        words = keyfiles.read_file(path).decode("utf-8", "replace")
        if path.with_suffix(".found").exists():
            self._log.append("witness.acknowledged", reason=words or "no reason was given", evidence=path.stem)
            path.replace(path.with_suffix(".closed"))

    def _open(self) -> Iterator[tuple[str, str, str]]:
        """Id, origin and cause of each contradiction that is not acknowledged."""
        for path in sorted(self._folder.glob("*.found")):
            if not path.with_suffix(".closed").exists():
                about = _about(path)
                yield path.stem, str(about["origin"]), str(about["reason"])

    def _open_of(self, origin: str) -> list[str]:
        return [one for one, whose, _ in self._open() if whose == origin]


def acknowledge(evidence: Path, number: str, reason: str) -> None:
    """Put the operator's words beside a contradiction, for the running process to log. Raises WitnessError."""
    path = evidence / f"{number}.found"
    if not number.isalnum() or not path.exists() or path.with_suffix(".closed").exists():
        raise WitnessError(
            f"there is no unacknowledged contradiction {number[:40]!r} in {evidence}",
            blame="whoever asked for it",
            remedy="the log's newest witness.conflict entry has its number (`evidence`)",
        )
    keyfiles.write_file(path.with_suffix(".acknowledged"), reason.encode())


def ask_to_forget(evidence: Path, origin: str, reason: str) -> None:
    """Have the running process forget, as a witness, what it saw of the log ``origin``."""
    check_name(origin)
    name = hashlib.sha256(origin.encode()).hexdigest()[:16]
    keyfiles.make_folder(evidence)
    keyfiles.write_file(evidence / f"{name}.forget", canonical.encode({"origin": origin, "reason": reason}))


def _said(path: Path) -> tuple[str, str]:
    try:
        value = canonical.decode(keyfiles.read_file(path))
        return str(value["origin"]), str(value["reason"])
    except (ConsortiaError, KeyError, TypeError):
        return path.stem, "the file that asks for it is damaged"


def _about(path: Path) -> dict[str, str | bool]:
    """What the log says of the contradiction in ``path``."""
    try:
        value = canonical.decode(keyfiles.read_file(path))
        texts = {"origin": value["origin"], "reason": value["cause"], "finder": value["finder"]}
        return {name: str(text) for name, text in texts.items()} | {"proven": value["proven"] is True}
    except (ConsortiaError, KeyError, TypeError):
        damaged = f"{path.name} is damaged"
        return {"origin": "a log", "reason": damaged, "finder": "", "proven": False}


def _contradicted(number: str, origin: str, cause: str) -> WitnessError:
    return WitnessError(
        f"nothing is released here: the checkpoints of {origin} contradict each other: {cause}",
        blame=f"the owner of {origin}, or whoever passed its checkpoints on",
        remedy=f"compare both checkpoints (log/evidence/{number}.first and .second) with that institution; then "
        f"`consortia audit acknowledge --evidence {number}` lets releases go on",
    )
