"""PURE: what a row of the institution's own consent system means for the record that is in force.

The institution's system is the source, but not above the state table: a row is taken over if it is newer, or as new
and stricter, and if the record may become that. So the same table can be imported again at any time, and an old
one never brings back what was withdrawn since.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from consortia_node.consent import LIFE, PERMITTING

NEW, UNCHANGED, OLDER = "new", "unchanged", "older"
MAX_MISTAKES = 10
"""So many are told; the others are counted."""
_FINAL = LIFE.final


class ConsentRow(NamedTuple):
    """One record as the institution's system has it; ``subject`` is the customer number."""

    subject: str
    purpose: str
    state: str
    effective_ms: int
    valid_until_ms: int | None
    notice: str
    evidence: str = ""


class Standing(NamedTuple):
    """What is in force for a customer, purpose and notice."""

    state: str
    effective_ms: int
    valid_until_ms: int | None
    notice: str
    order_ms: int
    begun_ms: int


@dataclass(frozen=True)
class Verdict:
    """What becomes of a row: nothing (``taken`` is False), a new record, a next version, or a mistake."""

    taken: bool = False
    anew: bool = False
    mistake: str = ""
    outcome: str = ""


_UNCHANGED = Verdict(outcome=UNCHANGED)
_OLDER = Verdict(outcome=OLDER)
_NEW = Verdict(taken=True, anew=True, outcome=NEW)


def judge(old: Standing | None, row: ConsentRow) -> Verdict:
    """What becomes of ``row`` where ``old`` stands."""
    if old is None:
        return _NEW
    if (row.state, row.effective_ms, row.valid_until_ms, row.notice) == old[:4]:
        return _UNCHANGED
    if not _is_newer(old, row):
        return _OLDER
    if row.state == "requested" and old.state in PERMITTING:
        return _UNCHANGED  # a question does not end the consent that stands
    return _taken(old, row)


def _taken(old: Standing, row: ConsentRow) -> Verdict:
    terms_stay = row.notice == old.notice
    if old.state in _FINAL or not terms_stay or row.state in ("given", "refused"):
        anew = old.state in _FINAL or not terms_stay or row.state not in LIFE.transitions[old.state]
        return Verdict(taken=True, anew=anew)
    if row.state not in LIFE.transitions[old.state]:
        return Verdict(mistake=f"has a consent that is {old.state} become {row.state}, which can't be")
    return Verdict(taken=True)


def _is_newer(old: Standing, row: ConsentRow) -> bool:
    if row.state == "invalidated" and old.state not in _FINAL:
        return row.effective_ms >= old.begun_ms
    stricter = row.effective_ms == old.order_ms and row.state not in PERMITTING
    return stricter or row.effective_ms > old.order_ms


@dataclass
class Findings:
    """What an import would do or did: how many rows by transition ("given → withdrawn"), and what is wrong."""

    rows: int = 0
    states: Counter[str] = field(default_factory=Counter)
    transitions: Counter[str] = field(default_factory=Counter)
    mistakes: list[str] = field(default_factory=list)
    mistaken: int = 0

    def see(self, row: ConsentRow, old: Standing | None, verdict: Verdict) -> None:
        """Count one row."""
        self.transitions[
            verdict.outcome if not verdict.taken else f"{old.state if old else NEW} → {row.state}"
        ] += 1

    def wrong(self, number: int, what: str) -> None:
        """Count a mistake in row ``number``, counted from 1."""
        self.mistaken += 1
        if len(self.mistakes) < MAX_MISTAKES:
            self.mistakes.append(f"row {number} {what}")

    @property
    def changed(self) -> int:
        """How many rows come into force."""
        return sum(count for name, count in self.transitions.items() if name not in (UNCHANGED, OLDER))

    def document(self) -> Mapping[str, object]:
        """As plain values."""
        return {
            "rows": self.rows,
            "states": dict(sorted(self.states.items())),
            "transitions": dict(sorted(self.transitions.items())),
            "changed": self.changed,
            "mistaken_rows": self.mistaken,
            "mistakes": list(self.mistakes),
        }
