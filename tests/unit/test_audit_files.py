"""``prove``, ``fsck``, ``monitor`` and ``verify --selftest``, by their modules and by the command line."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from consortia_client.cli.audit import audit
from consortia_common import audit_fetch, audit_fsck, audit_selftest
from consortia_common.audit_log import AuditLog
from consortia_common.audit_monitor import Seen, State, visit_folder, visit_sender
from consortia_common.audit_prove import prove
from consortia_common.audit_segments import LogFolder
from consortia_common.errors import LogStorageError
from consortia_crypto.audit import logkeys
from consortia_crypto.audit.policy import NO_QUORUM, Log, Policy
from consortia_crypto.errors import ConsortiaError, CryptoError
from consortia_crypto.keys import PrivateIdentity
from consortia_proto.v1 import network_pb2

OWNER = PrivateIdentity.generate("demo", "bank-a", "node", "n1")
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
NEXT_YEAR = datetime(2027, 1, 1, 0, 1, tzinfo=UTC)
SIZE = 300


def opened(path, now=NOW):
    return AuditLog.open(path, OWNER, "bank-a", lambda: now)


def grow(log, count, word="bank"):
    log.append_many([("peer.connected", {"peer": f"{word}-{number}"}) for number in range(count)])


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("original") / "log"
    with opened(path) as log:
        log.append("peer.connected", peer="bank-x", payload_commit=log.attach(b"{}"))
        grow(log, SIZE - 2)
    return path


@pytest.fixture
def folder(original, tmp_path):
    return LogFolder(shutil.copytree(original, tmp_path / "copy"))


def run(*arguments):
    return CliRunner().invoke(audit, [str(argument) for argument in arguments])


def own_policy(folder):
    (pair,) = logkeys.parse(folder.vkeys.read_bytes(), OWNER.public)
    return Policy(tuple(Log(key) for key in pair.keys), (), (), NO_QUORUM)


@pytest.mark.parametrize("index", [0, 17, 255, 256, SIZE - 1])
def test_every_entry_can_be_proved_with_tiles_and_without(folder, index):
    proof, entry = prove(folder, index)
    assert proof.judge(entry, own_policy(folder)).satisfied
    shutil.rmtree(folder.path / "tile")
    assert prove(folder, index) == (proof, entry)


def test_what_is_not_there_or_not_yet_signed_can_not_be_proved(folder):
    with pytest.raises(LogStorageError, match="no entry"):
        prove(folder, SIZE)
    folder.checkpoint.unlink()
    with pytest.raises(LogStorageError, match="no checkpoint"):
        prove(folder, 0)


def test_a_proof_goes_out_as_a_file_and_is_checked_with_a_policy(folder, tmp_path):
    out, policy = tmp_path / "7.tlog-proof", tmp_path / "policy.txt"
    policy.write_bytes(own_policy(folder).raw)
    assert run("prove", folder.path, 7, "--out", out).exit_code == 0
    assert run("verify", out, "--policy", policy).exit_code == 0
    assert run("verify", out).exit_code == 64
    entry = out.with_suffix(".json")
    entry.write_bytes(entry.read_bytes().replace(b"bank-5", b"bank-6"))
    assert run("verify", out, "--policy", policy).exit_code == 1
    assert json.loads(run("prove", folder.path, 7, "--json").stdout)["entry"] == 7
    assert run("prove", folder.path, 7).stdout.startswith("c2sp.org/tlog-proof@v1\nindex 7\n")
    result = run("prove", folder.path, SIZE, "--json")
    assert (result.exit_code, "no entry" in json.loads(result.stdout)["refused"]) == (2, True)
    assert run("reconcile", folder.path).exit_code == 64


def test_a_log_in_order_has_no_faults(folder):
    assert audit_fsck.check(folder) == []
    result = run("fsck", folder.path, "--json")
    assert (result.exit_code, json.loads(result.stdout)["faults"]) == (0, [])


@pytest.mark.parametrize(
    ("name", "data", "harm"),
    [
        ("tile/0/000", None, False), ("tile/0/000", b"x", False), ("tile/entries/001.p/44", None, False),
        ("tile/notes", b"x", False), ("segments/notes", b"x", False), (".head.new", b"x", False),
        ("head", None, True), ("checkpoint", b"x", True), ("documents/a.json", b"x", True),
        ("turning", b"x", False),
    ],
)  # fmt: skip
def test_faults_are_named_and_weighed(folder, name, data, harm):
    path = folder.path / name
    path.unlink(missing_ok=True)
    if data is not None:
        path.write_bytes(data)
    faults = audit_fsck.check(folder)
    assert any((fault.path, fault.harm) == (name, harm) for fault in faults), faults
    assert run("fsck", folder.path).exit_code == (1 if harm else 2)


def test_secrets_that_others_can_read_and_lost_entries_are_harm(folder):
    folder.keys.chmod(0o644)
    assert [fault.path for fault in audit_fsck.check(folder)] == ["log.keys"]
    folder.keys.chmod(0o600)
    segment = folder.segment(0)
    segment.write_bytes(segment.read_bytes()[:-5])
    assert any(fault.harm and fault.entry == SIZE - 1 for fault in audit_fsck.check(folder))


def test_tiles_are_made_again_but_not_under_a_living_log(folder):
    shutil.rmtree(folder.path / "tile")
    with opened(folder.path), pytest.raises(LogStorageError, match="open"):
        audit_fsck.rebuild(folder)
    shutil.rmtree(folder.path / "tile")
    assert run("fsck", folder.path, "--rebuild").exit_code == 0
    assert run("verify", folder.path).exit_code == 0
    assert audit_fsck.rebuild(folder) == 0


def test_a_monitor_sees_a_log_grow(folder):
    first = visit_folder(folder, None, NOW)
    assert (first.seen, first.size, first.added) == (Seen.NEW, SIZE, SIZE)
    assert visit_folder(folder, first.state, NOW).seen is Seen.SAME
    with opened(folder.path) as log:
        grow(log, 40)
    grown = visit_folder(folder, first.state, NOW)
    assert (grown.seen, grown.added) == (Seen.GROWN, 41)


def test_a_monitor_tells_of_a_missing_heartbeat(folder):
    later = NOW + timedelta(minutes=3)
    assert visit_folder(folder, None, later).seen is Seen.SILENT
    with opened(folder.path, later):
        pass
    assert visit_folder(folder, None, later).seen is Seen.NEW


def test_a_monitor_finds_a_log_that_was_taken_back_or_changed(folder, original, tmp_path):
    with opened(folder.path) as log:
        grow(log, 10)
    state = visit_folder(folder, None, NOW).state
    taken_back = visit_folder(LogFolder(original), state, NOW)
    assert (taken_back.seen, taken_back.state) == (Seen.CONTRADICTION, None)
    assert all("consortia.demo/bank-a/audit/2026" in statement for statement in taken_back.evidence)
    other = LogFolder(shutil.copytree(original, tmp_path / "other"))
    with opened(other.path) as log:
        grow(log, 20, "another")
    changed = visit_folder(other, state, NOW)
    assert (changed.seen, "does not follow" in changed.cause) == (Seen.CONTRADICTION, True)


def sent(folder):
    """How a coordinator sends the log that lies in a folder."""
    return partial(audit_fetch.chunks, folder)


def test_a_monitor_follows_a_log_that_is_sent(folder):
    state = visit_sender(OWNER.public, sent(folder), None, NOW).state
    with opened(folder.path) as log:
        grow(log, 5)
    assert visit_sender(OWNER.public, sent(folder), state, NOW).added == 6
    assert visit_sender(OWNER.public, sent(folder), None, NOW + timedelta(minutes=3)).seen is Seen.SILENT
    lost = visit_sender(OWNER.public, lambda start: audit_fetch.chunks(folder, start + 1), state, NOW)
    assert lost.seen is Seen.CONTRADICTION
    cut = list(audit_fetch.chunks(folder))
    cut[-1].head = b""
    for chunks in (cut, [], [network_pb2.LogChunk(head=b"x", checkpoint=b"\xff", keys=b"{")]):
        with pytest.raises(CryptoError):
            visit_sender(OWNER.public, lambda _, chunks=chunks: chunks, state, NOW)


GARBAGE = st.builds(
    network_pb2.LogChunk,
    entries=st.lists(st.binary(max_size=50), max_size=2),
    head=st.binary(max_size=3),
    year=st.integers(0, 9999),
    checkpoint=st.binary(max_size=200)
    | st.just(b"consortia.demo/bank-a/audit/2026\n1\nAAAA\n\n\xe2\x80\x94 x y\n"),
    keys=st.binary(max_size=50) | st.just(b"[]"),
)


@given(st.lists(GARBAGE, max_size=4))
def test_garbage_that_is_sent_to_a_monitor_raises_our_errors_only(chunks):
    with pytest.raises(ConsortiaError):
        visit_sender(OWNER.public, lambda _: chunks, None, NOW)


def turned(folder, word="bank", at=NEXT_YEAR):
    """Some entries more, and the first ones of the next year."""
    with opened(folder.path) as log:
        grow(log, 3, word)
    with opened(folder.path, at) as log:
        grow(log, 2)


@pytest.mark.parametrize("by", ["folder", "sender"])
def test_a_monitor_follows_a_log_over_the_turn_of_years(folder, by):
    def visit(state, now):
        if by == "folder":
            return visit_folder(folder, state, now)
        return visit_sender(OWNER.public, sent(folder), state, now)

    state = visit(None, NOW).state
    turned(folder)
    grown = visit(state, NEXT_YEAR)
    assert (grown.seen, grown.size, grown.added) == (Seen.GROWN, 4, 1 + 3 + 4)
    assert grown.state.origin == "consortia.demo/bank-a/audit/2027"
    turned(folder, at=NEXT_YEAR + timedelta(days=800))
    assert visit(state, NEXT_YEAR).state == visit(grown.state, NEXT_YEAR).state


def test_a_monitor_sees_what_is_changed_at_the_turn_of_the_year(folder, original, tmp_path):
    with opened(folder.path) as log:
        grow(log, 10, "seen")
    state = visit_folder(folder, None, NOW).state
    other = LogFolder(shutil.copytree(original, tmp_path / "other"))
    turned(other, "another")
    assert "entries, and now has" in visit_folder(other, state, NEXT_YEAR).cause
    turned(folder)
    another = other.shards()[0]
    swapped = LogFolder(shutil.copytree(folder.path, tmp_path / "swapped"))
    shutil.rmtree(swapped.years)
    assert "is gone" in visit_folder(swapped, state, NEXT_YEAR).cause
    before = visit_folder(LogFolder(original), None, NOW).state
    shutil.copytree(another.path, swapped.years / "2026")
    assert "does not continue" in visit_folder(swapped, before, NEXT_YEAR).cause
    assert visit_folder(folder, before, NEXT_YEAR).seen is Seen.GROWN


def test_the_monitor_command_remembers_and_keeps_evidence(folder, original, tmp_path):
    now = datetime.now(UTC)
    with opened(folder.path, now) as log:
        grow(log, 3)
    state = tmp_path / "watch" / "state"
    state.parent.mkdir()
    assert run("monitor", folder.path, "--state", state).exit_code == 0
    assert State.load(state).size == SIZE + 4
    result = run("monitor", original, "--state", state, "--json")
    assert (result.exit_code, json.loads(result.stdout)["seen"]) == (1, "contradiction")
    assert len(list((tmp_path / "watch" / "evidence").iterdir())) == 2
    assert run("monitor", "--state", state).exit_code == 64
    state.write_bytes(b"{}")
    assert run("monitor", folder.path, "--state", state).exit_code == 2


def test_verification_catches_every_harm(folder):
    result = run("verify", "--selftest", "--ways", 120, folder.path, "--json")
    (test,) = json.loads(result.stdout)["selftests"]
    assert (result.exit_code, test["missed"]) == (0, [])
    assert sum(test["tried"].values()) == 120
    assert test["tried"].keys() == audit_selftest.WAYS_BY_NAME.keys()


@pytest.mark.slow
def test_verification_catches_five_hundred_harms(folder):
    assert audit_selftest.run(folder.path).missed == ()


def test_the_selftest_would_tell_of_a_miss(folder, monkeypatch):
    verified = audit_selftest.verify_folder(folder.path)
    monkeypatch.setattr(audit_selftest, "verify_folder", lambda *_: verified)
    test = audit_selftest.run(folder.path, 3)
    assert len(test.missed) == test.total == 3


def test_the_selftest_needs_a_log_that_verifies(folder):
    folder.head.unlink()
    assert run("verify", "--selftest", folder.path).exit_code == 2
