"""PURE: consent records, what may become of them, and whether one allows what a job needs.

A record is one customer's consent for one purpose under one notice (records.md §2). Its terms are the notice's, so
other recipients, data or purposes need another notice and another consent. Only ``given`` and ``renewed`` permit
processing, and only from ``effective`` until ``valid_until``. A closed record never opens again: whoever consents
anew gets a new record. Times are Unix milliseconds. States follow the W3C Data Privacy Vocabulary.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from consortia_common.documents.base import utc
from consortia_common.documents.consent_notice import ConsentNotice
from consortia_crypto import canonical
from consortia_node.errors import ConsentError
from consortia_node.states import StateTable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLOSING = frozenset({"renewed", "withdrawn", "expired", "terminated", "invalidated"})

LIFE = StateTable(
    "consent",
    {
        "requested": frozenset({"given", "refused", "lapsed"}),
        "given": _CLOSING,
        "renewed": _CLOSING,
        "refused": frozenset(),
        "lapsed": frozenset(),
        "withdrawn": frozenset(),
        "expired": frozenset(),
        "terminated": frozenset(),
        "invalidated": frozenset(),
    },
)

STATES = tuple(LIFE.transitions)
PERMITTING = frozenset({"given", "renewed"})
OPENING = frozenset({"requested", "given", "refused"})
"""How a new record may begin."""
ENDING = frozenset({"withdrawn", "terminated", "invalidated", "refused"})
"""The states by which a person ends a consent; what the clock ends was known to end when it was given."""
RUNS_OUT = {"given": "expired", "renewed": "expired", "requested": "lapsed"}
"""What the clock makes of a record whose ``valid_until`` has come."""


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """One version of one record: what stood from ``effective_ms`` on, and what it rests on."""

    pseudonym: str
    id: str
    """16 hexadecimal digits; the same through all versions of a record."""
    purpose: str
    state: str
    effective_ms: int
    valid_until_ms: int | None
    notice: str
    """id@version of the notice, which holds the terms."""
    begun_ms: int
    """Since when this record, in its first version, has been in effect."""
    recorded_ms: int
    """When this node learnt of it."""
    evidence: str = ""
    """SHA-256 of what the institution keeps as evidence: a signed form, a recording, a line of its own system."""

    @property
    def key(self) -> tuple[str, str]:
        """Purpose and notice: a customer has one record in force for each."""
        return self.purpose, notice_id(self.notice)

    @property
    def order_ms(self) -> int:
        """What an imported row must not be older than; an invalidation reaches back, and is as new as its entry."""
        return self.recorded_ms if self.state == "invalidated" else self.effective_ms

    def document(self) -> dict[str, str | int | None]:
        """The record as plain values; names the customer by pseudonym only."""
        return {
            "v": 1,
            "subject": self.pseudonym,
            "record": self.id,
            "purpose": self.purpose,
            "state": self.state,
            "effective_ms": self.effective_ms,
            "valid_until_ms": self.valid_until_ms,
            "notice": self.notice,
            "begun_ms": self.begun_ms,
            "recorded_ms": self.recorded_ms,
            "evidence": self.evidence,
        }

    def canonical(self) -> bytes:
        """What is committed to: ``canonical.encode(document())``, without the cost of its checks.

        No field needs escaping: all are numbers, hexadecimal digits, or names that the edge has checked.
        """
        until = "null" if self.valid_until_ms is None else self.valid_until_ms
        return (
            f'{{"begun_ms":{self.begun_ms},"effective_ms":{self.effective_ms},"evidence":"{self.evidence}",'
            f'"notice":"{self.notice}","purpose":"{self.purpose}","record":"{self.id}",'
            f'"recorded_ms":{self.recorded_ms},"state":"{self.state}","subject":"{self.pseudonym}",'
            f'"v":1,"valid_until_ms":{until}}}'
        ).encode()


@dataclass(frozen=True)
class Change:
    """What is asked: ``state`` from ``at_ms`` on; None keeps the notice or the end of the record in force."""

    state: str
    at_ms: int
    notice: str | None = None
    valid_until_ms: int | None = None
    evidence: str = ""


@dataclass(frozen=True)
class Terms:
    """What consent under one notice allows."""

    purposes: frozenset[str]
    recipients: frozenset[str]
    scopes: frozenset[str]
    columns: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, notice: ConsentNotice) -> "Terms":
        """The terms of ``notice``."""
        return cls(
            frozenset(purpose.name for purpose in notice.purposes),
            frozenset(recipient.institution for recipient in notice.recipients),
            frozenset(notice.scopes),
            {part.dataset: frozenset(part.columns) for part in notice.data},
        )


@dataclass(frozen=True)
class Need:
    """What a job needs consent for: this purpose, these recipients, these columns of this dataset, these scopes."""

    purpose: str
    dataset: str
    columns: frozenset[str]
    recipients: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()


def covers(terms: Terms, need: Need) -> bool:
    """Whether consent under these terms allows what is needed."""
    return (
        need.purpose in terms.purposes
        and need.recipients <= terms.recipients
        and need.scopes <= terms.scopes
        and need.columns <= terms.columns.get(need.dataset, frozenset())
    )


def stands(record: ConsentRecord, now_ms: int) -> bool:
    """Whether ``record`` permits processing at that time, within its terms."""
    return (
        record.state in PERMITTING
        and record.effective_ms <= now_ms
        and (record.valid_until_ms is None or now_ms < record.valid_until_ms)
    )


def begin(subject: str, record_id: str, purpose: str, change: Change, now_ms: int) -> ConsentRecord:
    """A new record of the subject with that pseudonym. Raises ConsentError for a state that none begins in."""
    if change.state not in OPENING:
        raise refuse(f"there is no consent on record for {purpose} that could become {change.state}")
    if not change.notice:
        raise refuse("a new consent must name the notice that the customer was shown")
    return ConsentRecord(
        pseudonym=subject,
        id=record_id,
        purpose=purpose,
        state=change.state,
        effective_ms=change.at_ms,
        valid_until_ms=change.valid_until_ms,
        notice=change.notice,
        begun_ms=change.at_ms,
        recorded_ms=now_ms,
        evidence=change.evidence,
    )


def change_of(record: ConsentRecord, change: Change, record_id: str, now_ms: int) -> ConsentRecord:
    """The version that follows ``record``; a new record, ``record_id``, if that one is closed or its terms change.

    Dated no earlier than what it follows, so that an older table imported later can't undo it; only ``invalidated``
    reaches back, at most to the record's beginning. Raises StateError for a step that consent can't take,
    ConsentError for a renewal on other terms.
    """
    other_terms = change.notice not in (None, record.notice)
    if change.state in OPENING and (record.state in LIFE.final or (other_terms and change.state != "requested")):
        at_ms = max(change.at_ms, record.order_ms)
        begun = replace(change, at_ms=at_ms, notice=change.notice or record.notice)
        return begin(record.pseudonym, record_id, record.purpose, begun, now_ms)
    LIFE.advance(record.state, change.state)
    if other_terms:
        raise refuse("other terms need new consent; a record in force keeps its notice")
    earliest = record.begun_ms if change.state == "invalidated" else record.effective_ms
    return replace(
        record,
        state=change.state,
        effective_ms=max(change.at_ms, earliest),
        valid_until_ms=record.valid_until_ms if change.valid_until_ms is None else change.valid_until_ms,
        recorded_ms=now_ms,
        evidence=change.evidence,
    )


def milliseconds(moment: datetime) -> int:
    """Unix milliseconds of an aware ``moment``, rounded down."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def moment(unix_ms: int) -> str:
    """Unix milliseconds as documents and logs write them."""
    return utc(datetime.fromtimestamp(unix_ms / 1000, UTC))


def notice_id(reference: str) -> str:
    """The id in a notice's id@version."""
    return reference.partition("@")[0]


def pseudonym(key: bytes) -> str:
    """How logs name the subject whose key is ``key``: HMAC-SHA256(K_subject, "v1") in hexadecimal."""
    return hmac.digest(key, b"v1", "sha256").hex()


def document_of(data: bytes) -> dict[str, object]:
    """The plain values of a record's canonical bytes. Raises EncodingError."""
    value: dict[str, object] = canonical.decode(data)
    return value


def refuse(why: str) -> ConsentError:
    """The error for a change that the records do not allow."""
    return ConsentError(
        f"the consent was not changed: {why}",
        blame="whoever asked for the change",
        remedy="look at the customer's records with `consortia consent show`, then ask for a change that fits",
    )
