"""The catalogue of audit events: what can be written to a log, and with which typed fields.

An event that is not listed here, or that lacks a field or has a wrong one, can't be written; a reader that meets
one calls the log unverifiable, since a newer version may know it. Every event may carry any of the COMMON fields;
``detail`` holds the fields that are its own. Subjects appear as keyed pseudonyms only, never as customer numbers.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from consortia_crypto.errors import AuditError

HASH = re.compile(r"[0-9a-f]{64}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
AGREEMENT = re.compile(r"[a-z][a-z0-9_-]{0,62}@[1-9][0-9]{0,5}(#[0-9a-f]{64})?")
WORD = re.compile(r"[!-~]{1,200}")
TEXT = re.compile(r"[^\x00-\x1f\x7f]{1,4000}")

COMMON: Mapping[str, re.Pattern[str] | type] = {
    "type": WORD,
    "ts": TIME,
    "org": WORD,
    "retention_class": WORD,
    "actor": WORD,
    "subject": HASH,
    "purpose": WORD,
    "agreement": AGREEMENT,
    "job": WORD,
    "dataset": WORD,
    "columns": list,
    "rows_used": int,
    "rows_left_out": int,
    "decision": WORD,
    "reason": TEXT,
    "policy_hash": HASH,
    "consent_ref": HASH,
    "payload_commit": HASH,
    "detail": dict,
}
"""The fields that any event's body may have: text of a given shape, a list of words, or a whole number ≥ 0."""

ALWAYS = frozenset({"type", "ts", "org", "retention_class"})


@dataclass(frozen=True)
class EventType:
    """One kind of event. ``required`` names common and own fields that every such entry must have."""

    name: str
    summary: str
    retention: str
    detail: Mapping[str, type] = field(default_factory=dict)
    required: frozenset[str] = frozenset()


RETENTION: Mapping[str, str] = {
    "network": "connections and membership: at least 6 months",
    "handling": "handling of personal data, and its basis: at least 3 years",
}
"""Retention classes, with the shortest time that each is kept."""


def _event(name: str, summary: str, retention: str, required: str = "", /, **detail: type) -> tuple[str, EventType]:
    return name, EventType(name, summary, retention, detail, frozenset(required.split()))


_CONSENT_COUNTS: Mapping[str, type] = dict.fromkeys(
    ("requested", "given", "refused", "lapsed", "renewed", "withdrawn", "expired", "terminated", "invalidated"), int
)
_ACCESS = "job purpose agreement dataset"

EVENTS: Mapping[str, EventType] = dict(
    [
        _event("log.opened", "The log was opened for writing; bytes of a half-written last entry were cut off.",
               "network", "software cut_bytes", software=str, cut_bytes=int),
        _event("log.continued", "A new year's log begins where the one before ended, at this checkpoint.",
               "handling", "previous size root", previous=str, size=int, root=str),
        _event("log.alive",
               "The log's state was signed so many times (`beats`) since this was said last, the `longest` seconds "
               "apart.",
               "network", "beats longest", beats=int, longest=int),
        _event("log.rekeyed", "A new pair of keys signs the log's checkpoints from so many entries on.", "network",
               "since ed25519 mldsa44", since=int, ed25519=str, mldsa44=str),
        _event("witness.policy",
               "Whose cosignatures this log's checkpoints need before anything is released (attached).",
               "handling", "quorum payload_commit", quorum=str, witnesses=list),
        _event("witness.conflict",
               "Two checkpoints of a log can't both be true; nothing is released here until that is acknowledged.",
               "handling", "origin evidence reason", origin=str, evidence=str, finder=str, proven=bool),
        _event("witness.acknowledged", "The operator let releases go on after a contradiction.", "handling",
               "evidence reason", evidence=str),
        _event("witness.forgotten", "The operator let this witness forget what it saw of a log.", "handling",
               "origin reason", origin=str),
        _event("invitation.created", "Somebody was invited to enrol.", "network", "institution role name",
               invitation=str, institution=str, role=str, name=str, expires_at=str),
        _event("member.enrolled", "The coordinator admitted a member.", "network",
               "institution role name fingerprint",
               invitation=str, institution=str, role=str, name=str, fingerprint=str),
        _event("member.confirmed",
               "Somebody compared a member's fingerprint with its owner by another way than the network (`actor`). "
               "If an `officer` signed that, the statement is attached.",
               "network", "institution role name fingerprint actor",
               institution=str, role=str, name=str, fingerprint=str, officer=str),
        _event("member.revoked", "A member's keys and certificates count no more.", "network",
               "institution role name fingerprint",
               institution=str, role=str, name=str, fingerprint=str),
        _event("certificate.issued", "The coordinator renewed a member's certificate.", "network",
               "institution role name digest until",
               institution=str, role=str, name=str, digest=str, until=str),
        _event("certificate.renewed", "This node was given a new certificate.", "network", "until", until=str),
        _event("roots.changed",
               "Which root certificates are trusted here, by their digests; a root trusted before signed that.",
               "network", "sequence roots", sequence=int, roots=list),
        _event("issuer.changed", "Members' certificates are issued by another key from here on.", "network",
               "digest", digest=str),
        _event("node.enrolled", "This node joined a network.", "network", "",
               network=str, fingerprint=str, coordinator=str),
        _event("agreement.proposed", "An agreement was put forward.", "handling", "agreement",
               institution=str, fingerprint=str),
        _event("agreement.signed", "A party signed an agreement.", "handling", "agreement institution",
               institution=str, fingerprint=str),
        _event("agreement.activated", "Every party has signed; jobs may cite it. The document is attached.",
               "handling", "agreement", parties=list),
        _event("agreement.refused", "An agreement or a signature under it was refused.", "handling", "reason",
               institution=str),
        _event("agreement.suspended", "A party suspended an agreement; no job may cite it any more.", "handling",
               "agreement", institution=str),
        _event("agreement.resumed", "Nobody holds the agreement back any more; jobs may cite it again.", "handling",
               "agreement", institution=str),
        _event("agreement.change",
               "A party's node or officer asked to suspend, resume or terminate an agreement (`decision`). The "
               "statement is attached.", "handling", "agreement decision institution fingerprint payload_commit",
               institution=str, fingerprint=str),
        _event("agreement.superseded", "A newer version took the place of this one.", "handling", "agreement",
               successor=str),
        _event("agreement.terminated", "An agreement was ended.", "handling", "agreement", institution=str),
        _event("consent.notice", "A notice was registered that consents can cite. The document is attached.",
               "handling", "payload_commit notice", notice=str),
        _event("consent.imported",
               "A consent table was imported: for one purpose, the number of records in each state afterwards. "
               "`root`: over every transition of the import, so that each can be proved alone.",
               "handling", "purpose root", **_CONSENT_COUNTS, root=str, changed=int, source=str),
        _event("consent.ended",
               "Consents ended by the clock, given to expired, requested to lapsed: counts and root as above.",
               "handling", "purpose root", **_CONSENT_COUNTS, root=str, changed=int),
        _event("consent.changed",
               "One subject's consent for one purpose took a new state (`decision`); the record is off the log.",
               "handling", "subject purpose decision payload_commit", effective_at=str, notice=str, evidence=str),
        _event("withdrawal.reached",
               "What a withdrawn consent had been used for: jobs, models and recipients are attached. `stopped`: "
               "jobs that ended because the agreement says so; `statement`: what the recipients are told.",
               "handling", "subject purpose decision payload_commit statement",
               statement=str, jobs=int, models=int, recipients=list, running=list, stopped=list),
        _event("withdrawal.received",
               "Another institution told that a consent was withdrawn on which jobs with this one relied.",
               "handling", "institution statement", institution=str, statement=str, jobs=list),
        _event("withdrawal.acknowledged",
               "A recipient acknowledged that it was told of a withdrawn consent or model.",
               "handling", "institution statement", institution=str, statement=str),
        _event("withdrawal.relayed",
               "The coordinator passed on a statement about a withdrawn consent, or an acknowledgement.",
               "handling", "institution statement", institution=str, statement=str),
        _event("erasure.done",
               "A subject was erased: key, consents, payloads, customer number. `purposes`: where consent stood; "
               "`running`: jobs that drop their working copy at their next step. All jobs and models are attached.",
               "handling", "subject payload_commit jobs models payloads",
               purposes=list, running=list, jobs=int, models=int, payloads=int),
        _event("keys.rolled", "Every subject's key is under a new key-encryption key; the old one is destroyed.",
               "handling", "key subjects", key=str, subjects=int),
        _event("subjects.lost", "The keys of all subjects were lost; what was kept of them is removed.",
               "handling", "count", count=int),
        _event("plan.asked", "An analyst asked what a job would do, before submitting it. Nothing was read.",
               "handling", "plan fingerprint kind", plan=str, kind=str, name=str, fingerprint=str, parties=list),
        _event("plan.answered",
               "This node told an analyst what its gate would decide (`decision`), citing a clause.", "handling",
               "plan decision kind digest", plan=str, kind=str, clause=str, digest=str),
        _event("catalogue.asked", "An analyst asked what the parties of an agreement offer under it.", "handling",
               "agreement fingerprint", fingerprint=str, parties=list),
        _event("catalogue.told", "This node told an analyst of an agreement what it offers under it.", "handling",
               "agreement digest", digest=str),
        _event("job.submitted", "A job was submitted, or offered to this node.", "handling", "job kind",
               kind=str, name=str, institution=str, fingerprint=str, parties=list),
        _event("job.decided", "The gate accepted or refused a job (`decision`), citing a clause.", "handling",
               "job decision kind", kind=str, clause=str, institution=str),
        _event("job.waiting", "The gate accepted a job that officers must approve before it runs here.", "handling",
               "job agreement officers until", officers=int, until=str),
        _event("job.approval",
               "An officer approved or refused a job that waits for people (`decision`). The statement is "
               "attached.",
               "handling", "job decision institution fingerprint payload_commit",
               institution=str, fingerprint=str),
        _event("job.approved", "As many officers as the agreement asks for approved a job.", "handling", "job",
               officers=list),
        _event("job.disapproved", "An officer refused a job, or too few approved it in time; it does not run here.",
               "handling", "job reason", fingerprint=str),
        _event("gate.disagreed",
               "The node's two evaluators of an agreement judged a job differently, or one of them could not judge "
               "it; the job was refused. Somebody must look into it.", "handling", "job agreement reason",
               rules=str, cedar=str),
        _event("budget.spent",
               "A job was accepted that spends differential-privacy budget, whether or not it ends.", "handling",
               "job agreement epsilon_micro", epsilon_micro=int),
        _event("access.granted", "Columns of a dataset are about to be read for a job.", "handling",
               _ACCESS + " columns", lawful_basis=str),
        _event("access.cohort", "Rows with consent were selected, and are about to be computed on.", "handling",
               _ACCESS + " rows_used rows_left_out consent_ref", lawful_basis=str),
        _event("epoch.opened", "Fresh keys were agreed among the institutions of a job.", "handling", "job",
               roster=list, transcript=str, epoch=int),
        _event("envelope.sealed", "Something was sealed for one recipient.", "handling", "job step peer",
               step=str, peer=str, digest=str, sequence=int, bytes=int),
        _event("envelope.opened", "Something sealed for this institution was opened.", "handling", "job step peer",
               step=str, peer=str, digest=str, sequence=int, bytes=int),
        _event("envelope.relayed", "The coordinator took an envelope to carry it to another party.", "handling",
               "job step sender recipient digest",
               step=str, sender=str, recipient=str, digest=str, bytes=int),
        _event("update.sealed", "This institution's part of a sum was sealed.", "handling", "job round",
               step=str, round=int, digest=str, bytes=int, length=int),
        _event("sum.added", "The coordinator added sealed parts that it can't read.", "handling", "job round",
               step=str, round=int, institutions=list, parts=list, digest=str, bytes=int),
        _event("sum.agreed", "This institution signed whose summands a sum is over.", "handling",
               "job round step institutions digest",
               step=str, round=int, attempt=int, institutions=list, digest=str),
        _event("sum.revealed", "This institution revealed what opens a sum, over the set it signed.", "handling",
               "job round step institutions digest",
               step=str, round=int, attempt=int, institutions=list, digest=str),
        _event("sum.dropped", "A party's summand is missing from a sum.", "handling", "job round step institution",
               step=str, round=int, institution=str),
        _event("sum.opened", "An institution opened the sum of all parts.", "handling", "job round",
               step=str, round=int, institutions=list, digest=str, length=int),
        _event("scores.returned", "Encrypted scores were returned or opened.", "handling", "job",
               peer=str, rows=int, model=str, digest=str, bytes=int),
        _event("result.sealed", "A result was sealed for its recipient.", "handling", "job",
               recipient=str, institution=str, digest=str, bytes=int),
        _event("result.fetched", "The analyst fetched a sealed result.", "handling", "job digest",
               institution=str, fingerprint=str, digest=str),
        _event("job.receipt", "A signed receipt was given for a job.", "handling", "job",
               digest=str, institution=str),
        _event("job.finished", "A job came to its end.", "handling", "job", kind=str, rounds=int, seconds=int),
        _event("job.failed", "A job was given up, for the reason given.", "handling", "job reason",
               step=str, institution=str),
        _event("job.cancelled", "The analyst who submitted a job ended it; it then fails.", "handling", "job",
               institution=str, fingerprint=str),
        _event("model.added", "A model was stored at its owner.", "handling", "model digest",
               model=str, digest=str, origin=str),
        _event("model.exported", "A model was handed to the institution's own people.", "handling", "model digest",
               model=str, digest=str),
        _event("model.withdrawn",
               "An institution withdrew a model: nobody is to use it any more. What it tells others is attached. "
               "Without `digest` it is whatever model the job made.",
               "handling", "institution reason statement",
               institution=str, digest=str, model=str, recipients=list, statement=str),
        _event("ciphertext.refused", "A ciphertext, key or context was refused.", "handling", "reason",
               peer=str, step=str),
        _event("message.refused", "A message or request was refused.", "network", "reason", peer=str, step=str),
        _event("peer.connected", "A member connected.", "network", "peer", peer=str, role=str, software=str),
        _event("peer.disconnected", "A member's connection ended.", "network", "peer",
               peer=str, role=str, orderly=bool),
        _event("peer.refused", "A connection or call was refused.", "network", "reason",
               peer=str, role=str),
    ]
)  # fmt: skip
"""Every event that can be written, by name."""


def check(body: Mapping[str, Any]) -> EventType:
    """The type of the event that ``body`` records. Raises AuditError if the catalogue does not allow it."""
    name = body.get("type")
    event = EVENTS.get(name) if isinstance(name, str) else None
    if event is None:
        _refuse(f"there is no event {str(name)[:60]!r} in the catalogue")
    detail = body.get("detail", {})
    for key, value in body.items():
        if key not in COMMON or not _fits(value, COMMON[key]):
            _refuse(f"{event.name} can't have this {key[:60]!r}")
    for key, value in detail.items():
        if key not in event.detail or not _fits(value, event.detail[key]):
            _refuse(f"{event.name} can't have this detail {key[:60]!r}")
    missing = [key for key in ALWAYS | event.required if key not in body and key not in detail]
    if missing:
        _refuse(f"{event.name} lacks {', '.join(sorted(missing))}")
    return event


def _fits(value: Any, shape: re.Pattern[str] | type) -> bool:
    """Whether ``value`` is text of that pattern, or of exactly that type and in its range."""
    if isinstance(shape, re.Pattern):
        return isinstance(value, str) and shape.fullmatch(value) is not None
    return type(value) is shape and _IN_RANGE[shape](value)


def _are_words(items: list[Any]) -> bool:
    return all(isinstance(item, str) and WORD.fullmatch(item) for item in items)


_IN_RANGE: Mapping[type, Callable[[Any], bool]] = {
    bool: lambda _: True,
    dict: lambda _: True,
    int: lambda number: number >= 0,
    list: _are_words,
    str: lambda text: TEXT.fullmatch(text) is not None,
}


def _refuse(why: str) -> NoReturn:
    raise AuditError(
        f"a log entry was refused: {why}",
        blame="the program that wrote it",
        remedy="write an event of the catalogue with its fields (`consortia audit events`), or read the log with "
        "a version that knows this one",
    )
