"""What a node keeps of others' identities, and how what a handler says becomes a reply."""

from pathlib import Path

import pytest

from consortia_common.content import Content
from consortia_common.errors import SettingsError
from consortia_crypto.errors import ConsortiaError
from consortia_crypto.keys import PrivateIdentity
from consortia_node.answers import Answer, failed_by, refused_by
from consortia_node.errors import AgreementError, RefusedError, StepError
from consortia_node.kinds import step_of, steps_of
from consortia_node.peers import Peers
from consortia_proto.v1 import exchange_pb2 as pb

ANA = PrivateIdentity.generate("lab", "bank-a", "analyst", "ana").public
BOB = PrivateIdentity.generate("lab", "bank-b", "node", "node").public
TASK = pb.Task(task_id="job/query.tabulate/0/bank-a", job_id="job")


def test_identities_are_kept_by_fingerprint(tmp_path: Path) -> None:
    peers = Peers(tmp_path / "peers")
    peers.keep(ANA)
    peers.keep(ANA)
    assert Peers(tmp_path / "peers").get(ANA.fingerprint) == ANA
    assert [path.stem for path in (tmp_path / "peers").iterdir()] == [ANA.fingerprint]


def test_an_identity_that_never_came_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(AgreementError, match=f"fingerprint {BOB.fingerprint[:16]} is not known") as missing:
        Peers(tmp_path / "peers").get(BOB.fingerprint)
    assert "enrol" in missing.value.remedy


def test_another_identity_can_not_take_its_place(tmp_path: Path) -> None:
    peers = Peers(tmp_path)
    peers.keep(BOB)
    (tmp_path / f"{BOB.fingerprint}.json").rename(tmp_path / f"{ANA.fingerprint}.json")
    with pytest.raises(AgreementError):
        peers.get(ANA.fingerprint)
    (tmp_path / f"{ANA.fingerprint}.json").write_bytes(b"{}")
    with pytest.raises(SettingsError):
        peers.get(ANA.fingerprint)


def test_an_identity_that_was_revoked_is_given_to_nobody(tmp_path: Path) -> None:
    peers = Peers(tmp_path)
    peers.keep(BOB)
    peers.require_standing(BOB.fingerprint)
    peers.revoke(BOB.fingerprint, b"{}")
    peers.keep(BOB)  # whoever brings it again
    for ask in (peers.get, peers.require_standing):
        with pytest.raises(AgreementError, match="were revoked"):
            ask(BOB.fingerprint)
    assert Peers(tmp_path).is_revoked(BOB.fingerprint)


def test_content_becomes_a_reply() -> None:
    reply = Answer(Content(config={"a": 1})).reply(TASK)
    assert (reply.task_id, reply.job_id, reply.WhichOneof("outcome")) == (TASK.task_id, "job", "content")
    assert Content.from_proto(reply.content, "x").config == {"a": 1}


@pytest.mark.parametrize(
    ("failure", "code", "clause"),
    [
        (refused_by(RefusedError("datasets.columns", "The column is not named.")), "refused", "datasets.columns"),
        (failed_by(ConsortiaError("It broke.", blame="b", remedy="r")), "failed", ""),
    ],
)
def test_failures_become_replies_that_say_whose_fault(failure: pb.Failure, code: str, clause: str) -> None:
    reply = Answer(failure).reply(TASK)
    assert (reply.task_id, reply.failure.code, reply.failure.clause) == (TASK.task_id, code, clause)
    assert reply.failure.what
    assert reply.failure.blame
    assert reply.failure.remedy


def test_only_the_steps_of_a_kind_can_be_asked() -> None:
    for kind in ("statistics", "train", "score"):
        for name, step in steps_of(kind).items():
            assert step_of(kind, name) is step
    for name in ("", "offer", "query.encrypt", "__class__", "x" * 1000):
        with pytest.raises(StepError, match="has no step") as refused:
            step_of("statistics", name)
        assert refused.value.blame == "the coordinator"
        assert len(refused.value.what) < 100
