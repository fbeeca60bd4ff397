"""Was every access allowed? Replays a verified log against the agreements and consents that it records itself.

For each access there must stand earlier in the same log: the activation of the agreement that it cites, whose
attached document names the purpose, the institution's dataset, every column, the job's kind and a period that the
access lies in; the gate's acceptance of the job under that agreement; and, for a cohort, the grant to read, and
(where consent is the lawful basis) at least as many valid consents for the purpose as rows were used.

The number of consents is an upper bound: a consent that ran out by its date, with no entry, still counts.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from consortia_common import audit_confirmations
from consortia_common.documents.agreement import Agreement
from consortia_common.documents.confirmation import CONFIRMED
from consortia_common.errors import DocumentError
from consortia_crypto.audit.entry import Entry
from consortia_crypto.audit.verify import Finding, Verdict

MAX_LISTED = 100
"""Findings beyond this many are counted, not kept."""
_CONSENT_CHANGE = {"given": 1, "withdrawn": -1, "expired": -1, "terminated": -1, "invalidated": -1}
_PERMITTING = ("given", "renewed")


@dataclass(frozen=True)
class _Decision:
    accepted: bool
    kind: str
    agreement: str
    purpose: str


class Coverage:
    """Feed it every entry of one institution's log, in order; ``document`` finds an attached document by hash."""

    def __init__(self, institution: str, document: Callable[[str], bytes | None]) -> None:
        self.covered = 0
        self.uncovered = 0
        self.rows_used = 0
        self.rows_left_out = 0
        self.confirmed = 0
        self.findings: list[Finding] = []
        self._institution = institution
        self._document = document
        self._active: dict[str, Agreement | None] = {}
        self._decisions: dict[str, _Decision] = {}
        self._grants: set[tuple[str, str]] = set()
        self._consents: Counter[str] = Counter()

    def see(self, entry: Entry) -> None:
        """Take the next entry into account; what is wrong with it is added to ``findings``."""
        if b'"payload_commit"' in entry.raw:
            self._check_attached(entry)
        handler = _HANDLERS.get(entry.type)
        if handler is not None:
            handler(self, entry)

    def _check_attached(self, entry: Entry) -> None:
        """The document behind a commitment need not be here; if it is, it must be that document."""
        commitment = entry.body.get("payload_commit")
        data = self._document(commitment) if commitment else None
        if data is not None and hashlib.sha256(data).hexdigest() != commitment:
            self._find(entry, Verdict.TAMPERED, "the attached document is not the one that was written")

    def _confirmed(self, entry: Entry) -> None:
        """An officer's signed word on a member's fingerprint; without an officer it is the log's owner's own."""
        if "officer" not in entry.body["detail"]:
            return
        data = self._document(entry.body.get("payload_commit", ""))
        if data is None:
            self._find(entry, Verdict.UNVERIFIABLE, "what the officer signed is not attached")
        elif why := audit_confirmations.fault(entry.body, data):
            self._find(entry, Verdict.UNCOVERED, why)
        else:
            self.confirmed += 1

    def _activated(self, entry: Entry) -> None:
        reference = entry.body["agreement"]
        self._active[reference] = None
        data = self._document(reference.partition("#")[2])
        if data is None:
            self._find(entry, Verdict.UNVERIFIABLE, "the document of the agreement is not attached")
        elif hashlib.sha256(data).hexdigest() != reference.partition("#")[2]:
            self._find(entry, Verdict.TAMPERED, "the attached document is not the agreement that was activated")
        else:
            self._active[reference] = self._parse(entry, data)

    def _parse(self, entry: Entry, data: bytes) -> Agreement | None:
        try:
            agreement = Agreement.from_canonical(data, "the attached agreement")
        except DocumentError as error:
            self._find(entry, Verdict.UNVERIFIABLE, error.what)
            return None
        if agreement.reference != entry.body["agreement"]:
            self._find(entry, Verdict.UNCOVERED, "the attached agreement has another name or version")
            return None
        return agreement

    def _ended(self, entry: Entry) -> None:
        self._active.pop(entry.body["agreement"], None)

    def _imported(self, entry: Entry) -> None:
        counts = entry.body["detail"]
        self._consents[entry.body["purpose"]] = sum(counts.get(state, 0) for state in _PERMITTING)

    def _changed(self, entry: Entry) -> None:
        self._consents[entry.body["purpose"]] += _CONSENT_CHANGE.get(entry.body["decision"], 0)

    def _erased(self, entry: Entry) -> None:
        self._consents.subtract(entry.body["detail"].get("purposes", ()))

    def _decided(self, entry: Entry) -> None:
        body = entry.body
        self._decisions[body["job"]] = _Decision(
            body["decision"] == "accept",
            body["detail"]["kind"],
            body.get("agreement", ""),
            body.get("purpose", ""),
        )

    def _waiting(self, entry: Entry) -> None:
        """What the gate accepted stands only once people have approved it."""
        self._set_accepted(entry.body["job"], accepted=False)

    def _approved(self, entry: Entry) -> None:
        self._set_accepted(entry.body["job"], accepted=True)

    def _set_accepted(self, job: str, *, accepted: bool) -> None:
        if job in self._decisions:
            self._decisions[job] = replace(self._decisions[job], accepted=accepted)

    def _granted(self, entry: Entry) -> None:
        if self._judge(entry, self._breach(entry)):
            self._grants.add((entry.body["job"], entry.body["dataset"]))

    def _cohort(self, entry: Entry) -> None:
        self.rows_used += entry.body["rows_used"]
        self.rows_left_out += entry.body["rows_left_out"]
        self._judge(entry, self._breach(entry) or self._cohort_breach(entry.body))

    def _judge(self, entry: Entry, breach: str) -> bool:
        """Count one access; False if it is not allowed."""
        if breach:
            self.uncovered += 1
            self._find(entry, Verdict.UNCOVERED, breach)
        elif self._active[entry.body["agreement"]] is None:
            self._find(entry, Verdict.UNVERIFIABLE, "the agreement that it cites can't be read")
        else:
            self.covered += 1
        return not breach

    def _breach(self, entry: Entry) -> str:
        """Why the access is not allowed, in words; empty if it is, or if its agreement can't be read."""
        body = entry.body
        if body["agreement"] not in self._active:
            return "the agreement that it cites was not active"
        decision = self._decisions.get(body["job"])
        if decision is None or not decision.accepted:
            return "the gate had not accepted the job"
        if decision.agreement != body["agreement"] or decision.purpose != body["purpose"]:
            return "the gate had accepted the job under another agreement or for another purpose"
        agreement = self._active[body["agreement"]]
        return _terms_breach(agreement, body, decision.kind, self._institution) if agreement else ""

    def _cohort_breach(self, body: Mapping[str, Any]) -> str:
        if (body["job"], body["dataset"]) not in self._grants:
            return "no allowed access to the dataset had been logged before its rows were used"
        agreement = self._active[body["agreement"]]
        consents = self._consents[body["purpose"]]
        if agreement is not None and agreement.lawful_basis == "consent" and body["rows_used"] > consents:
            return f"{body['rows_used']} rows were used, but only {consents} consents for the purpose were valid"
        return ""

    def _find(self, entry: Entry, verdict: Verdict, cause: str) -> None:
        if len(self.findings) < MAX_LISTED or not any(item.verdict == verdict for item in self.findings):
            self.findings.append(Finding(verdict, entry.index, cause, entry.time))


def _terms_breach(agreement: Agreement, body: Mapping[str, Any], kind: str, institution: str) -> str:
    """Which term of the agreement the access breaks, in words; empty if none."""
    mine = [item for item in agreement.datasets if item.name == body["dataset"] and institution in item.owners]
    columns = {column for item in mine for column in item.columns}
    strange = [column for column in body.get("columns", ()) if column not in columns]
    if body["purpose"] not in agreement.purposes:
        return f"purposes: the agreement does not name {body['purpose']}"
    if not mine:
        return f"datasets: the agreement does not name {body['dataset']} of {institution}"
    if strange:
        return f"datasets.columns: the agreement does not name {', '.join(strange[:5])}"
    if kind not in {item.kind for item in agreement.job_kinds}:
        return f"job_kinds: the agreement does not name {kind}"
    return _period_breach(agreement, body["ts"])


def _period_breach(agreement: Agreement, time: str) -> str:
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return "valid_from: the access has no possible time"
    if moment < agreement.valid_from:
        return "valid_from: the agreement was not yet in force"
    return "" if moment < agreement.valid_until else "valid_until: the agreement was no longer in force"


_HANDLERS: Mapping[str, Callable[[Coverage, Entry], None]] = {
    CONFIRMED: Coverage._confirmed,
    "agreement.activated": Coverage._activated,
    "agreement.resumed": Coverage._activated,
    "agreement.suspended": Coverage._ended,
    "agreement.superseded": Coverage._ended,
    "agreement.terminated": Coverage._ended,
    "consent.imported": Coverage._imported,
    "consent.ended": Coverage._imported,
    "consent.changed": Coverage._changed,
    "erasure.done": Coverage._erased,
    "job.decided": Coverage._decided,
    "job.waiting": Coverage._waiting,
    "job.approved": Coverage._approved,
    "access.granted": Coverage._granted,
    "access.cohort": Coverage._cohort,
}
