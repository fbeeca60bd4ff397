"""Batches: entries that share a signature, and what verification says when one of them is touched."""

import json
import shutil
import threading
from datetime import UTC, datetime

import pytest

from consortia_common.audit_log import AuditLog
from consortia_common.audit_segments import LogFolder, frame, records
from consortia_common.errors import LogStorageError
from consortia_crypto import canonical
from consortia_crypto.audit import batch
from consortia_crypto.audit.batch import Body, Place
from consortia_crypto.audit.entry import ALGORITHM, BATCH, MAX_BATCH, NO_ENTRY, Entry, Head
from consortia_crypto.audit.verify import ChainReader, TamperedLogError
from consortia_crypto.errors import AuditError, CryptoError
from consortia_crypto.keys import PrivateIdentity

OWNER = PrivateIdentity.generate("demo", "bank-a", "node", "n1")
KID = OWNER.public.fingerprint
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
TIME = "2026-01-31T12:00:00.000Z"


def body(peer="bank-b", **fields):
    return Body.of({"type": "peer.connected", "org": "bank-a", "retention_class": "network",
                    "detail": {"peer": peer}} | fields)  # fmt: skip


def signed(*sizes):
    """The raw entries of batches of these sizes, one after the other."""
    raws, place = [], Place(0, NO_ENTRY)
    for size in sizes:
        bodies = [body(f"p{place.index + number}") for number in range(size)]
        made = batch.sign(bodies, TIME, place, bytes(16 * size), OWNER, KID)
        raws += made.entries
        place = Place(place.index + size, made.leaves[-1].hex())
    return raws


def head_of(raws):
    return Head.sign(len(raws), Entry.parse(raws[-1]).leaf_hash, OWNER, KID)


def read(raws, head=None):
    """The reader after all of ``raws``, and the entries that it proved."""
    reader = ChainReader(OWNER.public, head)
    proved = [entry for raw in raws for entry in reader.follow(raw)]
    reader.finish()
    return reader, proved


def named(raws, head=None):
    """At which entry the reader refuses."""
    with pytest.raises(TamperedLogError) as caught:
        read(raws, head)
    return caught.value.finding.entry


def test_only_the_last_entry_of_a_batch_carries_a_signature():
    raws = signed(4)
    entries = [Entry.parse(raw) for raw in raws]
    assert [entry.algorithm for entry in entries] == [BATCH] * 3 + [ALGORITHM]
    assert [entry.end for entry in entries] == [3] * 4
    assert [entry.prev for entry in entries[1:]] == [entry.leaf_hash for entry in entries[:-1]]
    assert json.loads(raws[0])["sig"] == {"alg": "ed25519-batch", "end": 3, "kid": KID}
    assert all(canonical.encode(json.loads(raw)) == raw for raw in raws)
    entries[3].verify(OWNER.public)
    with pytest.raises(AuditError, match="in entry 3"):
        entries[0].verify(OWNER.public)


def test_a_batch_is_proved_when_its_last_entry_is_read():
    raws = signed(1, 5, 2)
    reader = ChainReader(OWNER.public, head_of(raws))
    assert [len(reader.follow(raw)) for raw in raws] == [1, 0, 0, 0, 0, 5, 0, 2]
    reader.finish()
    assert (reader.size, reader.doubt, reader.time) == (8, None, TIME)


@pytest.mark.parametrize("sizes", [(1, 6, 2), (9,)])
def test_a_flip_of_any_byte_in_a_batch_is_named_by_its_entry(sizes):
    raws = signed(*sizes)
    head = head_of(raws)
    for index, raw in enumerate(raws):
        for position in range(0, len(raw), 5):
            damaged = bytearray(raw)
            damaged[position] ^= 1 << position % 7
            assert named([*raws[:index], bytes(damaged), *raws[index + 1 :]], head) == index, position


def test_entries_missing_doubled_or_swapped_in_a_batch_are_named():
    raws = signed(2, 6)
    head = head_of(raws)
    for changed, where in [
        (raws[:4] + raws[5:], 4),
        ([*raws[:5], raws[4], *raws[5:]], 5),
        ([*raws[:4], raws[5], raws[4], *raws[6:]], 4),
        (raws[:7], 7),
        (raws[:5], 5),
        (raws[2:], 0),
    ]:
        assert named(changed, head) == where


def test_a_batch_rewritten_with_its_chain_but_without_the_key_is_refused():
    raws = signed(3, 5)
    prev = Entry.parse(raws[3]).prev
    forged = []
    for raw in raws[3:]:
        value = json.loads(raw) | {"prev": prev, "salt": "1" * 32}
        forged.append(canonical.encode(value))
        prev = Entry.parse(forged[-1]).leaf_hash
    assert named(raws[:3] + forged) == 7


def test_a_batch_without_its_end_is_missing_if_the_head_counts_it_and_half_written_if_not():
    raws = signed(3, 5)
    assert named(raws[:6], head_of(raws)) == 6
    assert named(raws[:6], head_of(raws[:6])) == 3
    reader, proved = read(raws[:6], head_of(raws[:3]))
    assert (reader.size, len(proved), reader.doubt) == (3, 3, None)


def test_a_batch_that_names_another_end_than_it_has_is_refused():
    raws = [*signed(3), *signed(4)[3:]]
    prev = Entry.parse(raws[2]).leaf_hash
    first = batch.sign([body(), body()], TIME, Place(3, prev), bytes(32), OWNER, KID).entries[0]
    wrong = first.replace(b'"end":4', b'"end":5')
    last = batch.sign([body()], TIME, Place(4, Entry.parse(wrong).leaf_hash), bytes(16), OWNER, KID).entries[0]
    assert named([*raws[:3], wrong, last]) == 3


@pytest.mark.parametrize("end", [b"0", b"1", b"4000", b"-1", b"01", b'"2"', b"null", b"2.0"])
def test_an_impossible_end_is_refused(end):
    raw = signed(2)[0].replace(b'"end":1', b'"end":' + end)
    if end == b"1":
        assert Entry.parse(raw).end == 1
    else:
        with pytest.raises(AuditError):
            Entry.parse(raw)


def test_an_unusual_body_goes_the_long_way_to_the_same_end():
    raws = batch.sign(
        [body(reason='Zürich „quoted“ \\ "'), body()], TIME, Place(0, NO_ENTRY), bytes(32), OWNER, KID
    ).entries
    entries = [Entry.parse(raw) for raw in raws]
    assert [entry.is_plain for entry in entries] == [False, True]
    assert entries[0].body["reason"] == 'Zürich „quoted“ \\ "'
    reader, proved = read(raws, head_of(raws))
    assert (proved, reader.doubt) == (entries, None)


def test_a_body_that_is_too_long_or_not_in_the_catalogue_is_refused_before_it_waits():
    wrong = [{"reason": "x" * 5000}, {"type": "made.up"}, {"job": "two words"}, {"reason": "\ud800"}]
    for fields in [*wrong, {"rows_used": 1.0}]:
        with pytest.raises(CryptoError):
            body(**fields)
    with pytest.raises(AuditError, match="longer"):
        body(type="job.submitted", job="j", detail={"kind": "k", "parties": ["x" * 200] * 100})


def opened(folder):
    return AuditLog.open(folder, OWNER, "bank-a", lambda: NOW)


def test_events_are_written_together_in_their_order(tmp_path):
    with opened(tmp_path) as log:
        written = log.append_many([("peer.connected", {"peer": f"bank-{n}"}) for n in range(MAX_BATCH + 5)])
        assert [entry.index for entry in written] == list(range(1, MAX_BATCH + 6))
        assert [entry.raw for entry in written] == list(log.read(1))
        assert [entry.body["detail"]["peer"] for entry in written[:3]] == ["bank-0", "bank-1", "bank-2"]
        assert {entry.end for entry in written} == {MAX_BATCH, MAX_BATCH + 5}
        with pytest.raises(AuditError):
            log.append_many([("peer.connected", {"peer": "x"}), ("made.up", {})])
        assert log.append_many([]) == []
        assert log.size == MAX_BATCH + 6


def test_callers_that_come_together_share_a_signature(tmp_path, monkeypatch):
    with opened(tmp_path) as log:
        gate, held, store = threading.Event(), threading.Event(), log._commit._store

        def slow(bodies):
            held.set()
            assert gate.wait(10)
            return store(bodies)

        monkeypatch.setattr(log._commit, "_store", slow)
        written = []
        threads = [
            threading.Thread(target=lambda n=n: written.append(log.append("peer.connected", peer=f"b{n}")))
            for n in range(12)
        ]
        threads[0].start()
        assert held.wait(10)
        for thread in threads[1:]:
            thread.start()
        while len(log._commit._queue) < 11:
            threads[1].join(0.001)
        gate.set()
        for thread in threads:
            thread.join(10)
        assert sorted(entry.index for entry in written) == list(range(1, 13))
        assert {entry.end for entry in written} == {1, 12}
        assert all(entry.body["detail"]["peer"] for entry in written)


def test_an_error_reaches_every_caller_and_closes_the_log(tmp_path, monkeypatch):
    log = opened(tmp_path)
    monkeypatch.setattr(log._disk, "sync_data", lambda _: (_ for _ in ()).throw(OSError(28, "no space")))
    errors = []

    def write(number):
        try:
            log.append("peer.connected", peer=f"b{number}")
        except LogStorageError as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(errors) == len({id(error) for error in errors}) == 8
    log.close()


@pytest.mark.parametrize("torn", range(4))
def test_a_half_written_batch_is_cut_off_whole(tmp_path, torn):
    with opened(tmp_path / "log") as log:
        log.append("peer.connected", peer="kept")
    folder = LogFolder(shutil.copytree(tmp_path / "log", tmp_path / "copy"))
    raws = list(records(folder))
    prev = Entry.parse(raws[-1]).leaf_hash
    more = batch.sign([body()] * 4, TIME, Place(len(raws), prev), bytes(64), OWNER, KID).entries
    data = b"".join(map(frame, more))
    size = [len(data) - 1, len(frame(more[0])), len(frame(more[0])) + 3, len(data) - len(frame(more[-1]))][torn]
    with folder.segment(0).open("ab") as file:
        file.write(data[:size])
    with opened(folder.path) as log:
        entries = [Entry.parse(raw) for raw in log.read()]
    assert [entry.raw for entry in entries[:-1]] == raws
    assert entries[-1].body["detail"]["cut_bytes"] == size
