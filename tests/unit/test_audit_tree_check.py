"""Tiles, checkpoints and policies: what lies beside the entries is checked against them."""

import json
import shutil
from datetime import UTC, datetime

import pytest

from consortia_common.audit_log import AuditLog
from consortia_common.audit_segments import LogFolder
from consortia_common.audit_verify import verify_folder
from consortia_crypto.audit import logkeys
from consortia_crypto.audit.checkpoint import Checkpoint, sign_checkpoint
from consortia_crypto.audit.logkeys import KeyPair
from consortia_crypto.audit.note import Note
from consortia_crypto.audit.notekeys import KeyKind, SigningKey
from consortia_crypto.audit.policy import Policy
from consortia_crypto.keys import PrivateIdentity

OWNER = PrivateIdentity.generate("demo", "bank-a", "node", "n1")
SIZE = 300
WITNESSES = [SigningKey.generate(f"consortia.demo/bank-{x}/witness", KeyKind.ED25519_COSIGNATURE) for x in "bc"]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("original") / "log"
    with AuditLog.open(path, OWNER, "bank-a", lambda: datetime(2026, 1, 1, tzinfo=UTC)) as log:
        log.append_many([("peer.connected", {"peer": f"bank-{number}"}) for number in range(SIZE - 1)])
    return path


@pytest.fixture
def folder(original, tmp_path):
    return LogFolder(shutil.copytree(original, tmp_path / "copy"))


def verdict(folder, **options):
    report = verify_folder(folder.path, **options)
    return report.verdict, report.cause


def policy(folder, quorum, keys=None):
    lines = [f"log {key}" for key in keys or vkeys(folder)]
    lines += [f"witness {x} {key.verifier.text}" for x, key in zip("bc", WITNESSES, strict=True)]
    return Policy.parse("\n".join([*lines, "group both all b c", f"quorum {quorum}", ""]).encode())


def vkeys(folder):
    (pair,) = json.loads(folder.vkeys.read_bytes())
    return [pair["ed25519"], pair["mldsa44"]]


def cosign(folder, *witnesses):
    note = Note.parse(folder.checkpoint.read_bytes())
    checkpoint = Checkpoint.parse(note.text)
    cosigned = folder.path / "cosigned"
    cosigned.mkdir(exist_ok=True)
    signed = note.with_signatures(checkpoint.sign(witness, 1_800_000_000) for witness in witnesses)
    (cosigned / "checkpoint").write_bytes(signed.raw)


def test_a_whole_log_has_its_checkpoint_confirmed(folder):
    report = verify_folder(folder.path)
    assert (report.verdict, report.checkpoint, report.entries) == ("verified", SIZE, SIZE)
    assert report.signed_time == "2026-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    "origin",
    ["consortia.demo/bank-b/audit/2026", "consortia.demo/bank-a/audit/2026x", "consortia.other/bank-a/audit/2026"],
)
def test_a_checkpoint_under_anothers_origin_is_not_this_logs(folder, origin):
    """Though the owner endorsed the keys, and the root is right."""
    signers = [SigningKey.generate(origin, kind) for kind in (KeyKind.ED25519, KeyKind.MLDSA44)]
    pair = KeyPair(signers[0].verifier, signers[1].verifier, 0).endorsed(OWNER)
    folder.vkeys.write_bytes(logkeys.encode((pair,)))
    mine = Checkpoint.parse(Note.parse(folder.checkpoint.read_bytes()).text)
    folder.checkpoint.write_bytes(sign_checkpoint(Checkpoint(origin, mine.size, mine.root), signers, 1).raw)
    found, cause = verdict(folder)
    assert (found, "of another log" in cause) == ("tampered", True)


@pytest.mark.parametrize("name", ["0/000", "0/001.p/44", "1/000.p/1", "entries/000", "entries/001.p/44"])
def test_a_tile_that_is_altered_is_named_and_one_that_is_missing_too(folder, name):
    path = folder.path / "tile" / name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    found, cause = verdict(folder)
    assert (found, f"tile/{name}" in cause) == ("tampered", True)
    path.unlink()
    found, cause = verdict(folder)
    assert (found, f"tile/{name} is missing" in cause) == ("unverifiable", True)


def test_an_altered_leaf_hash_names_its_entry(folder):
    path = folder.path / "tile" / "0" / "000"
    data = bytearray(path.read_bytes())
    data[32 * 17 + 5] ^= 1
    path.write_bytes(data)
    assert verify_folder(folder.path).entry == 17


def test_a_full_tile_serves_for_the_part_that_a_smaller_checkpoint_needs(folder):
    part = folder.path / "tile" / "0" / "001.p" / "44"
    full = folder.path / "tile" / "0" / "001"
    full.write_bytes(part.read_bytes() + bytes(32 * (256 - 44)))
    part.unlink()
    part.parent.rmdir()
    assert verdict(folder) == ("verified", "")


def test_a_checkpoint_of_other_entries_is_refused(folder, tmp_path):
    with AuditLog.open(tmp_path / "other", OWNER, "bank-a", lambda: datetime(2026, 1, 1, tzinfo=UTC)) as log:
        log.append("peer.connected", peer="bank-b")
    for name in ("checkpoint", "vkeys.json"):
        shutil.copy(tmp_path / "other" / name, folder.path / name)
    found, cause = verdict(folder)
    assert (found, "another root" in cause) == ("tampered", True)


def test_keys_or_checkpoint_that_are_missing_leave_the_log_unverifiable(folder):
    vkeys = folder.vkeys.read_bytes()
    folder.vkeys.unlink()
    assert verdict(folder)[0] == "unverifiable"
    folder.vkeys.write_bytes(vkeys)
    folder.checkpoint.unlink()
    assert verdict(folder)[0] == "unverifiable"


def test_a_policy_asks_for_the_logs_key_and_a_quorum(folder):
    assert verdict(folder, policy=policy(folder, "none")) == ("verified", "")
    assert verdict(folder, policy=policy(folder, "b"))[0] == "unverifiable"
    cosign(folder, WITNESSES[0])
    assert verdict(folder, policy=policy(folder, "b")) == ("verified", "")
    assert verdict(folder, policy=policy(folder, "both"))[0] == "unverifiable"
    cosign(folder, *WITNESSES)
    assert verdict(folder, policy=policy(folder, "both")) == ("verified", "")
    stranger = SigningKey.generate("consortia.demo/bank-a/audit/2026", KeyKind.ED25519).verifier.text
    found, cause = verdict(folder, policy=policy(folder, "none", [stranger]))
    assert (found, "policy" in cause) == ("unverifiable", True)


def test_a_cosigned_checkpoint_that_contradicts_the_entries_is_evidence(folder):
    note = Note.parse(folder.checkpoint.read_bytes())
    forged = Checkpoint(Checkpoint.parse(note.text).origin, 7, bytes(32))
    (folder.path / "cosigned").mkdir()
    signed = Note(forged.text, (forged.sign(WITNESSES[0], 1),))
    (folder.path / "cosigned" / "checkpoint").write_bytes(signed.raw)
    found, cause = verdict(folder)
    assert (found, "7 entries" in cause) == ("tampered", True)


def test_earlier_years_are_verified_and_linked(tmp_path):
    now = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
    with AuditLog.open(tmp_path, OWNER, "bank-a", lambda: now) as log:
        log.append("peer.connected", peer="bank-b")
        now = datetime(2027, 1, 1, tzinfo=UTC)
        log.append("peer.connected", peer="bank-c")
    report = verify_folder(tmp_path)
    assert (report.verdict, report.entries) == ("verified", 4)
    year = tmp_path / "years" / "2026"
    data = bytearray((year / "segments" / "000000000000.log").read_bytes())
    data[100] ^= 1
    (year / "segments" / "000000000000.log").write_bytes(data)
    found, cause = verdict(LogFolder(tmp_path))
    assert (found, cause.startswith("2026: ")) == ("tampered", True)
    shutil.rmtree(year)
    assert verdict(LogFolder(tmp_path))[0] == "unverifiable"
