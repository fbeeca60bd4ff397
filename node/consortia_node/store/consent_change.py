"""What one person's change makes of one customer's records, written in the caller's transaction.

Trusted for: which records are meant, that each may become what is asked (by the state table), and that the whole
record is kept where the log only has a commitment to it.
"""

import secrets

from sqlalchemy import Connection

from consortia_crypto import canonical
from consortia_crypto.subject import seal_payload
from consortia_node.consent import LIFE, Change, ConsentRecord, begin, change_of, notice_id, refuse
from consortia_node.keyring import Keyring
from consortia_node.store.consent_notices import NoticeStore, offers
from consortia_node.store.subject_record import Key
from consortia_node.store.subjects import Subject, SubjectStore


def write_change(
    connection: Connection, ring: Keyring, number: str, purpose: str, change: Change, now_ms: int
) -> tuple[Subject, list[tuple[ConsentRecord, str]]]:
    """The customer as changed and written, and each changed record with the commitment to it."""
    if change.notice:
        _require_notice(connection, change.notice, purpose)
    store = SubjectStore(connection, ring)
    subject = store.find([number]).get(number) or Subject.new(number)
    changed = []
    for key in _meant(subject, purpose, change):
        record = _changed(subject, key, change, now_ms)
        payload = seal_payload(subject.key, _evidence(number, record))
        store.keep(payload)
        subject = subject.holding(subject.held(record), payload.commitment)
        changed.append((record, payload.commitment))
    store.save([subject])
    return subject, changed


def _meant(subject: Subject, purpose: str, change: Change) -> list[tuple[str, str]]:
    """Which records are meant: that of the notice, else all open ones for the purpose, else a closed one."""
    if change.notice:
        return [(purpose, notice_id(change.notice))]
    of_purpose = {key: held.record for key, held in subject.in_force.items() if key[0] == purpose}
    still = [key for key, record in of_purpose.items() if record.state not in LIFE.final]
    if not of_purpose:
        raise refuse(f"there is no consent on record for {purpose} that could become {change.state}")
    if not still and len(of_purpose) > 1:
        raise refuse("several notices are on record for this purpose; name the one that is meant")
    return still or list(of_purpose)


def _changed(subject: Subject, key: Key, change: Change, now_ms: int) -> ConsentRecord:
    """The next version of the customer's record of that purpose and notice, or the first one of a new record."""
    held = subject.in_force.get(key)
    fresh = secrets.token_hex(8)
    if held is None:
        return begin(subject.pseudonym, fresh, key[0], change, now_ms)
    return change_of(held.record, change, fresh, now_ms)


def _require_notice(connection: Connection, notice: str, purpose: str) -> None:
    if not offers(NoticeStore(connection).terms(), notice, purpose):
        raise refuse(f"notice {notice} is not registered here, or not for {purpose}")


def _evidence(number: str, record: ConsentRecord) -> bytes:
    """What is kept off the log of a change of consent: the whole record, and whose it is by customer number."""
    return canonical.encode({"v": 1, "customer": number, "record": record.document()})
