"""PURE: consent records, what may become of them, and the proof of which were relied on.

Only ``given`` and ``renewed`` permit processing, and only from ``effective`` until ``valid_until``. A closed
record never opens again: whoever consents anew gets a new record, which takes the old one's place in force.
Times are Unix milliseconds. States follow the W3C Data Privacy Vocabulary (records.md §2).
"""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from consortia_crypto import canonical
from consortia_crypto.audit import tree
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

STATES = frozenset(LIFE.transitions)
PERMITTING = frozenset({"given", "renewed"})
OPENING = frozenset({"requested", "given", "refused"})
"""How a new record may begin."""


@dataclass(frozen=True)
class ConsentRecord:
    """One subject's consent for one purpose, under the notice that the subject was shown."""

    pseudonym: str
    purpose: str
    state: str
    effective_ms: int
    valid_until_ms: int | None
    notice: str

    def document(self) -> dict[str, str | int | None]:
        """The record as plain values; names the subject by pseudonym only."""
        return {
            "v": 1,
            "subject": self.pseudonym,
            "purpose": self.purpose,
            "state": self.state,
            "effective_ms": self.effective_ms,
            "valid_until_ms": self.valid_until_ms,
            "notice": self.notice,
        }

    def canonical(self) -> bytes:
        """What is committed to."""
        return canonical.encode(self.document())


@dataclass(frozen=True)
class Change:
    """What is asked: ``state`` from ``at_ms`` on; None keeps the notice or the end of the record in force."""

    state: str
    at_ms: int
    notice: str | None = None
    valid_until_ms: int | None = None


def milliseconds(moment: datetime) -> int:
    """Unix milliseconds of an aware ``moment``, rounded down."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def permits(record: ConsentRecord, purpose: str, now_ms: int) -> bool:
    """Whether ``record`` allows processing for ``purpose`` at that time."""
    return (
        record.purpose == purpose
        and record.state in PERMITTING
        and record.effective_ms <= now_ms
        and (record.valid_until_ms is None or now_ms < record.valid_until_ms)
    )


def begin(subject: str, purpose: str, change: Change) -> ConsentRecord:
    """A new record of the subject with that pseudonym. Raises ConsentError for a state that none begins in."""
    if change.state not in OPENING:
        raise _refuse(f"there is no consent on record for {purpose} that could become {change.state}")
    if not change.notice:
        raise _refuse("a new consent must name the notice that the customer was shown")
    return ConsentRecord(subject, purpose, change.state, change.at_ms, change.valid_until_ms, change.notice)


def change_of(record: ConsentRecord, change: Change) -> ConsentRecord:
    """The record that follows ``record``; a new one if ``record`` is closed.

    Never dated before the record that it follows, so that an older table imported later can't undo it.
    Raises StateError for a step that consent can't take, ConsentError for a renewal on other terms.
    """
    change = replace(change, at_ms=max(change.at_ms, record.effective_ms))
    if record.state in LIFE.final and change.state in OPENING:
        return begin(record.pseudonym, record.purpose, replace(change, notice=change.notice or record.notice))
    LIFE.advance(record.state, change.state)
    if change.notice not in (None, record.notice):
        raise _refuse("other terms need new consent; a record in force keeps its notice")
    until = record.valid_until_ms if change.valid_until_ms is None else change.valid_until_ms
    return replace(record, state=change.state, effective_ms=change.at_ms, valid_until_ms=until)


def takes_over(new: ConsentRecord, old: ConsentRecord | None) -> bool:
    """Whether an imported record comes into force: it took effect later, or at the same moment and is stricter."""
    if old is None:
        return True
    stricter = new.effective_ms == old.effective_ms and new.state not in PERMITTING
    return new != old and (stricter or new.effective_ms > old.effective_ms)


def pseudonym(key: bytes) -> str:
    """How logs name the subject whose key is ``key``: HMAC-SHA256(K_subject, "v1") in hexadecimal."""
    return hmac.digest(key, b"v1", "sha256").hex()


def consent_root(pairs: Iterable[tuple[str, bytes]]) -> str:
    """Merkle root (hexadecimal) over the (pseudonym, record's commitment) pairs that a cohort relied on.

    The order of ``pairs`` does not matter. One leaf can later be opened without showing any other.
    """
    leaves = sorted(bytes.fromhex(name) + commitment for name, commitment in pairs)
    return tree.root([tree.leaf_hash(leaf) for leaf in leaves]).hex()


def _refuse(why: str) -> ConsentError:
    return ConsentError(
        f"the consent was not changed: {why}",
        blame="whoever asked for the change",
        remedy="look at the customer's records with `consortia consent show`, then ask for a change that fits",
    )
