"""Members as the operator sees them."""

from datetime import UTC, datetime
from typing import Any

from consortia_common.documents.base import utc
from consortia_common.fingerprint_words import words
from consortia_coordinator.store.members import Member

HEADS = ("member", "state", "confirmed", "certificate until", "fingerprint in words")


def row(member: Member) -> tuple[str, ...]:
    """One line of the table."""
    who = member.identity
    return (
        f"{who.institution}/{who.role}/{who.name}",
        member.state,
        "no" if member.confirmed_ms is None else f"{_moment(member.confirmed_ms):%Y-%m-%d}",
        f"{_moment(member.leaf.not_after_ms):%Y-%m-%d %H:%M} UTC",
        words(who.fingerprint),
    )


def document(member: Member) -> dict[str, Any]:
    """The same for programs."""
    who = member.identity
    return {
        "institution": who.institution,
        "role": who.role,
        "name": who.name,
        "state": member.state,
        "fingerprint": who.fingerprint,
        "words": words(who.fingerprint),
        "confirmed": member.confirmed_ms is not None,
        "certificate_until": utc(_moment(member.leaf.not_after_ms)),
        "issuer": member.leaf.issuer,
    }


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
