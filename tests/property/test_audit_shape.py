"""The quick way to judge an entry never says yes where the long way says no, and both read the same in it."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consortia_crypto import canonical
from consortia_crypto.audit import batch, entry, events, shape
from consortia_crypto.audit.batch import Body, Place
from consortia_crypto.audit.entry import NO_ENTRY, Entry
from consortia_crypto.errors import AuditError, CryptoError
from consortia_crypto.keys import PrivateIdentity

OWNER = PrivateIdentity.generate("demo", "bank-a", "node", "n1")
KID = OWNER.public.fingerprint
TIME = "2026-01-31T12:00:00.000Z"
WORDS = {"type": "x", "org": "bank-a", "retention_class": "network", "ts": TIME, "actor": "ann",
         "subject": "ab" * 32, "purpose": "p", "agreement": "a@1", "job": "j", "dataset": "d",
         "columns": ["c", "d"], "rows_used": 0,
         "rows_left_out": 7, "decision": "accept", "reason": "so it is", "policy_hash": "0" * 64,
         "consent_ref": "1" * 64, "payload_commit": "2" * 64}  # fmt: skip
SAMPLES = {str: "text of it", int: 12, list: ["x"], bool: True}
odd = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 10**17), st.floats(allow_nan=False), st.text(max_size=6),
    st.sampled_from(["", "a b", 'q"q', "b\\b", "é", "\x7f", "x" * 201, "A" * 64, "a@01", "a@1#" + "0" * 64]),
    st.lists(st.sampled_from(["c", "a b", "", 'q"', 3]), max_size=3), st.just({}),
)  # fmt: skip
slow = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def full(event):
    """A body with every field that the event may have."""
    detail = {name: SAMPLES[kind] for name, kind in event.detail.items()}
    return WORDS | {"type": event.name} | ({"detail": detail} if detail else {})


def sign(body):
    """The raw entry with this body, whatever it is."""
    return Entry.sign(0, NO_ENTRY, bytes(16), body, OWNER, KID).raw


def allowed(body):
    try:
        events.check(body)
    except AuditError:
        return False
    return True


@pytest.mark.parametrize("event", events.EVENTS.values(), ids=lambda event: event.name)
def test_whatever_the_catalogue_has_is_plain_when_its_values_are(event):
    everything = full(event)
    assert Entry.parse(sign(everything)).is_plain
    least = {name: value for name, value in everything.items() if name in events.ALWAYS | event.required}
    own = {name: SAMPLES[event.detail[name]] for name in event.required & event.detail.keys()}
    least |= {"detail": own} if own else {}
    assert Entry.parse(sign(least)).is_plain
    for name in events.ALWAYS | event.required:
        lacking = {key: value for key, value in least.items() if key != name}
        if name in own:
            lacking["detail"] = {key: value for key, value in own.items() if key != name}
        assert not allowed(lacking)
        assert shape.match(sign(lacking)) is None


@slow
@given(st.data())
def test_the_quick_way_says_no_more_than_the_long_way(data):
    event = data.draw(st.sampled_from(sorted(events.EVENTS.values(), key=lambda item: item.name)))
    body = full(event)
    for name in data.draw(st.lists(st.sampled_from(sorted(body)), max_size=4)):
        body.pop(name, None)
    body |= data.draw(st.dictionaries(st.sampled_from([*events.COMMON, "other"]), odd, max_size=2))
    if isinstance(body.get("detail"), dict):
        body["detail"] |= data.draw(st.dictionaries(st.sampled_from([*event.detail, "other"]), odd, max_size=2))
    try:
        raw = sign(body)
    except CryptoError:
        return
    parts = shape.match(raw)
    if parts is not None:
        assert allowed(body)
        assert canonical.encode(json.loads(raw)) == raw
        long = entry._parse(raw)
        assert {name: parts[name] or b"" for name in ("i", "prev", "kid", "val", "end", "type", "ts")} == {
            name: value for name, value in long.items() if name != "alg"
        }


@slow
@given(st.data())
def test_a_changed_entry_is_refused_the_quick_way_if_the_long_way_refuses_it(data):
    event = data.draw(st.sampled_from(sorted(events.EVENTS.values(), key=lambda item: item.name)))
    raw = bytearray(sign(full(event)))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(raw) - 1))
        raw[start : start + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b"", b"0", b",", b'"', b"{}", b"}", b"\\", b"\n", b"\xff", b" ", b"a", b"-", b"e"])
        )
    changed = bytes(raw)
    if shape.match(changed) is not None:
        entry._parse(changed)
        assert allowed(json.loads(changed)["body"])


@slow
@given(st.data())
def test_a_body_is_taken_by_the_writer_just_when_the_catalogue_allows_it(data):
    event = data.draw(st.sampled_from(sorted(events.EVENTS.values(), key=lambda item: item.name)))
    body = full(event) | data.draw(st.dictionaries(st.sampled_from([*events.COMMON, "other"]), odd, max_size=2))
    body["ts"] = TIME
    try:
        raw = batch.sign([Body.of(body)], TIME, Place(0, NO_ENTRY), bytes(16), OWNER, KID).entries[0]
    except CryptoError:
        assert not allowed(body) or canonical_refuses(body)
        return
    assert allowed(body)
    assert json.loads(raw)["body"] == body
    assert Entry.parse(raw).raw == raw


def canonical_refuses(body):
    try:
        canonical.encode(body)
    except CryptoError:
        return True
    return False
