"""PURE: what is missing within one log, as far as the log itself shows it.

A log can be whole and signed, and still lack what must have happened: a cohort without a grant, a job that never
ended, a clock that went back. PAIRS says which entries can't stand alone. What both ends of an exchange must tell
is ``reconcile``'s; what was never written by anybody, no log shows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from consortia_common.audit_pulse import LATE_SECONDS, TELL_SECONDS
from consortia_crypto.audit.entry import Entry

HEARTBEAT = timedelta(seconds=LATE_SECONDS)
"""A log signs its state once a minute, so a signed state that is older than this has missed a beat."""
ALIVE = timedelta(seconds=TELL_SECONDS) + HEARTBEAT
"""A log says at least this often that its state was signed."""
_SKEW = timedelta(seconds=1)
"""A clock may be set back by this much without a word."""


class Gravity(StrEnum):
    """What a gap means."""

    FAULT = "fault"
    """It can't be so: an entry was left out, or the clock went back."""
    OPEN = "open"
    """Something began and has not ended; perhaps it still goes on."""
    NOTE = "note"
    """Something that is in order, and that a reader should know."""


@dataclass(frozen=True)
class Gap:
    """Something missing: at which entry, when, and what."""

    gravity: Gravity
    entry: int | None
    time: str
    cause: str

    def document(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {**vars(self), "gravity": str(self.gravity)}


@dataclass(frozen=True)
class Pair:
    """``later`` can't be without an ``earlier`` with the same ``key``; the first word of each is the event."""

    later: str
    earlier: str
    key: tuple[str, ...]
    cause: str


@dataclass(frozen=True)
class Opening:
    """``begin`` with a ``key`` stays open until one of ``ends`` has the same key."""

    begin: str
    ends: tuple[str, ...]
    key: tuple[str, ...]
    cause: str
    gravity: Gravity = Gravity.OPEN


_JOB = ("job",)
PAIRS = (
    Pair("job.decided", "job.submitted", _JOB, "a job was decided that was never submitted"),
    Pair("access.granted", "job.decided", _JOB, "a dataset was read for a job that the gate never decided"),
    Pair(
        "access.cohort", "access.granted", ("job", "dataset"), "rows were used of a dataset that was never opened"
    ),
    Pair("epoch.opened", "job.decided", _JOB, "keys were agreed for a job that the gate never decided"),
    Pair("update.sealed", "epoch.opened", _JOB, "a part was sealed before keys were agreed"),
    Pair("sum.opened", "update.sealed", _JOB, "a sum was opened to which this institution gave no part"),
    Pair("sum.added", "job.submitted", _JOB, "parts were added for a job that was never submitted"),
    Pair("envelope.relayed", "job.submitted", _JOB, "an envelope was carried for a job that was never submitted"),
    Pair("scores.returned", "envelope.opened", _JOB, "scores were returned for features that were never received"),
    Pair("result.sealed", "job.decided", _JOB, "a result was sealed for a job that the gate never decided"),
    Pair("result.fetched", "job.finished", _JOB, "a result was fetched of a job that never finished"),
    Pair("job.finished", "job.receipt", _JOB, "a job finished without a receipt"),
    Pair("job.receipt", "job.decided", _JOB, "a receipt was given for a job that the gate never decided"),
    Pair("agreement.signed", "agreement.proposed", ("agreement",), "an agreement was signed that nobody proposed"),
    Pair("agreement.activated", "agreement.signed", ("agreement",), "an agreement came into force unsigned"),
    Pair("member.enrolled", "invitation.created", ("invitation",), "somebody enrolled without an invitation"),
    Pair("peer.disconnected", "peer.connected", ("peer",), "a connection ended that never began"),
)
OPENINGS = (
    Opening(
        "job.submitted",
        ("job.finished", "job.failed", "job.refused", "job.disapproved"),
        _JOB,
        "the job has not ended",
    ),
    Opening(
        "access.granted", ("access.cohort", "job.failed"), _JOB, "no rows were counted after the dataset was opened"
    ),
    Opening("peer.connected", ("peer.disconnected",), ("peer",), "the connection has not ended", Gravity.NOTE),
    Opening(
        "invitation.created", ("member.enrolled",), ("invitation",), "the invitation was not used", Gravity.NOTE
    ),
)
_REFUSED = "job.refused"
"""How the openings above call a ``job.decided`` that refuses, after which a node logs nothing more of the job."""
_Key = tuple[str, ...]


class Gaps:
    """Feed it every entry of one log, in order, then ask for ``found``."""

    def __init__(self) -> None:
        self.gaps: list[Gap] = []
        self._alive = ""
        self._is_absent = False
        self._last: Entry | None = None
        self._seen: set[tuple[str, _Key]] = set()
        self._open: dict[tuple[Opening, _Key], Entry] = {}

    def see(self, entry: Entry) -> None:
        """Take the next entry into account."""
        fields = {**entry.body, **entry.body.get("detail", {})}
        self._check_time(entry)
        self._check_beats(entry, fields)
        if entry.type == "log.opened":
            self._restarted(entry, fields)
        for pair in PAIRS:
            if pair.later == entry.type and (pair.earlier, _key(fields, pair.key)) not in self._seen:
                self._add(Gravity.FAULT, entry, f"{pair.cause} ({', '.join(_key(fields, pair.key))})")
            if pair.earlier == entry.type:
                self._seen.add((entry.type, _key(fields, pair.key)))
        self._follow_openings(entry, fields)
        self._last = entry

    def found(self, signed_at: datetime | None = None, now: datetime | None = None) -> list[Gap]:
        """All gaps in the order of their entries. ``signed_at``: when the log last signed its state.

        ``now`` is given for a log that is being written; a copy is not expected to sign again.
        """
        ends = [self._still_open(opening, entry) for (opening, _), entry in self._open.items()]
        return sorted([*self.gaps, *ends, *self._heartbeat(signed_at, now)], key=lambda gap: _order(gap.entry))

    def _check_time(self, entry: Entry) -> None:
        if self._last is None:
            return
        before, now = _moment(self._last.time), _moment(entry.time)
        if now < before - _SKEW:
            self._add(Gravity.FAULT, entry, f"the clock went back: the entry before it is of {self._last.time}")
        if entry.type == "log.opened" and now - before > ALIVE:
            self._add(Gravity.NOTE, entry, f"no sign of life since {self._last.time}: the process was stopped")

    def _check_beats(self, entry: Entry, fields: Mapping[str, Any]) -> None:
        """Every stretch of time in which a process that ran on did not sign the log's state is told of, once."""
        if self._last is None or entry.type == "log.opened":
            self._alive, self._is_absent = entry.time, False
            return
        late = fields.get("longest", 0) if entry.type == "log.alive" else 0
        if not self._is_absent and _moment(entry.time) - _moment(self._alive) > ALIVE:
            self._is_absent = True
            self._add(Gravity.OPEN, entry, f"heartbeats are missing since {self._alive}, though the process ran on")
        elif not self._is_absent and late > LATE_SECONDS:
            self._add(Gravity.OPEN, entry, f"heartbeats are missing: for {late} seconds the state was not signed")
        if entry.type == "log.alive":
            self._alive, self._is_absent = entry.time, False

    def _restarted(self, entry: Entry, fields: Mapping[str, Any]) -> None:
        """A process that was killed logs no end of its connections."""
        for opening, key in [item for item in self._open if item[0].begin == "peer.connected"]:
            del self._open[opening, key]
        if fields.get("cut_bytes"):
            self._add(Gravity.NOTE, entry, f"{fields['cut_bytes']} bytes of a half-written entry were cut off")

    def _follow_openings(self, entry: Entry, fields: Mapping[str, Any]) -> None:
        refused = entry.type == "job.decided" and fields.get("decision") == "refuse" and "institution" not in fields
        event = _REFUSED if refused else entry.type
        for opening in OPENINGS:
            key = _key(fields, opening.key)
            if event == opening.begin:
                self._open.setdefault((opening, key), entry)
            elif event in opening.ends:
                self._open.pop((opening, key), None)

    def _still_open(self, opening: Opening, entry: Entry) -> Gap:
        fields = {**entry.body, **entry.body.get("detail", {})}
        cause = f"{entry.type} ({', '.join(_key(fields, opening.key))}): {opening.cause}"
        return Gap(opening.gravity, entry.index, entry.time, cause)

    def _heartbeat(self, signed_at: datetime | None, now: datetime | None) -> Iterator[Gap]:
        if self._last is None:
            return
        until = now or _moment(self._last.time)
        if signed_at is not None and until - signed_at > HEARTBEAT:
            cause = f"the log's state was last signed at {signed_at.isoformat()}: heartbeats are missing since"
            yield Gap(Gravity.OPEN, self._last.index, self._last.time, cause)

    def _add(self, gravity: Gravity, entry: Entry, cause: str) -> None:
        self.gaps.append(Gap(gravity, entry.index, entry.time, cause))


def _key(fields: Mapping[str, Any], names: tuple[str, ...]) -> _Key:
    return tuple(str(fields.get(name, "")) for name in names)


def _moment(time: str) -> datetime:
    return datetime.fromisoformat(time)


def _order(entry: int | None) -> int:
    return -1 if entry is None else entry
