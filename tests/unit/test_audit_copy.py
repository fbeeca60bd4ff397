"""Copies: whole, verifiable, and never half made."""

import shutil
from datetime import UTC, datetime

import pytest

from consortia_common import audit_copy
from consortia_common.audit_log import AuditLog
from consortia_common.audit_segments import LogFolder
from consortia_common.audit_verify import verify_folder
from consortia_common.errors import CommonError, LogStorageError
from consortia_crypto.keys import PrivateIdentity
from consortia_proto.v1 import network_pb2 as pb

OWNER = PrivateIdentity.generate("demo", "bank-a", "coordinator", "main")


@pytest.fixture
def log(tmp_path):
    """An open log in the folder of a coordinator, with segments and a document."""
    path = tmp_path / "home" / "log"
    with AuditLog.open(path, OWNER, "main", lambda: datetime(2026, 1, 1, tzinfo=UTC), segment_bytes=2000) as log:
        for number in range(9):
            log.append("peer.connected", peer=f"bank-{number}", payload_commit=log.attach(b"a paper"))
        yield log


def test_the_log_of_a_running_process_is_copied_whole(log, tmp_path):
    assert audit_copy.export(tmp_path / "home", tmp_path / "copy") == 10
    log.append("peer.connected", peer="late")
    report = verify_folder(tmp_path / "copy", OWNER.public.fingerprint)
    assert (report.verdict, report.entries) == ("verified", 10)
    assert [path.read_bytes() for path in (tmp_path / "copy" / "documents").iterdir()] == [b"a paper"]
    assert not (tmp_path / "copy" / "lock").exists()


def test_only_what_the_head_counts_is_copied(log, tmp_path):
    folder = LogFolder(tmp_path / "home" / "log")
    with folder.segment(folder.firsts()[-1]).open("ab") as file:
        file.write(b"\x99\0\0\0half a record")
    assert audit_copy.export(folder.path, tmp_path / "copy") == 10


def test_a_damaged_log_is_not_copied(log, tmp_path):
    folder = LogFolder(shutil.copytree(tmp_path / "home" / "log", tmp_path / "damaged"))
    folder.segment(folder.firsts()[-1]).unlink()
    with pytest.raises(LogStorageError, match="its head counts 10"):
        audit_copy.export(folder.path, tmp_path / "copy")
    folder.head.write_bytes(b"{}")
    with pytest.raises(LogStorageError, match="head"):
        audit_copy.export(folder.path, tmp_path / "copy")
    assert {path.name for path in tmp_path.iterdir()} == {"home", "damaged"}


def test_what_is_there_already_is_not_overwritten(log, tmp_path):
    (tmp_path / "copy").mkdir()
    assert audit_copy.export(tmp_path / "home", tmp_path / "copy") == 10
    with pytest.raises(LogStorageError, match="exists already"):
        audit_copy.export(tmp_path / "home", tmp_path / "copy")


def test_a_folder_without_a_log_has_nothing_to_copy(tmp_path):
    with pytest.raises(CommonError):
        audit_copy.export(tmp_path, tmp_path / "copy")


def test_a_log_travels_in_chunks(log, tmp_path, monkeypatch):
    monkeypatch.setattr(audit_copy, "CHUNK_BYTES", 2000)
    chunks = list(audit_copy.chunks(log))
    assert len(chunks) > 3
    assert [bool(chunk.head) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert sum(len(chunk.entries) for chunk in audit_copy.chunks(log, 8)) == 2
    assert audit_copy.receive(chunks, OWNER.public, tmp_path / "copy") == 10
    assert verify_folder(tmp_path / "copy").verdict == "verified"


def test_a_stream_that_is_not_a_whole_log_is_refused(log, tmp_path):
    (whole,) = audit_copy.chunks(log)
    other = PrivateIdentity.generate("demo", "bank-b", "node", "n1").public
    streams = [
        [],
        [pb.LogChunk(entries=whole.entries)],
        [pb.LogChunk(entries=whole.entries[1:], head=whole.head)],
        [pb.LogChunk(entries=[*whole.entries, b"x"], head=whole.head)],
        [pb.LogChunk(entries=[b""], head=whole.head)],
        [pb.LogChunk(entries=[b"x" * 20_000], head=whole.head)],
        [pb.LogChunk(entries=whole.entries, head=b"\xff")],
    ]
    for stream in streams:
        with pytest.raises(LogStorageError):
            audit_copy.receive(stream, OWNER.public, tmp_path / "copy")
    with pytest.raises(LogStorageError):
        audit_copy.receive([whole], other, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_disk_that_fails_is_explained(log, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LogFolder, "segment", full)
    with pytest.raises(LogStorageError, match="No space"):
        audit_copy.receive(audit_copy.chunks(_Canned(log)), OWNER.public, tmp_path / "copy")


class _Canned:
    """A log whose entries are already in memory."""

    def __init__(self, log):
        self.head = log.head
        self._entries = [b"entry"] * log.size

    def read(self, start=0, stop=None):
        return iter(self._entries[start:stop])
