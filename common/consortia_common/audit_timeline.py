"""PURE: everything that logs tell of one job or one customer, in order of time.

A customer appears under a pseudonym that each institution makes for itself, so a timeline of a customer is one
institution's. A log does not say whose rows a cohort held, only a commitment to them; so a cohort for a purpose is
listed as one that *may* have used the customer's row while consent stood, and as one that did not once it was
withdrawn.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from consortia_crypto.audit.entry import Entry

_SUBJECT = re.compile(r"[0-9a-f]{64}")
_ERASED = "erasure.done"
_PERMITTING = ("given", "renewed")
_SHOWN = ("decision", "reason", "agreement", "purpose", "dataset", "columns", "rows_used", "rows_left_out")


@dataclass(frozen=True)
class Moment:
    """One line of a timeline: an entry, and what it says in words."""

    time: str
    institution: str
    entry: int
    event: str
    text: str
    bearing: str = ""
    """What an entry that does not name the customer means for them, and whether the customer was erased since."""

    def document(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return dict(vars(self))


class Timeline:
    """The entries about ``whom``: a customer's pseudonym (64 hexadecimal digits) or a job's id."""

    def __init__(self, whom: str) -> None:
        self._whom = whom
        self._of_subject = _SUBJECT.fullmatch(whom) is not None
        self._moments: list[Moment] = []
        self._cohorts: dict[str, list[Entry]] = {}
        self._changes: dict[tuple[str, str], list[Entry]] = {}
        self._erased: dict[str, Entry] = {}

    def see(self, institution: str, entry: Entry) -> None:
        """Take the next entry of an institution's log into account."""
        body = entry.body
        if body.get("subject" if self._of_subject else "job") == self._whom:
            self._moments.append(_moment(institution, entry))
            for purpose in _decided(entry):
                self._changes.setdefault((institution, purpose), []).append(entry)
            if entry.type == _ERASED:
                self._erased[institution] = entry
        elif self._of_subject and entry.type == "access.cohort":
            self._cohorts.setdefault(institution, []).append(entry)

    def moments(self) -> list[Moment]:
        """The lines, by time."""
        lines = [self._with_status(item) for item in (*self._moments, *self._touched())]
        return sorted(lines, key=lambda item: (item.time, item.institution, item.entry))

    def _with_status(self, moment: Moment) -> Moment:
        """An entry of before the customer's erasure verifies as ever, but leads to nobody any more."""
        erased = self._erased.get(moment.institution)
        if erased is None or moment.event == _ERASED or moment.time > erased.time:
            return moment
        told = [*filter(None, [moment.bearing]), f"erased by entry {erased.index}"]
        return replace(moment, bearing="; ".join(told))

    def _touched(self) -> Iterator[Moment]:
        """The cohorts for the purposes of which the customer's consent is on the log."""
        for (institution, purpose), changes in self._changes.items():
            for cohort in self._cohorts.get(institution, []):
                if cohort.body["purpose"] == purpose:
                    earlier = [change for change in changes if change.index < cohort.index]
                    yield _moment(institution, cohort, _bearing(earlier))


def _bearing(changes: list[Entry]) -> str:
    if not changes:
        return "may have used this customer's row, if consent had been imported"
    last = changes[-1]
    if last.type == _ERASED:
        return f"did not use this customer's row: erased by entry {last.index}"
    state = last.body["decision"]
    if state in _PERMITTING:
        return f"may have used this customer's row: consent was {state} in entry {last.index}"
    return f"did not use this customer's row: consent was {state} in entry {last.index}"


def _decided(entry: Entry) -> list[str]:
    """The purposes for which the entry changes what the customer's rows may be used for."""
    if entry.type == "consent.changed":
        return [entry.body["purpose"]]
    return list(entry.body["detail"].get("purposes", [])) if entry.type == _ERASED else []


def _moment(institution: str, entry: Entry, bearing: str = "") -> Moment:
    return Moment(entry.time, institution, entry.index, entry.type, _text(entry.body), bearing)


def _text(body: Mapping[str, Any]) -> str:
    """The fields that a person wants to see, as ``name value`` pairs."""
    fields = {name: body[name] for name in _SHOWN if name in body} | body.get("detail", {})
    return ", ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in fields.items())


def _value(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(_value(item) for item in value)
    text = str(value)
    return f"{text[:16]}…" if _SUBJECT.fullmatch(text) else text.partition("#")[0]
