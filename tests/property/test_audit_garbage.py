"""Hostile bytes, wherever a log is read, raise only our own errors or end in a report."""

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consortia_common.audit_log import AuditLog
from consortia_common.audit_segments import LogFolder, frame, records
from consortia_common.audit_verify import verify_folder
from consortia_common.errors import LogStorageError
from consortia_crypto import canonical
from consortia_crypto.audit import events
from consortia_crypto.audit.entry import NO_ENTRY, Entry, Head
from consortia_crypto.errors import AuditError, ConsortiaError, CryptoError
from consortia_crypto.keys import PrivateIdentity

OWNER = PrivateIdentity.generate("demo", "bank-a", "node", "n1")
KID = OWNER.public.fingerprint
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abiv", max_size=4), inner, max_size=3),
    max_leaves=8,
)
bodies = st.dictionaries(st.sampled_from([*events.COMMON, "x"]), json_values, max_size=6)
shared = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


@given(st.integers(0, 2**53 - 1), st.binary(min_size=16, max_size=16), bodies)
def test_an_entry_comes_back_as_it_was_signed(index, salt, body):
    made = Entry.sign(index, NO_ENTRY, salt, body, OWNER, KID)
    assert Entry.parse(made.raw) == made
    assert made.body == body
    made.verify(OWNER.public)


@given(st.binary(max_size=300) | json_values.map(canonical.encode))
def test_garbage_is_no_entry_and_no_head(data):
    with pytest.raises(AuditError):
        Entry.parse(data)
    with pytest.raises(CryptoError):
        Head.parse(data, OWNER.public)


@given(st.fixed_dictionaries({"i": json_values, "prev": json_values, "salt": json_values, "body": json_values,
                              "sig": json_values, "v": st.just(1) | json_values}))  # fmt: skip
def test_an_entry_with_garbage_for_fields_is_refused(value):
    with pytest.raises(AuditError):
        Entry.parse(canonical.encode(value))


@given(bodies | st.sampled_from(sorted(events.EVENTS)).flatmap(
    lambda name: bodies.map(lambda body: body | {"type": name})))  # fmt: skip
def test_any_body_is_allowed_or_refused_with_an_audit_error(body):
    with contextlib.suppress(AuditError):
        assert events.check(body).name == body["type"]


@shared
@given(st.binary(max_size=120))
def test_garbage_in_a_segment_ends_the_reading(tmp_path, data):
    folder = LogFolder(tmp_path)
    folder.segments.mkdir(exist_ok=True)
    folder.segment(0).write_bytes(frame(b"entry") + data)
    read = []
    with contextlib.suppress(LogStorageError):
        read.extend(records(folder))
    assert read[0] == b"entry"


@shared
@given(st.sampled_from(["identity.json", "head", "segments/000000000000.log"]),
       st.binary(max_size=200).filter(lambda data: data.strip(b"\0")))  # fmt: skip
def test_garbage_in_any_file_ends_in_a_report_and_is_not_opened(tmp_path, name, data):
    with AuditLog.open(tmp_path, OWNER, "bank-a", lambda: datetime(2026, 1, 1, tzinfo=UTC)):
        pass
    intact = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data)
    try:
        assert verify_folder(tmp_path).verdict in ("tampered", "unverifiable")
        with pytest.raises(ConsortiaError):
            AuditLog.open(tmp_path, OWNER, "bank-a", lambda: datetime(2026, 1, 1, tzinfo=UTC))
    finally:
        (tmp_path / name).write_bytes(intact)


@shared
@given(st.lists(st.tuples(st.sampled_from(sorted(events.EVENTS)), bodies), min_size=1, max_size=6))
def test_any_well_signed_history_ends_in_a_report(tmp_path, history):
    """Whatever an owner signs about itself, the coverage check reads it without falling over."""
    folder = LogFolder(tmp_path)
    folder.segments.mkdir(exist_ok=True)
    prev, data = NO_ENTRY, b""
    for index, (name, body) in enumerate(history):
        made = Entry.sign(index, prev, bytes(16), body | {"type": name}, OWNER, KID)
        prev, data = made.leaf_hash, data + frame(made.raw)
    folder.segment(0).write_bytes(data)
    folder.head.write_bytes(Head.sign(len(history), prev, OWNER, KID).raw)
    folder.identity.write_bytes(canonical.encode(OWNER.public.document()))
    assert verify_folder(tmp_path).verdict != "tampered"
