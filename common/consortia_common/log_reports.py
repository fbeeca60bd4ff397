"""PURE: what a log alone says for the record of processing (GDPR 30) and for an incident draft (PIPL 57).

Feed either collector every entry of one log in order; what it comes to is plain values. Documents are those that
lie beside the log under their hash; what is not there is left out, never guessed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from consortia_common.documents.agreement import Agreement
from consortia_common.errors import DocumentError
from consortia_crypto.audit.entry import Entry

INCIDENTS = (
    "agreement.refused",
    "ciphertext.refused",
    "gate.disagreed",
    "job.failed",
    "message.refused",
    "peer.refused",
    "subjects.lost",
)
"""Events that tell of something that should not have happened, or was stopped."""
SAMPLES = 5
_STATES = {
    "agreement.activated": "active",
    "agreement.resumed": "active",
    "agreement.suspended": "suspended",
    "agreement.superseded": "superseded",
    "agreement.terminated": "terminated",
}


@dataclass
class _Use:
    """What was done under one agreement for one purpose."""

    jobs: set[str] = field(default_factory=set)
    data: dict[str, set[str]] = field(default_factory=dict)
    bases: set[str] = field(default_factory=set)
    rows: dict[tuple[str, str], int] = field(default_factory=dict)
    """By job and dataset: a cohort that is formed again after a restart counts once."""
    first: str = ""
    last: str = ""

    def see(self, entry: Entry) -> None:
        """Take an access into account."""
        body = entry.body
        self.jobs.add(body["job"])
        self.data.setdefault(body["dataset"], set()).update(body.get("columns", ()))
        self.bases.add(body.get("detail", {}).get("lawful_basis", "consent"))
        if "rows_used" in body:
            self.rows[body["job"], body["dataset"]] = body["rows_used"]
        self.first, self.last = self.first or entry.time, entry.time

    def document(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "jobs": sorted(self.jobs),
            "data": {name: sorted(columns) for name, columns in sorted(self.data.items())},
            "lawful_basis": sorted(self.bases),
            "rows_used": sum(self.rows.values()),
            "first": self.first,
            "last": self.last,
        }


class Processing:
    """The record of processing activities of the institution whose log this is."""

    def __init__(self, institution: str, document: Callable[[str], bytes | None]) -> None:
        self._institution = institution
        self._document = document
        self._states: dict[str, str] = {}
        self._uses: dict[tuple[str, str], _Use] = {}
        self._erased = 0
        self._entries = 0

    def see(self, entry: Entry) -> None:
        """Take the next entry into account."""
        self._entries += 1
        if entry.type in _STATES:
            self._states[entry.body["agreement"]] = _STATES[entry.type]
        elif entry.type in {"access.granted", "access.cohort"}:
            key = entry.body["agreement"], entry.body["purpose"]
            self._uses.setdefault(key, _Use()).see(entry)
        elif entry.type == "erasure.done":
            self._erased += 1

    def document(self) -> dict[str, Any]:
        """As plain values. Agreements under which nothing was read are listed too, with no use."""
        unused = {(reference, "") for reference in self._states} - {(name, "") for name, _ in self._uses}
        keys = sorted([*self._uses, *unused])
        return {
            "v": 1,
            "institution": self._institution,
            "log_entries": self._entries,
            "subjects_erased": self._erased,
            "activities": [self._activity(reference, purpose) for reference, purpose in keys],
        }

    def _activity(self, reference: str, purpose: str) -> dict[str, Any]:
        agreement = self._agreement(reference)
        use = self._uses.get((reference, purpose), _Use())
        return {
            "agreement": reference,
            "state": self._states.get(reference, ""),
            "purpose": purpose,
            **_terms(agreement, self._institution),
            **use.document(),
        }

    def _agreement(self, reference: str) -> Agreement | None:
        data = self._document(reference.partition("#")[2])
        try:
            return None if data is None else Agreement.from_canonical(data, "an attached agreement")
        except DocumentError:
            return None


def _terms(agreement: Agreement | None, institution: str) -> dict[str, Any]:
    """What the agreement itself says of the activity."""
    if agreement is None:
        return {"title": "", "contact": "", "parties": [], "recipients": [], "retention_days": None}
    own = agreement.party(institution)
    others = {party.institution for party in agreement.parties} | {one.institution for one in agreement.analysts}
    return {
        "title": agreement.title,
        "contact": own.contact if own else "",
        "parties": [
            {"institution": party.institution, "country": party.country, "contact": party.contact}
            for party in agreement.parties
        ],
        "recipients": sorted(others - {institution}),
        "retention_days": agreement.retention_days,
    }


class Incident:
    """What happened in a period that an incident report may be about, and which data were in use meanwhile."""

    def __init__(self, institution: str, since: datetime, until: datetime) -> None:
        self._institution = institution
        self._since = since
        self._until = until
        self._events: dict[str, list[Entry]] = {}
        self._use = _Use()

    def see(self, entry: Entry) -> None:
        """Take the next entry into account."""
        if not self._since <= datetime.fromisoformat(entry.time) <= self._until:
            return
        if entry.type in INCIDENTS:
            self._events.setdefault(entry.type, []).append(entry)
        elif entry.type in {"access.granted", "access.cohort"}:
            self._use.see(entry)

    def document(self) -> dict[str, Any]:
        """As plain values: the newest SAMPLES of each event with its reason."""
        return {
            "v": 1,
            "institution": self._institution,
            "since": self._since.isoformat(),
            "until": self._until.isoformat(),
            "events": [
                {
                    "type": name,
                    "count": len(found),
                    "first": found[0].time,
                    "last": found[-1].time,
                    "samples": [_sample(entry) for entry in found[-SAMPLES:]],
                }
                for name, found in sorted(self._events.items())
            ],
            "in_use": self._use.document(),
        }


def _sample(entry: Entry) -> dict[str, Any]:
    body = entry.body
    peer = body.get("detail", {}).get("peer", "")
    return {"entry": entry.index, "job": body.get("job", ""), "peer": peer, "reason": body.get("reason", "")}
