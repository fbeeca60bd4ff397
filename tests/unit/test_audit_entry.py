"""Entries and heads: what is signed, what is hashed, and what is refused."""

import hashlib
import json

import pytest

from consortia_crypto import canonical
from consortia_crypto.audit.entry import MAX_ENTRY_BYTES, NO_ENTRY, Entry, Head
from consortia_crypto.errors import AuditError, CryptoError, NewerFormatError, SignatureRefusedError
from consortia_crypto.keys import PrivateIdentity

OWNER = PrivateIdentity.generate("demo", "bank-a", "node", "n1")
OTHER = PrivateIdentity.generate("demo", "bank-b", "node", "n1")
BODY = {"type": "peer.connected", "ts": "2026-01-31T12:00:00.000Z", "org": "bank-a"}


def entry(index=0, prev=NO_ENTRY, body=BODY):
    return Entry.sign(index, prev, bytes(16), body, OWNER, OWNER.public.fingerprint)


def changed(raw, **fields):
    return canonical.encode(json.loads(raw) | fields)


def test_an_entry_says_what_was_written():
    made = entry(7, "ab" * 32)
    assert (made.index, made.prev, made.body, made.kid) == (7, "ab" * 32, BODY, OWNER.public.fingerprint)
    assert (made.type, made.time) == ("peer.connected", BODY["ts"])
    assert Entry.parse(made.raw) == made
    made.verify(OWNER.public)


def test_the_leaf_hash_is_over_every_byte():
    made = entry()
    assert made.leaf_hash == hashlib.sha256(b"\0" + made.raw).hexdigest()


def test_the_signature_covers_all_but_itself():
    value = json.loads(entry().raw)
    signature = bytes.fromhex(value["sig"].pop("val"))
    OWNER.public.verify_ed25519("audit-entry", canonical.encode(value), signature)


def test_another_signer_is_refused():
    with pytest.raises(SignatureRefusedError):
        entry().verify(OTHER.public)


@pytest.mark.parametrize(
    "fields",
    [
        {"i": -1}, {"i": "0"}, {"i": True}, {"body": []}, {"prev": "AB" * 32}, {"prev": None}, {"salt": "00"},
        {"sig": None}, {"sig": {"alg": "ed25519", "kid": "0" * 64}}, {"v": 0}, {"v": True}, {"v": "1"}, {"x": 1},
        {"sig": {"alg": 1, "kid": "0" * 64, "val": "0" * 128}},
        {"sig": {"alg": "ed25519", "kid": "0" * 64, "val": "F" * 128}},
    ],
)  # fmt: skip
def test_malformed_entries_are_refused(fields):
    with pytest.raises(AuditError):
        Entry.parse(changed(entry().raw, **fields))


def test_bytes_that_are_not_canonical_are_refused():
    for raw in (b"", b"{}", b"[]", b"null", entry().raw + b" ", entry().raw.replace(b'"i":', b'"i": ')):
        with pytest.raises(AuditError):
            Entry.parse(raw)


def test_a_later_version_is_told_from_a_broken_entry():
    with pytest.raises(NewerFormatError):
        Entry.parse(changed(entry().raw, v=2, more=[1]))


def test_an_entry_that_is_too_long_is_refused():
    with pytest.raises(AuditError, match="longer"):
        entry(body=BODY | {"reason": "x" * MAX_ENTRY_BYTES})
    with pytest.raises(AuditError, match="longer"):
        Entry.parse(b"x" * (MAX_ENTRY_BYTES + 1))


def test_a_head_is_read_by_its_owner_key_only():
    head = Head.sign(3, "ab" * 32, OWNER, OWNER.public.fingerprint)
    assert Head.parse(head.raw, OWNER.public) == head
    with pytest.raises(CryptoError):
        Head.parse(head.raw, OTHER.public)
    for fields in ({"size": 2}, {"size": -1}, {"size": True}, {"leaf": "cd" * 32}, {"leaf": 1}, {"sig": {}}):
        with pytest.raises(CryptoError):
            Head.parse(changed(head.raw, **fields), OWNER.public)
