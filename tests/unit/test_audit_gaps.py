"""Gaps: what can't stand alone, what has not ended, a clock that goes back, silence, missed heartbeats."""

from datetime import UTC, datetime, timedelta

import pytest

from consortia_common.audit_gaps import OPENINGS, PAIRS, Gaps, Gravity
from consortia_crypto.audit.entry import NO_ENTRY, Entry
from consortia_crypto.audit.events import COMMON, EVENTS
from consortia_crypto.keys import PrivateIdentity

SIGNER = PrivateIdentity.generate("demo", "bank-a", "node", "n1")
START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def gaps(*happenings, signed_at=None, now=None):
    """The gaps of a log of these (event, fields), a second apart; ``at`` is seconds from the start."""
    told = Gaps()
    for number, (event, fields) in enumerate(happenings):
        at = START + timedelta(seconds=fields.get("at", number))
        body = {name: value for name, value in fields.items() if name in COMMON}
        detail = {name: value for name, value in fields.items() if name not in COMMON and name != "at"}
        ts = at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        body |= {"type": event, "ts": ts, "org": "bank-a", "retention_class": "network", "detail": detail}
        told.see(Entry.sign(number, NO_ENTRY, bytes(16), body, SIGNER, SIGNER.public.fingerprint))
    return [(gap.gravity, gap.entry) for gap in told.found(signed_at, now)]


def fields_of(names):
    return dict.fromkeys(names, "x")


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.later)
def test_what_cannot_stand_alone_is_a_fault(pair):
    fields = fields_of(pair.key)
    faults = [gap for gap in gaps((pair.later, fields)) if gap[0] == Gravity.FAULT]
    assert faults == [(Gravity.FAULT, 0)] * len(faults)
    assert faults
    after = gaps((pair.earlier, fields), (pair.later, fields))
    assert (Gravity.FAULT, 1) not in after or any(other.later == pair.later for other in PAIRS if other is not pair)


@pytest.mark.parametrize("opening", OPENINGS, ids=lambda opening: opening.begin)
def test_what_began_stays_open_until_it_ends(opening):
    fields = fields_of(opening.key)
    assert (opening.gravity, 0) in gaps((opening.begin, fields))
    for end in opening.ends:
        closing = ("job.decided", fields | {"decision": "refuse"}) if end == "job.refused" else (end, fields)
        assert (opening.gravity, 0) not in gaps((opening.begin, fields), closing)
    assert (opening.gravity, 0) in gaps((opening.begin, fields), (opening.ends[0], dict.fromkeys(opening.key, "y")))


def test_the_coordinators_word_of_a_refusal_does_not_end_its_job():
    told = ("job.decided", {"job": "x", "decision": "refuse", "institution": "bank-b"})
    assert (Gravity.OPEN, 0) in gaps(("job.submitted", {"job": "x"}), told)


def test_a_killed_process_leaves_no_connection_open():
    assert gaps(("peer.connected", {"peer": "x"}), ("log.opened", {"cut_bytes": 0})) == []


def test_a_clock_that_goes_back_is_a_fault():
    opened = ("log.opened", {"cut_bytes": 0})
    assert gaps((*opened[:1], {"at": 10}), (opened[0], {"at": 8})) == [(Gravity.FAULT, 1)]
    assert gaps((opened[0], {"at": 10}), (opened[0], {"at": 9})) == []


def alive(at, beats=10, longest=60):
    return ("log.alive", {"at": at, "beats": beats, "longest": longest})


def test_absence_and_cut_bytes_are_told():
    assert gaps(("log.opened", {"at": 0}), ("log.opened", {"at": 721})) == [(Gravity.NOTE, 1)]
    assert gaps(("log.opened", {"at": 0}), ("log.opened", {"at": 720})) == []
    assert gaps(("log.opened", {"cut_bytes": 7})) == [(Gravity.NOTE, 0)]


def test_a_missed_heartbeat_is_open_in_a_log_that_is_being_written():
    last = ("log.opened", {"at": 0})
    late = START + timedelta(minutes=5)
    assert gaps(last, signed_at=START) == []
    assert gaps(last, signed_at=START, now=START + timedelta(minutes=2)) == []
    assert gaps(last, signed_at=START, now=late) == [(Gravity.OPEN, 0)]
    assert gaps(signed_at=START, now=late) == []


def test_every_heartbeat_that_was_ever_missed_is_told_of():
    opened, day = ("log.opened", {"at": 0}), [alive(600 * number) for number in range(1, 145)]
    assert gaps(opened, *day) == []
    assert gaps(opened, *day[:50], *day[51:]) == [(Gravity.OPEN, 51)]
    assert gaps(opened, *day[:9], *day[19:30], *day[40:]) == [(Gravity.OPEN, 10), (Gravity.OPEN, 21)]
    assert gaps(opened, alive(600), alive(800, 3, 121), alive(1400)) == [(Gravity.OPEN, 2)]
    assert gaps(opened, alive(600), alive(2000, 3, 1300), alive(2600)) == [(Gravity.OPEN, 2)]


def test_a_log_that_is_written_to_without_being_signed_is_told_of_once():
    busy = [("model.added", {"at": 100 * number}) for number in range(1, 20)]
    assert gaps(("log.opened", {"at": 0}), *busy) == [(Gravity.OPEN, 8)]
    assert gaps(("log.opened", {"at": 0}), *busy[:5], ("log.opened", {"at": 600}), *busy[6:13]) == []
    assert gaps(("log.continued", {"at": 0}), alive(600)) == []


def test_the_tables_use_events_and_fields_that_exist():
    for event, key in [(pair.later, pair.key) for pair in PAIRS] + [(pair.earlier, pair.key) for pair in PAIRS]:
        assert set(key) <= COMMON.keys() | EVENTS[event].detail.keys()
    for opening in OPENINGS:
        assert set(opening.ends) - {"job.refused"} <= EVENTS.keys()
