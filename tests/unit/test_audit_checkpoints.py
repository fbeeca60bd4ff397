"""Checkpoints on disk: tiles, keys, years, recovery from them, and what is refused."""

import shutil
import threading
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortia_common import audit_tip, keyfiles
from consortia_common.audit_disk import Disk
from consortia_common.audit_heartbeat import Heartbeat
from consortia_common.audit_log import AuditLog
from consortia_common.audit_pulse import LATE_SECONDS, Pulse
from consortia_common.audit_segments import LogFolder, records
from consortia_common.audit_tiles import read_tile
from consortia_common.audit_verify import verify_folder
from consortia_common.errors import LogStorageError
from consortia_crypto.audit import logkeys, tree
from consortia_crypto.audit.checkpoint import Checkpoint, open_checkpoint
from consortia_crypto.audit.entry import Entry
from consortia_crypto.audit.tiles import bundles_of, decode_bundle, tiles_of
from consortia_crypto.audit.tiletree import TileTree
from consortia_crypto.errors import AuditError
from consortia_crypto.keys import PrivateIdentity

OWNER = PrivateIdentity.generate("demo", "bank-a", "node", "n1")


class Clock:
    """A clock that a test sets."""

    def __init__(self):
        self.now = datetime(2026, 1, 31, 12, tzinfo=UTC)

    def __call__(self):
        return self.now


def opened(folder, clock=None, **options):
    return AuditLog.open(folder, OWNER, "bank-a", clock or Clock(), **options)


def fill(log, count):
    return log.append_many([("peer.connected", {"peer": f"bank-{n}"}) for n in range(count)])


def keys_of(folder):
    return logkeys.parse(folder.vkeys.read_bytes(), OWNER.public)


def checked(folder):
    """The folder's checkpoint, its signatures verified under the keys that the owner endorsed."""
    signed = open_checkpoint(folder.checkpoint.read_bytes(), [key for pair in keys_of(folder) for key in pair.keys])
    required = logkeys.keys_at(keys_of(folder), signed.checkpoint.origin, signed.checkpoint.size)
    assert signed.is_signed_by_log(required)
    return signed


def check_tiles(folder):
    """Every tile and bundle of the newest checkpoint is there, and is what the entries give."""
    checkpoint = checked(folder).checkpoint
    entries = list(islice(records(folder), checkpoint.size))
    leaves = tree.leaf_hashes(entries)
    assert tree.root(leaves) == checkpoint.root
    reader = TileTree(checkpoint.size, lambda *place: read_tile(folder, *place))
    assert reader.root() == checkpoint.root
    for bundle in bundles_of(checkpoint.size):
        data = (folder.path / bundle.path).read_bytes()
        assert decode_bundle(data, bundle.width) == entries[bundle.start : bundle.end]
    for tile in tiles_of(checkpoint.size):
        assert (folder.path / tile.path).is_file()


def test_a_log_has_a_checkpoint_and_its_tiles_from_the_start(tmp_path):
    with opened(tmp_path) as log:
        checkpoint = log.signed.checkpoint
        assert checkpoint == Checkpoint("consortia.demo/bank-a/audit/2026", 1, checkpoint.root)
        check_tiles(log.folder)


@pytest.mark.parametrize("steps", [(254, 1, 1, 300), (1, 600, 0, 2)])
def test_tiles_grow_with_the_log_whatever_the_steps(tmp_path, steps):
    for count in steps:
        with opened(tmp_path, segment_bytes=40_000) as log:
            fill(log, count)
            log.checkpoint()
            check_tiles(log.folder)
            fill(log, 3)
        check_tiles(log.folder)
    partial = [path for path in (tmp_path / "tile").rglob("*.p/*") if path.is_file()]
    assert len(partial) <= 3  # one of each level, and a bundle; older ones are gone


def test_an_entry_is_checkpointed_when_asked_for(tmp_path):
    with opened(tmp_path) as log:
        heard = []
        log.on_checkpoint(heard.append)
        first, second = fill(log, 2)
        signed = log.checkpointed(second)
        assert signed.checkpoint.size == 3
        assert log.checkpointed(first) is signed
        assert heard == [signed]
        with log._publishing, pytest.raises(LogStorageError, match="in time"):
            log.checkpointed(log.append("peer.connected", peer="x"), timeout=0.01)


def test_a_quiet_log_is_signed_again_with_the_present_time(tmp_path):
    clock = Clock()
    with opened(tmp_path, clock) as log:
        first = log.checkpoint()
        clock.now += timedelta(minutes=1)
        second = log.checkpoint()
        assert second.checkpoint == first.checkpoint
        assert second.time - first.time == 60
        assert checked(log.folder).time == second.time


def test_the_heartbeat_signs_until_it_is_stopped_or_the_log_fails(tmp_path):
    with opened(tmp_path) as log:
        heard, failed = threading.Semaphore(0), []
        log.on_checkpoint(lambda _: heard.release())
        with Heartbeat(log, 0.001, failed.append):
            assert all(heard.acquire(timeout=10) for _ in range(3))
        assert failed == []
    with Heartbeat(log, 0.001, failed.append) as heartbeat:
        heartbeat._thread.join(10)
    assert len(failed) == 1


def test_the_beats_are_told_of_every_ten_minutes_and_when_one_was_late(tmp_path):
    clock = Clock()
    with opened(tmp_path, clock) as log:
        heartbeat, pulse, begun = Heartbeat(log), None, clock.now
        for minutes in [*range(21), 24, 25]:
            clock.now = begun + timedelta(minutes=minutes)
            pulse = heartbeat._beat(pulse)
        told = [entry.body["detail"] for raw in log.read() if (entry := Entry.parse(raw)).type == "log.alive"]
        assert told == [{"beats": 10, "longest": 60}] * 2 + [{"beats": 1, "longest": 240}]
        assert pulse == Pulse(pulse.told, pulse.told + 60, 1, 60)


@given(st.lists(st.integers(-100, 5000), max_size=50))
def test_no_late_beat_goes_untold(steps):
    """Whatever the clock does, a beat that was late is told of as such by then, and none is counted twice."""
    pulse, told, counted = Pulse(0, 0), [], 0
    for step in steps:
        pulse = pulse.beat(pulse.last + step)
        if pulse.must_be_told:
            told.append(pulse.longest)
            counted += pulse.beats
            pulse = Pulse(pulse.last, pulse.last)
        assert pulse.longest <= LATE_SECONDS
    assert counted + pulse.beats == len(steps)
    assert [late for late in told if late > LATE_SECONDS] == [step for step in steps if step > LATE_SECONDS]


def test_both_kinds_of_key_sign_and_the_owner_endorses_them(tmp_path):
    with opened(tmp_path) as log:
        (pair,) = keys_of(log.folder)
        assert {item.key for item in log.signed.verified} == set(pair.keys)
        assert (pair.since, pair.until) == (0, None)
        assert log.folder.keys.stat().st_mode & 0o077 == 0
    raw = log.folder.vkeys.read_bytes()
    for position in range(0, len(raw), 97):
        damaged = bytearray(raw)
        damaged[position] ^= 1
        with pytest.raises(AuditError):
            logkeys.parse(bytes(damaged), OWNER.public)
    with pytest.raises(AuditError):
        logkeys.parse(raw, PrivateIdentity.generate("demo", "bank-a", "node", "n1").public)


def test_keys_rotate_with_old_and_new_signatures_side_by_side(tmp_path):
    with opened(tmp_path) as log:
        fill(log, 4)
        before = {item.key for item in log.checkpoint().verified}
        log.rotate_keys(overlap=10)
        overlap = {item.key for item in log.checkpoint().verified}
        old, new = keys_of(log.folder)
        assert (old.since, old.until, new.since, new.until) == (0, 15, 5, None)
        assert before == set(old.keys)
        assert overlap == {*old.keys, *new.keys}
        event = [Entry.parse(raw) for raw in log.read()][-1]
        assert (event.type, event.body["detail"]["ed25519"]) == ("log.rekeyed", new.ed25519.text)
        fill(log, 20)
        assert {item.key for item in log.checkpoint().verified} == set(new.keys)
    with opened(tmp_path) as log:
        log.rotate_keys()
        assert len(keys_of(log.folder)) == 3
    assert verify_folder(tmp_path).verdict == "verified"


def test_a_new_year_is_a_new_log_that_names_the_last_checkpoint_of_the_old(tmp_path):
    clock = Clock()
    with opened(tmp_path, clock) as log:
        cited = log.attach(b"a paper")
        fill(log, 300)
        clock.now = clock.now.replace(year=2027)
        entry = log.append("peer.connected", peer="first of the year", payload_commit=cited)
        old, new = log.folder.shards()
        first = Entry.parse(next(log.read()))
        ended = checked(old).checkpoint
        assert (first.type, entry.index, log.size) == ("log.continued", 1, 2)
        assert first.body["detail"] == {"previous": ended.origin, "size": 301, "root": ended.root.hex()}
        assert log.checkpoint().checkpoint.origin == "consortia.demo/bank-a/audit/2027"
        check_tiles(old)
        check_tiles(new)
        assert [pair.name[-4:] for pair in keys_of(new)] == ["2026", "2027"]
    with opened(tmp_path, clock) as log:
        assert log.size == 3
        clock.now = clock.now.replace(year=2030)
    with opened(tmp_path, clock) as log:
        assert [folder.path.name for folder in log.folder.shards()] == ["2026", "2027", tmp_path.name]
        assert [Entry.parse(raw).type for raw in log.read()] == ["log.continued", "log.opened"]
    assert verify_folder(tmp_path, OWNER.public.fingerprint).summary == "verified"


def test_many_callers_at_the_turn_of_the_year_lose_nothing(tmp_path):
    clock = Clock()
    with opened(tmp_path, clock) as log:
        written = []

        def write(number):
            for turn in range(10):
                if turn == 5:
                    clock.now = clock.now.replace(year=2027)
                written.append(log.append("peer.connected", peer=f"b{number}-{turn}").raw)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    stored = [raw for shard in LogFolder(tmp_path).shards() for raw in records(shard)]
    assert len(written) == 60
    assert set(written) <= set(stored)
    assert len(stored) == 60 + 2


def test_opening_reads_only_what_came_after_the_checkpoint(tmp_path, monkeypatch):
    with opened(tmp_path) as log:
        fill(log, 500)
    hashed = []
    leaf_hash = tree.leaf_hash
    monkeypatch.setattr(tree, "leaf_hash", lambda data: hashed.append(data) or leaf_hash(data))
    with opened(tmp_path):
        assert len(hashed) < 20


def test_missing_or_damaged_tiles_are_made_again(tmp_path):
    with opened(tmp_path) as log:
        fill(log, 600)
    (tmp_path / "tile" / "0" / "001").unlink()
    partial = next(path for path in (tmp_path / "tile" / "0").rglob("*.p/*"))
    partial.write_bytes(b"\0" * partial.stat().st_size)
    with opened(tmp_path) as log:
        log.checkpoint()
        check_tiles(log.folder)


def test_a_log_whose_entries_are_not_those_signed_is_refused(tmp_path):
    with opened(tmp_path / "log") as log:
        fill(log, 30)
    for damage, match in [
        (lambda folder: folder.segment(0).write_bytes(folder.segment(0).read_bytes()[:9000]), "entry|entries"),
        (lambda folder: shutil.rmtree(folder.segments), "fewer|entries"),
        (lambda folder: folder.checkpoint.write_bytes(b"x"), "checkpoint"),
        (lambda folder: folder.vkeys.write_bytes(b"[]"), "checkpoint|keys"),
        (lambda folder: folder.tip.write_bytes(folder.tip.read_bytes().replace(b'"size":31', b'"size":32')), "32"),
        (lambda folder: folder.tip.write_bytes(b"{}"), "tip"),
    ]:
        copy = LogFolder(shutil.copytree(tmp_path / "log", tmp_path / "copy"))
        damage(copy)
        with pytest.raises(LogStorageError, match=match):
            opened(copy.path)
        shutil.rmtree(copy.path)


def test_an_older_copy_is_refused_where_the_tip_is_kept_elsewhere(tmp_path):
    """A database beside the log remembers what was signed, so a restored log is noticed without a witness."""
    with opened(tmp_path / "log") as log:
        shutil.copytree(tmp_path / "log", tmp_path / "backup")
        fill(log, 3)
    elsewhere = audit_tip.FileTip(LogFolder(tmp_path / "log"), Disk())
    with pytest.raises(LogStorageError, match="had 4"):
        opened(tmp_path / "backup", tip=elsewhere)


def test_two_trees_of_one_size_are_never_signed(tmp_path):
    with opened(tmp_path / "log") as log:
        shutil.copytree(tmp_path / "log", tmp_path / "backup")
        tip = audit_tip.FileTip(LogFolder(tmp_path / "log"), Disk())
        fill(log, 1)
        log.checkpoint()
        (tmp_path / "backup" / "tip").unlink()
        other = opened(tmp_path / "backup")
        fill(other, 0)
        other._publisher._tip = tip
        with pytest.raises(LogStorageError, match="contradict"):
            other.checkpoint()
        with pytest.raises(LogStorageError, match="closed"):
            fill(other, 1)


def test_a_head_that_a_power_cut_emptied_is_made_up_for_by_the_checkpoint(tmp_path):
    with opened(tmp_path) as log:
        fill(log, 3)
    log.folder.head.write_bytes(b"")
    with opened(tmp_path) as log:
        assert log.size == 5
    assert verify_folder(tmp_path).verdict == "verified"


def test_a_log_from_before_there_were_checkpoints_goes_on(tmp_path):
    with opened(tmp_path) as log:
        fill(log, 30)
    for path in (log.folder.checkpoint, log.folder.tip, log.folder.keys, log.folder.vkeys):
        path.unlink()
    shutil.rmtree(tmp_path / "tile")
    with opened(tmp_path) as log:
        assert log.size == 32
        check_tiles(log.folder)


def test_exposed_or_damaged_keys_are_refused(tmp_path):
    with opened(tmp_path) as log:
        pass
    log.folder.keys.chmod(0o644)
    with pytest.raises(keyfiles.SettingsError):
        opened(tmp_path)
    log.folder.keys.chmod(0o600)
    log.folder.keys.write_bytes(b"{}")
    with pytest.raises(LogStorageError, match="keys"):
        opened(tmp_path)
