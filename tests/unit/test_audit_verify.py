"""Verification: whatever is changed in a log is found, and named by its entry."""

import hashlib
import json
import shutil
import struct
import zlib
from datetime import UTC, datetime
from itertools import count, islice

import pytest

from consortia_common.audit_log import AuditLog
from consortia_common.audit_segments import LogFolder, frame, records
from consortia_common.audit_verify import verify_folder
from consortia_crypto import canonical
from consortia_crypto.audit import entry as entries
from consortia_crypto.audit import events
from consortia_crypto.audit.entry import Entry
from consortia_crypto.keys import PrivateIdentity

OWNER = PrivateIdentity.generate("demo", "bank-a", "node", "n1")
SIZE = 6


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A closed log of SIZE entries, one minute apart, in one segment. Copy it before changing it."""
    path = tmp_path_factory.mktemp("original") / "log"
    minutes = count()
    with AuditLog.open(path, OWNER, "bank-a", lambda: datetime(2026, 1, 1, 0, next(minutes), tzinfo=UTC)) as log:
        for number in range(SIZE - 1):
            log.append("peer.connected", peer=f"bank-{number}")
    return path


@pytest.fixture
def folder(original, tmp_path):
    return LogFolder(shutil.copytree(original, tmp_path / "copy"))


def rewrite(folder, raws):
    folder.segment(0).write_bytes(b"".join(frame(raw) for raw in raws))


def resign(raw, signer=OWNER, **fields):
    """The entry with other fields, signed anew."""
    value = json.loads(raw) | fields
    value["sig"] = {"alg": value["sig"]["alg"], "kid": signer.public.fingerprint}
    value["sig"]["val"] = signer.sign_ed25519("audit-entry", canonical.encode(value)).hex()
    return canonical.encode(value)


def verdict(folder):
    report = verify_folder(folder.path)
    return report.verdict, report.entry


def test_an_intact_log_is_verified(folder):
    report = verify_folder(folder.path, OWNER.public.fingerprint)
    assert (report.verdict, report.findings, report.entries) == ("verified", (), SIZE)
    assert (report.summary, report.cause, report.entry) == ("verified", "", None)
    assert (report.institution, report.key_confirmed) == ("bank-a", True)
    assert not verify_folder(folder.path).key_confirmed


def test_the_chain_can_be_followed_with_the_standard_library_alone(folder):
    """What docs/audit-log.md says of the format is enough to write another reader."""
    data, prev, index = folder.segment(0).read_bytes(), "0" * 64, 0
    while data:
        length, checksum = struct.unpack("<II", data[:8])
        raw, data = data[8 : 8 + length], data[8 + length :]
        value = json.loads(raw)
        assert zlib.crc32(raw) == checksum
        assert (value["i"], value["prev"]) == (index, prev)
        prev, index = hashlib.sha256(b"\0" + raw).hexdigest(), index + 1
    head = json.loads(folder.head.read_bytes())
    assert (head["size"], head["leaf"]) == (index, prev)


def test_a_flip_of_any_byte_on_disk_is_named_by_its_entry(folder):
    intact = folder.segment(0).read_bytes()
    owners = [index for index, raw in enumerate(records(folder)) for _ in frame(raw)]
    headers = [start + byte for start in range(len(owners)) for byte in range(8) if starts(owners, start)]
    for position in sorted({*headers, *range(0, len(intact), 23)}):
        damaged = bytearray(intact)
        damaged[position] ^= 1 << position % 8
        folder.segment(0).write_bytes(damaged)
        assert verdict(folder) == ("tampered", owners[position]), position


def starts(owners, position):
    return position == 0 or owners[position] != owners[position - 1]


def test_a_flip_under_a_mended_checksum_is_named_by_its_entry(folder):
    raws = list(records(folder))
    for index in (0, 3, SIZE - 1):
        for position in range(len(raws[index])):
            damaged = bytearray(raws[index])
            damaged[position] ^= 1 << position % 7
            rewrite(folder, [*raws[:index], bytes(damaged), *raws[index + 1 :]])
            assert verdict(folder) == ("tampered", index), (index, position)


def test_the_finding_tells_the_time_and_the_cause(folder):
    raws = list(records(folder))
    rewrite(folder, [*raws[:2], raws[2].replace(b"bank-1", b"bank-9"), *raws[3:]])
    (finding, *_) = verify_folder(folder.path).findings
    assert (finding.entry, finding.cause) == (2, "it was altered after it was signed")
    assert (finding.time, finding.after) == (Entry.parse(raws[2]).time, Entry.parse(raws[1]).time)


def test_entries_that_are_missing_doubled_or_swapped_are_found(folder):
    raws = list(records(folder))
    for changed, where in [
        (raws[1:], 0),
        (raws[:2] + raws[3:], 2),
        ([*raws[:3], raws[2], *raws[3:]], 3),
        ([raws[0], raws[2], raws[1], *raws[3:]], 1),
        (raws[:4], 4),
        ([], 0),
    ]:
        rewrite(folder, changed)
        assert verdict(folder) == ("tampered", where)


def test_a_cut_inside_a_record_is_found(folder):
    intact = folder.segment(0).read_bytes()
    for length in (len(intact) - 1, len(intact) // 2, 5):
        folder.segment(0).write_bytes(intact[:length])
        assert verify_folder(folder.path).verdict == "tampered"


def test_a_history_that_the_owner_rewrites_contradicts_its_head(folder):
    raws = list(records(folder))
    changed = resign(raws[-1], body=json.loads(raws[-1])["body"] | {"reason": "other"})
    rewrite(folder, [*raws[:-1], changed])
    report = verify_folder(folder.path)
    assert (report.verdict, report.entry) == ("tampered", SIZE - 1)
    assert "head" in report.cause


def test_an_entry_that_is_signed_again_no_longer_fits_the_next(folder):
    raws = list(records(folder))
    rewrite(folder, [*raws[:2], resign(raws[2], salt="0" * 32), *raws[3:]])
    assert verdict(folder) == ("tampered", 3)


def test_an_entry_by_another_key_is_found(folder):
    raws = list(records(folder))
    stranger = PrivateIdentity.generate("demo", "bank-a", "node", "n1")
    rewrite(folder, [*raws[:2], resign(raws[2], stranger), *raws[3:]])
    assert verdict(folder) == ("tampered", 2)


@pytest.mark.parametrize("left", [b"", b"\0" * 300])
def test_a_head_that_a_power_cut_emptied_is_no_tampering_if_a_checkpoint_vouches_for_the_log(folder, left):
    folder.head.write_bytes(left)
    report = verify_folder(folder.path)
    assert (report.verdict, report.entries) == ("unverifiable", SIZE)
    assert f"vouches for the first {SIZE} entries" in report.cause
    raws = list(records(folder))
    for changed in (raws[:-1], [*raws[:2], resign(raws[2], salt="0" * 32), *raws[3:]]):
        rewrite(folder, changed)
        assert verify_folder(folder.path).verdict == "tampered"


@pytest.mark.parametrize("gone", ["checkpoint", "vkeys.json"])
def test_an_empty_head_that_no_checkpoint_replaces_is_tampered(folder, gone):
    folder.head.write_bytes(b"")
    (folder.path / gone).unlink()
    assert verify_folder(folder.path).verdict == "tampered"


def test_an_older_head_is_made_up_for_by_the_checkpoint(folder):
    raws = list(records(folder))
    older = entries.Head.sign(3, Entry.parse(raws[3]).prev, OWNER, OWNER.public.fingerprint)
    folder.head.write_bytes(older.raw)
    assert verify_folder(folder.path).verdict == "verified"
    rewrite(folder, raws[:4])
    assert verify_folder(folder.path).verdict == "tampered"
    folder.head.write_bytes(entries.Head.sign(3, "ab" * 32, OWNER, OWNER.public.fingerprint).raw)
    rewrite(folder, raws)
    assert verdict(folder) == ("tampered", 2)


def test_the_signed_head_can_be_neither_altered_nor_taken_away(folder):
    intact = folder.head.read_bytes()
    for position in range(0, len(intact), 5):
        damaged = bytearray(intact)
        damaged[position] ^= 1
        folder.head.write_bytes(damaged)
        assert verdict(folder) == ("tampered", None), position
    folder.head.unlink()
    assert verdict(folder) == ("unverifiable", SIZE)


def test_another_owner_than_expected_is_unverifiable(folder):
    report = verify_folder(folder.path, "0" * 64)
    assert (report.verdict, report.entries) == ("unverifiable", 0)
    assert OWNER.public.fingerprint in report.cause


def test_another_key_in_the_folder_fits_no_entry(folder):
    stranger = PrivateIdentity.generate("demo", "bank-a", "node", "n1").public
    folder.identity.write_bytes(canonical.encode(stranger.document()))
    assert verdict(folder) == ("tampered", 0)


def test_a_folder_without_a_log_is_unverifiable(tmp_path):
    assert verify_folder(tmp_path).verdict == "unverifiable"
    (tmp_path / "identity.json").write_bytes(b"\xff{")
    assert verify_folder(tmp_path).verdict == "unverifiable"


def chain(folder, bodies, **fields):
    """Write a log by hand, as a later version of this program might: each with ``fields``, signed anew."""
    raws, prev = [], entries.NO_ENTRY
    for index, body in enumerate(bodies):
        made = Entry.sign(index, prev, bytes(16), body, OWNER, OWNER.public.fingerprint)
        raws.append(resign(made.raw, **fields))
        prev = entries.tree.leaf_hash(raws[-1]).hex()
    rewrite(folder, raws)
    for derived in (folder.checkpoint, folder.vkeys, folder.tip):
        derived.unlink(missing_ok=True)
    shutil.rmtree(folder.path / "tile", ignore_errors=True)
    folder.head.write_bytes(entries.Head.sign(len(raws), prev, OWNER, OWNER.public.fingerprint).raw)


BODY = {"type": "peer.connected", "ts": "2026-01-01T00:00:00.000Z", "org": "bank-a", "retention_class": "network",
        "detail": {"peer": "bank-b"}}  # fmt: skip


def test_what_a_newer_version_wrote_is_unverifiable_not_tampered(folder):
    newer = [BODY, BODY | {"type": "meteor.seen"}, BODY]
    chain(folder, newer)
    assert verdict(folder) == ("unverifiable", 1)
    chain(folder, [BODY, BODY | {"colour": "red"}])
    assert verdict(folder) == ("unverifiable", 1)
    chain(folder, [BODY, BODY], v=2)
    assert verdict(folder) == ("unverifiable", 0)


def test_an_unknown_kind_of_signature_is_unverifiable(folder, monkeypatch):
    monkeypatch.setattr(entries, "ALGORITHM", "slh-dsa")
    chain(folder, [BODY, BODY])
    monkeypatch.undo()
    assert verify_folder(folder.path).verdict == "tampered"  # its head says so too, and can't be checked
    folder.head.unlink()
    assert verdict(folder) == ("unverifiable", 0)


def test_a_log_from_before_an_event_left_the_catalogue_still_has_its_chain_checked(folder, monkeypatch):
    monkeypatch.setattr(events, "EVENTS", {"log.opened": events.EVENTS["log.opened"]})
    assert verdict(folder) == ("unverifiable", 1)
    raws = list(records(folder))
    rewrite(folder, [*raws[:4], raws[4].replace(b"bank-3", b"bank-9"), raws[5]])
    assert verdict(folder) == ("tampered", 4)


def test_impossible_lengths_do_not_make_the_reader_allocate(folder):
    for length in (0, 2**32 - 1, entries.MAX_ENTRY_BYTES + 1):
        folder.segment(0).write_bytes(struct.pack("<II", length, zlib.crc32(b"")) + bytes(100))
        assert verdict(folder) == ("tampered", 0)


def test_other_files_beside_the_log_do_no_harm(folder):
    (folder.segments / "notes.txt").write_text("hello")
    (folder.segments / "000000000099.log").mkdir()
    assert verdict(folder) == ("verified", None)


def test_reading_streams(folder):
    assert len(list(islice(records(folder), 2))) == 2
