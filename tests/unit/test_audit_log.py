"""The log on disk: order, durability, recovery, and what it refuses."""

import json
import os
import threading
from datetime import UTC, datetime

import pytest

from consortia_common.audit_log import AuditLog
from consortia_common.audit_segments import LogFolder
from consortia_common.audit_verify import verify_folder
from consortia_common.errors import LogStorageError
from consortia_crypto.audit.entry import Entry
from consortia_crypto.errors import AuditError
from consortia_crypto.keys import PrivateIdentity

OWNER = PrivateIdentity.generate("demo", "bank-a", "node", "n1")
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def opened(folder, signer=OWNER, **options):
    return AuditLog.open(folder, signer, "bank-a", lambda: NOW, **options)


def filled(folder, count=5, **options):
    """A closed log of ``count`` entries."""
    with opened(folder, **options) as log:
        for number in range(count - 1):
            log.append("peer.connected", peer=f"bank-{number}")
    return LogFolder(folder)


def last_segment(folder):
    return folder.segment(folder.firsts()[-1])


def test_entries_are_read_back_in_order_and_chained(tmp_path):
    with opened(tmp_path) as log:
        first = log.append("peer.connected", peer="bank-b")
        second = log.append("job.failed", job="job-1", reason="it  broke\nbadly")
        entries = [Entry.parse(raw) for raw in log.read()]
        assert [entry.index for entry in entries] == [0, 1, 2]
        assert entries[1:] == [first, second]
        assert [entry.prev for entry in entries[1:]] == [entry.leaf_hash for entry in entries[:-1]]
        assert entries[0].type == "log.opened"
        assert second.body["reason"] == "it broke badly"
        assert second.time == "2026-01-31T12:00:00.000Z"
        assert (log.size, log.head.size, log.head.leaf) == (3, 3, second.leaf_hash)
        assert list(log.read(1, 2)) == [first.raw]
        assert list(log.read(9)) == []


def test_an_event_outside_the_catalogue_is_not_written(tmp_path):
    with opened(tmp_path) as log:
        for event, fields in [("made.up", {}), ("peer.connected", {}), ("job.failed", {"job": "j", "other": "x"})]:
            with pytest.raises(AuditError):
                log.append(event, **fields)
        assert log.size == 1


def test_zero_rows_are_written(tmp_path):
    with opened(tmp_path) as log:
        entry = log.append(
            "access.cohort", job="j", purpose="p", agreement="a@1", dataset="d", columns=("x", "y"), rows_used=0,
            rows_left_out=2, consent_ref="0" * 64, subject="",
        )  # fmt: skip
    assert entry.body["rows_used"] == 0
    assert entry.body["columns"] == ["x", "y"]
    assert "subject" not in entry.body


def test_a_log_goes_on_where_it_ended(tmp_path):
    filled(tmp_path, 3)
    with opened(tmp_path) as log:
        assert log.size == 4
    assert verify_folder(tmp_path).verdict == "verified"


def test_salts_differ(tmp_path):
    folder = filled(tmp_path, 4)
    with opened(folder.path) as log:
        salts = {json.loads(raw)["salt"] for raw in log.read()}
    assert len(salts) == 5


def test_segments_are_cut_by_size_and_read_from_anywhere(tmp_path):
    folder = filled(tmp_path, 12, segment_bytes=1500)
    assert len(folder.firsts()) > 2
    with opened(tmp_path, segment_bytes=1500) as log:
        assert [Entry.parse(raw).index for raw in log.read(5)] == list(range(5, 13))
    assert verify_folder(tmp_path).entries == 13


def test_a_second_writer_is_refused(tmp_path):
    with opened(tmp_path), pytest.raises(LogStorageError, match="another process"):
        opened(tmp_path)
    opened(tmp_path).close()


def test_many_threads_write_one_chain(tmp_path):
    with opened(tmp_path) as log:
        threads = [
            threading.Thread(target=lambda n=n: [log.append("peer.connected", peer=f"p{n}-{i}") for i in range(15)])
            for n in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert log.size == 91
    report = verify_folder(tmp_path)
    assert (report.verdict, report.entries) == ("verified", 91)


@pytest.mark.parametrize("tail", [b"\x10", b"\x10\0\0\0\1\2\3\4", b"\x10\0\0\0\1\2\3\4half", b"\0" * 40])
def test_a_half_written_last_record_is_cut_off(tmp_path, tail):
    folder = filled(tmp_path)
    with last_segment(folder).open("ab") as file:
        file.write(tail)
    assert verify_folder(tmp_path).verdict == "verified"
    with opened(tmp_path) as log:
        last = Entry.parse(list(log.read())[-1])
    assert last.body["detail"]["cut_bytes"] == len(tail)
    assert (last.index, verify_folder(tmp_path).verdict) == (5, "verified")


def test_a_whole_record_that_the_head_does_not_count_yet_is_kept(tmp_path):
    folder = filled(tmp_path, 4)
    before = folder.head.read_bytes()
    with opened(tmp_path):
        pass
    folder.head.write_bytes(before)
    with opened(tmp_path) as log:
        assert log.size == 6


@pytest.mark.parametrize("cut", [1, 7, 900])
def test_a_log_shorter_than_its_head_is_refused(tmp_path, cut):
    folder = filled(tmp_path)
    with last_segment(folder).open("r+b") as file:
        file.truncate(last_segment(folder).stat().st_size - cut)
    size = last_segment(folder).stat().st_size
    with pytest.raises(LogStorageError):
        opened(tmp_path)
    assert last_segment(folder).stat().st_size == size


def test_missing_segments_are_refused(tmp_path):
    folder = filled(tmp_path, 12, segment_bytes=1500)
    folder.segment(folder.firsts()[1]).unlink()
    with pytest.raises(LogStorageError, match="begins with entry"):
        opened(tmp_path)


def test_another_last_entry_than_the_heads_is_refused(tmp_path):
    folder, other = filled(tmp_path / "a", 3), filled(tmp_path / "b", 3)
    last_segment(folder).write_bytes(last_segment(other).read_bytes())
    with pytest.raises(LogStorageError, match="not the one"):
        opened(folder.path)


def test_a_log_without_its_head_or_identity_is_refused(tmp_path):
    folder = filled(tmp_path)
    head = folder.head.read_bytes()
    for damaged in (b"x", head[:-1], head.replace(b'"size":5', b'"size":4')):
        folder.head.write_bytes(damaged)
        with pytest.raises(LogStorageError, match="head"):
            opened(tmp_path)
    folder.head.write_bytes(head)
    folder.identity.unlink()
    with pytest.raises(LogStorageError, match="identity"):
        opened(tmp_path)


def test_another_identity_is_refused(tmp_path):
    filled(tmp_path)
    with pytest.raises(LogStorageError, match="another identity"):
        opened(tmp_path, PrivateIdentity.generate("demo", "bank-a", "node", "n1"))


def test_after_a_write_that_fails_nothing_more_is_written(tmp_path, monkeypatch):
    with opened(tmp_path) as log:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", lambda _: (_ for _ in ()).throw(OSError(28, "no space")))
            with pytest.raises(LogStorageError, match="can't be stored"):
                log.append("peer.connected", peer="bank-b")
        with pytest.raises(LogStorageError, match="closed"):
            log.append("peer.connected", peer="bank-b")
        with pytest.raises(LogStorageError, match="closed"):
            log.attach(b"{}")
    with opened(tmp_path) as log:
        assert log.size >= 2


def test_documents_are_kept_by_their_hash(tmp_path):
    with opened(tmp_path) as log:
        name = log.attach(b'{"a":1}')
        assert log.attach(b'{"a":1}') == name
        assert (tmp_path / "documents" / f"{name}.json").read_bytes() == b'{"a":1}'


def test_only_the_owner_can_read_the_folder(tmp_path):
    folder = filled(tmp_path / "log")
    assert folder.path.stat().st_mode & 0o077 == 0
    assert last_segment(folder).stat().st_mode & 0o077 == 0


def test_an_entry_is_on_disk_before_append_returns(tmp_path, monkeypatch):
    calls = []
    fdatasync = os.fdatasync
    with opened(tmp_path) as log:
        monkeypatch.setattr(os, "fdatasync", lambda fd: (fdatasync(fd), calls.append(os.fstat(fd).st_size)))
        log.append("peer.connected", peer="bank-b")
        assert calls == [last_segment(LogFolder(tmp_path)).stat().st_size]
