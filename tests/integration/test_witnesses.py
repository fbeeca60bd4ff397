"""Witnesses over the real exchange: no quorum, no release; a forked log is found; an old backup does not start."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from consortia_client import control
from consortia_common import keyfiles, tls, witness_keys
from consortia_common.audit_log import AuditLog
from consortia_common.audit_segments import LogFolder, records
from consortia_common.errors import WitnessError
from consortia_common.witness_alarms import acknowledge
from consortia_crypto import canonical
from consortia_crypto.audit.entry import Entry
from consortia_crypto.audit.witness import AddCheckpoint
from consortia_crypto.audit.witnesskeys import policy_of
from consortia_crypto.keys import PrivateIdentity
from consortia_node import config as node_config
from consortia_proto.v1 import control_pb2, witness_pb2_grpc
from consortia_proto.v1 import witness_pb2 as pb
from tests.support.cli import as_json, consortia
from tests.support.consortium import Consortium, build, consent_notice, consent_table, prepare, running
from tests.support.specs import BANKS, spec


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Consortium:
    return build(tmp_path_factory.mktemp("witnessed"))


@pytest.fixture
def consortium(built: Consortium, tmp_path: Path) -> Consortium:
    """A copy that a test may spoil, on the same port."""
    shutil.copytree(built.root, tmp_path / "net")
    return Consortium(tmp_path / "net", built.port)


def events(consortium: Consortium, whose: str, name: str) -> list[dict[str, object]]:
    entries = map(Entry.parse, records(LogFolder(consortium.log(whose))))
    return [dict(entry.body) for entry in entries if entry.type == name]


@contextmanager
def other_half(consortium: Consortium, bank: str, folder: Path) -> Iterator[AuditLog]:
    """A second history of a bank's log, which begins like the first."""
    shutil.copytree(consortium.log(bank), folder, ignore=shutil.ignore_patterns("lock"))
    identity = keyfiles.load_identity(consortium.root / bank / "identity.key")
    with AuditLog.open(folder, identity, bank, partial(datetime.now, UTC)) as log:
        yield log


def ask_as(
    consortium: Consortium, bank: str, log: AuditLog, witnesses: list[str], old: int = 0
) -> list[pb.CosignAnswer]:
    """Ask witnesses for a log's newest checkpoint, with the certificate of ``bank``."""
    folder = consortium.root / bank
    identity = canonical.encode(keyfiles.load_identity(folder / "identity.key").public.document())
    request = AddCheckpoint(0, (), log.checkpoint().note.raw).raw
    with tls.client_channel(f"127.0.0.1:{consortium.port}", tls.Credentials.load(folder), "lab") as channel:
        asked = pb.CosignRequest(
            owner=pb.LogOwner(identity=identity, keys=log.folder.vkeys.read_bytes()),
            questions=[pb.CosignQuestion(institution=name, request=request) for name in witnesses],
        )
        return list(witness_pb2_grpc.WitnessingStub(channel).Cosign(asked, timeout=20).answers)


def test_a_job_whose_bank_has_no_quorum_fails_with_the_names_and_releases_nothing(consortium: Consortium) -> None:
    settings = consortium.node_config("bank-b")
    settings.write_text("witness_seconds = 1\n" + settings.read_text())
    folders = [consortium.root / name for name in ("bank-a", "bank-c", "coordinator")]
    known = [witness_keys.load_or_make(one, keyfiles.load_identity(one / "identity.key")) for one in folders]
    absent = witness_keys.load_or_make(
        settings.parent / "data", PrivateIdentity.generate("lab", "bank-x", "node", "n")
    )
    policy = policy_of([signer.statement for signer in (*known, absent)], 4)
    (settings.parent / "witness.policy").write_bytes(policy.raw)
    with running(consortium):
        prepare(consortium)
        status = consortium.run(spec("statistics"))
    assert status.state == "failed"
    assert "bank-x: it did not answer in time" in status.refusals[0].failure.what
    assert status.refusals[0].institution == "bank-b"
    assert not events(consortium, "coordinator", "job.finished")
    assert not events(consortium, "bank-b", "result.sealed")


def test_an_erasure_waits_for_witnesses_and_is_finished_when_they_come(consortium: Consortium) -> None:
    settings = consortium.node_config("bank-a")
    settings.write_text("witness_seconds = 1\n" + settings.read_text())
    customer = "BANK-A-00001"
    with running(consortium, banks=["bank-a"]), control.node(settings) as node:
        node.AddConsentNotice(consent_notice(), timeout=20)
        node.ImportConsent(consent_table(settings.parent), timeout=60)
    with running(consortium, banks=["bank-a"]):
        with pytest.raises(Exception, match="bank-b: it did not answer"), control.node(settings) as node:
            node.EraseSubjects(control_pb2.EraseSubjectsRequest(subjects=[customer]), timeout=20)
        assert len(events(consortium, "bank-a", "erasure.done")) == 1
        assert not events(consortium, "bank-a", "keys.rolled")
    with running(consortium), control.node(settings) as node:
        for _ in range(200):
            if events(consortium, "bank-a", "keys.rolled"):
                break
            node.Status(control_pb2.StatusRequest(), timeout=20)
    assert len(events(consortium, "bank-a", "erasure.done")) == 1


def test_a_forked_log_is_found_kept_told_and_stops_releases(consortium: Consortium, tmp_path: Path) -> None:
    with running(consortium, banks=["bank-b", "bank-c"]), ExitStack() as stack:
        one = stack.enter_context(other_half(consortium, "bank-a", tmp_path / "one"))
        other = stack.enter_context(other_half(consortium, "bank-a", tmp_path / "other"))
        (shown,) = ask_as(consortium, "bank-a", one, ["bank-b"])
        assert shown.outcome == pb.COSIGNED
        (refused,) = ask_as(consortium, "bank-a", other, ["bank-b"])
        assert refused.outcome == pb.CONFLICT
        for finder in ("bank-b", "bank-c", "coordinator"):
            _await_conflict(consortium, finder)
        tools = consortium.running[1].tools
        entry = tools.log.append("message.refused", reason="for a test")
        with pytest.raises(WitnessError, match=r"consortia.lab/bank-a/audit/.* contradict each other"):
            tools.witnessed(entry)
        for path in sorted((consortium.log("bank-b") / "evidence").glob("*.found")):
            acknowledge(path.parent, path.stem, "their officer explained it")
        tools.witnessed(entry)
        assert events(consortium, "bank-b", "witness.acknowledged")
    evidence = consortium.log("bank-c") / "evidence"
    shutil.rmtree(evidence)  # as if it had been away; the coordinator has been restarted since
    with running(consortium, banks=["bank-b", "bank-c"]):
        _await(lambda: any(evidence.glob("*.found")), consortium)


def test_a_node_put_back_from_a_backup_refuses_to_start(consortium: Consortium, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    with running(consortium):
        pass
    shutil.copytree(consortium.log("bank-a"), backup)
    with running(consortium):
        tools = consortium.running[1].tools
        for _ in range(20):
            entry = tools.log.append("message.refused", reason="for a test")
        tools.witnessed(entry)
        seen = tools.log.signed.checkpoint.size
    shutil.rmtree(consortium.log("bank-a"))
    shutil.copytree(backup, consortium.log("bank-a"))
    with pytest.raises(WitnessError, match=r"coordinator cosigned \d+ entries .*; it has \d+"), running(consortium):
        pass
    assert seen > 20


def test_a_coordinator_put_back_from_a_backup_is_told_as_soon_as_nodes_come(
    consortium: Consortium, tmp_path: Path
) -> None:
    with running(consortium):
        pass
    shutil.copytree(consortium.log("coordinator"), tmp_path / "backup")
    with running(consortium):
        witnessing = consortium.running[0].witnessing
        _await(lambda: consortium.log("coordinator").joinpath("cosigned", "checkpoint").exists(), consortium)
        log = witnessing.rounds._means.log
        witnessing.rounds.witnessed(log.append("message.refused", reason="for a test"))
    shutil.rmtree(consortium.log("coordinator"))
    shutil.copytree(tmp_path / "backup", consortium.log("coordinator"))
    with running(consortium):
        witnessing = consortium.running[0].witnessing
        _await(witnessing.lost.is_set, consortium)
        with pytest.raises(WitnessError, match="put back from an old copy"):
            witnessing.rounds.require_whole()


def test_policies_are_written_by_commands_from_confirmed_fingerprints(consortium: Consortium) -> None:
    for name in (*BANKS, "coordinator"):
        (consortium.root / name / "witness.policy").unlink()
    with running(consortium):
        tools = consortium.running[1].tools
        entry = tools.log.append("message.refused", reason="for a test")
        with pytest.raises(WitnessError, match="no good witness policy"):
            tools.witnessed(entry)
        command = ("node", "witnesses", "--config", consortium.node_config("bank-a"), "--quorum", "3")
        for _ in range(200):  # a node says its keys when it comes to witness
            done = consortia(*command, "--json")
            if done.exit_code == 0:
                break
        written = as_json(done)
        assert sorted(written["witnesses"]) == ["bank-b", "bank-c", "coordinator"]
        tools.witnessed(entry)
        done = consortia("coordinator", "witnesses", "--config", consortium.coordinator_config, "--quorum", "2")
        assert done.exit_code == 0, done.output
        (consortium.root / "bank-a" / "members.txt").write_text("bank-b " + "0" * 64 + "\n")
        again = consortia(*command)
        assert again.exit_code == 1
        assert "can't be reached with" in again.output
    assert node_config.load(consortium.node_config("bank-a")).witness_seconds == 30


def _await_conflict(consortium: Consortium, whose: str) -> None:
    _await(lambda: bool(events(consortium, whose, "witness.conflict")), consortium)


def _await(accept: Callable[[], bool], consortium: Consortium) -> None:
    """Wait for a condition, a call to a node at a time."""
    for _ in range(3000):
        if accept():
            return
        with control.node(consortium.node_config("bank-b")) as node:
            node.Status(control_pb2.StatusRequest(), timeout=20)
    raise AssertionError("it did not happen")
