"""PURE: how a customer's number, consent records and payloads lie in the sealed part of the customer's row.

Lines of fields: the number; the commitments of payloads; then every version of every record, oldest first, with the
commitment to it. No field can hold a separator, since the edges let no control character in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from consortia_node.consent import ConsentRecord

_LINE, _FIELD = "\n", "\x1f"
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Held:
    """A version of a consent record, and the commitment by which proofs name it."""

    record: ConsentRecord
    commitment: bytes = field(repr=False)


Consents = Mapping[Key, tuple[Held, ...]]
"""By purpose and notice id, the versions, the one in force last."""


def encoded(number: str, payloads: tuple[str, ...], consents: Consents) -> bytes:
    """The bytes to seal."""
    lines = [number, _FIELD.join(payloads)]
    for versions in consents.values():
        lines += map(_line, versions)
    return _LINE.join(lines).encode()


def decoded(data: bytes, pseudonym: str) -> tuple[str, tuple[str, ...], dict[Key, tuple[Held, ...]]]:
    """The inverse of ``encoded``, for a customer with that pseudonym; blanks at the end are padding."""
    number, payloads, *lines = data.rstrip(b" ").decode().split(_LINE)
    consents: dict[Key, tuple[Held, ...]] = {}
    for line in lines:
        held = _held(line, pseudonym)
        key = held.record.key
        consents[key] = (*consents.get(key, ()), held)
    return number, tuple(payloads.split(_FIELD)) if payloads else (), consents


def _line(held: Held) -> str:
    record = held.record
    until = "" if record.valid_until_ms is None else record.valid_until_ms
    return (
        f"{record.id}{_FIELD}{record.purpose}{_FIELD}{record.state}{_FIELD}{record.effective_ms}{_FIELD}{until}"
        f"{_FIELD}{record.notice}{_FIELD}{record.begun_ms}{_FIELD}{record.recorded_ms}{_FIELD}{record.evidence}"
        f"{_FIELD}{held.commitment.hex()}"
    )


def _held(line: str, pseudonym: str) -> Held:
    record_id, purpose, state, effective, until, notice, begun, recorded, evidence, commitment = line.split(_FIELD)
    record = ConsentRecord(
        pseudonym,
        record_id,
        purpose,
        state,
        int(effective),
        int(until) if until else None,
        notice,
        int(begun),
        int(recorded),
        evidence,
    )
    return Held(record, bytes.fromhex(commitment))
