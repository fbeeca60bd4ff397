"""Copies: whole, verifiable, and never half made."""

import shutil
from datetime import UTC, datetime

import pytest

from consortia_common import audit_copy, audit_fetch, audit_fsck
from consortia_common.audit_log import AuditLog
from consortia_common.audit_segments import LogFolder
from consortia_common.audit_verify import verify_folder
from consortia_common.errors import CommonError, LogStorageError
from consortia_crypto.audit import logkeys
from consortia_crypto.audit.checkpoint import Checkpoint
from consortia_crypto.audit.notekeys import KeyKind, SigningKey
from consortia_crypto.audit.policy import Policy
from consortia_crypto.keys import PrivateIdentity
from consortia_proto.v1 import network_pb2 as pb

OWNER = PrivateIdentity.generate("demo", "bank-a", "coordinator", "main")
WITNESS = SigningKey.generate("consortia.demo/bank-b/witness", KeyKind.ED25519_COSIGNATURE)


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
    monkeypatch.setattr(audit_fetch, "CHUNK_BYTES", 2000)
    chunks = list(audit_fetch.chunks(log.folder))
    assert len(chunks) > 3
    assert [bool(chunk.head) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert sum(len(chunk.entries) for chunk in audit_fetch.chunks(log.folder, 8)) == 2
    assert audit_fetch.receive(chunks, OWNER.public, tmp_path / "copy") == 10
    assert verify_folder(tmp_path / "copy").verdict == "verified"
    assert [path.read_bytes() for path in (tmp_path / "copy" / "documents").iterdir()] == [b"a paper"]


def test_a_document_travels_by_itself_if_it_is_long(log, tmp_path, monkeypatch):
    monkeypatch.setattr(audit_fetch, "CHUNK_BYTES", 5000)
    log.append("peer.connected", peer="a", payload_commit=log.attach(b"long" * 2000))
    chunks = list(audit_fetch.chunks(log.folder))
    (alone,) = (chunk for chunk in chunks if b"long" * 2000 in chunk.documents)
    assert not alone.entries
    assert not alone.head
    assert audit_fetch.receive(chunks, OWNER.public, tmp_path / "copy") == 11
    assert verify_folder(tmp_path / "copy").verdict == "verified"


def test_more_documents_than_entries_can_cite_are_refused(log, tmp_path):
    (whole,) = audit_fetch.chunks(log.folder)
    for more in ([b""], [bytes([number]) for number in range(20)]):
        flood = pb.LogChunk()
        flood.CopyFrom(whole)
        flood.documents.extend(more)
        with pytest.raises(LogStorageError, match="more attached documents"):
            audit_fetch.receive([flood], OWNER.public, tmp_path / "copy")


@pytest.fixture
def two_years(tmp_path):
    """A log of two years; the present one has a cosigned checkpoint."""
    now = datetime(2025, 12, 31, tzinfo=UTC)
    with AuditLog.open(tmp_path / "two", OWNER, "main", lambda: now) as log:
        log.append_many([("peer.connected", {"peer": f"bank-{number}"}) for number in range(300)])
        now = datetime(2026, 1, 1, tzinfo=UTC)
        log.append("peer.connected", peer="bank-a")
        note = log.checkpoint().note
        cosigned = log.folder.path / "cosigned"
        cosigned.mkdir()
        checkpoint = Checkpoint.parse(note.text)
        (cosigned / "checkpoint").write_bytes(note.with_signatures([checkpoint.sign(WITNESS, 1_800_000_000)]).raw)
        yield log


def policy_of(log):
    """One that asks for the witness's cosignature."""
    keys = [key for pair in logkeys.parse(log.folder.vkeys.read_bytes(), OWNER.public) for key in pair.keys]
    named = "".join(f"log {key.text}\n" for key in keys)
    return Policy.parse(f"{named}witness w {WITNESS.verifier.text}\nquorum w\n".encode())


@pytest.mark.parametrize("way", ["folder", "network"])
def test_a_copy_carries_checkpoints_keys_tiles_cosignatures_and_years(two_years, tmp_path, way):
    if way == "folder":
        assert audit_copy.export(two_years.folder.path, tmp_path / "copy") == 303
    else:
        stream = audit_fetch.chunks(two_years.folder)
        assert audit_fetch.receive(stream, OWNER.public, tmp_path / "copy") == 303
    two_years.append("peer.connected", peer="late")
    report = verify_folder(tmp_path / "copy", OWNER.public.fingerprint, policy=policy_of(two_years))
    assert (report.verdict, report.entries, report.checkpoint) == ("verified", 303, 2)
    assert (tmp_path / "copy" / "years" / "2025" / "tile" / "entries" / "000").is_file()
    assert [fault for fault in audit_fsck.check(LogFolder(tmp_path / "copy")) if fault.path != "lock"] == []
    for name in ("checkpoint", "vkeys.json", "years/2025/checkpoint", "cosigned"):
        harmed = shutil.copytree(tmp_path / "copy", tmp_path / "harmed")
        shutil.rmtree(harmed / name) if (harmed / name).is_dir() else (harmed / name).unlink()
        assert verify_folder(harmed, policy=policy_of(two_years)).verdict != "verified"
        shutil.rmtree(harmed)


def test_years_must_come_in_order_and_whole(two_years, tmp_path):
    earlier, present = audit_fetch.chunks(two_years.folder)
    late = pb.LogChunk()
    late.CopyFrom(earlier)
    late.year = 2024
    far = pb.LogChunk()
    far.CopyFrom(earlier)
    far.year = 123_456
    assert [chunk.year for chunk in audit_fetch.chunks(two_years.folder, 1)] == [0]
    for stream in (
        [earlier], [earlier, earlier, present], [earlier, late, present], [far, present], [present, earlier],
        [pb.LogChunk(entries=earlier.entries, year=2025), present], [earlier, present, present],
    ):  # fmt: skip
        with pytest.raises(LogStorageError):
            audit_fetch.receive(stream, OWNER.public, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_stream_that_is_not_a_whole_log_is_refused(log, tmp_path):
    (whole,) = audit_fetch.chunks(log.folder)
    other = PrivateIdentity.generate("demo", "bank-b", "node", "n1").public
    streams = [
        [],
        [pb.LogChunk(entries=whole.entries)],
        [pb.LogChunk(entries=whole.entries[1:], head=whole.head)],
        [pb.LogChunk(entries=[*whole.entries, b"x"], head=whole.head)],
        [pb.LogChunk(entries=[b""], head=whole.head)],
        [pb.LogChunk(entries=[b"x" * 20_000], head=whole.head)],
        [pb.LogChunk(entries=whole.entries, head=b"\xff")],
        [pb.LogChunk(entries=whole.entries, head=whole.head, checkpoint=b"\xff")],
        [pb.LogChunk(entries=whole.entries, head=whole.head, cosigned=[b""] * 65)],
    ]
    for stream in streams:
        with pytest.raises(LogStorageError):
            audit_fetch.receive(stream, OWNER.public, tmp_path / "copy")
    with pytest.raises(LogStorageError):
        audit_fetch.receive([whole], other, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_checkpoint_of_another_tree_is_taken_and_found_out(two_years, tmp_path):
    earlier, present = audit_fetch.chunks(two_years.folder)
    present.checkpoint = earlier.checkpoint
    audit_fetch.receive([earlier, present], OWNER.public, tmp_path / "copy")
    assert verify_folder(tmp_path / "copy").verdict == "tampered"


def test_a_disk_that_fails_is_explained(log, tmp_path, monkeypatch):
    stream = list(audit_fetch.chunks(log.folder))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LogFolder, "segment", full)
    with pytest.raises(LogStorageError, match="No space"):
        audit_fetch.receive(stream, OWNER.public, tmp_path / "copy")
