"""A node that sends what it should not: refused in its name, on the coordinator's log, and the next job runs."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from consortia_common import sealed
from consortia_common.content import Content
from consortia_crypto.sum import lattice_secret, opening
from consortia_proto.v1 import content_pb2
from consortia_proto.v1 import exchange_pb2 as pb
from tests.support.consortium import Consortium
from tests.support.evidence import verdicts
from tests.support.specs import BANKS, spec
from tests.support.spoilt import check_silent, in_this_process, lie, logged, only_failure, reasons

LIAR = "bank-b"
Tell = Callable[[pb.Reply], pb.Reply]


@pytest.fixture(autouse=True)
def _without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    in_this_process(monkeypatch)


def saying(**changes: Any) -> Tell:
    """The answer with other values in it; what is called is called with the honest one, None leaves it out."""

    def tell(said: pb.Reply) -> pb.Reply:
        config = dict(Content.from_proto(said.content, "a test").config)
        for name, change in changes.items():
            config[name] = change(config[name]) if callable(change) else change
        kept = {name: value for name, value in config.items() if value is not None}
        return pb.Reply(task_id=said.task_id, job_id=said.job_id, content=Content(config=kept).to_proto())

    return tell


def speaking(name: str, change: Callable[[bytes], bytes]) -> Tell:
    """The answer with another message of the sum's protocol in it, or with other messages of several sums."""
    if name == "messages":
        return saying(messages=lambda honest: [change(message) for message in honest])
    return saying(**{name: change})


def uploading(**changes: Any) -> Tell:
    """The answer with other values in the upload that rides with it."""
    return saying(**sealed.riding(sealed.BEHIND, changes))


def contents(change: Callable[[content_pb2.Content], object]) -> Tell:
    """The reply after ``change`` was made to its content."""

    def tell(said: pb.Reply) -> pb.Reply:
        change(said.content)
        return said

    return tell


def frames(change: Callable[[bytes], bytes]) -> Tell:
    """The upload with its only frame changed."""
    return uploading(frames=lambda honest: [change(honest[0])])


def array(name: str) -> content_pb2.Array:
    return Content(arrays={name: np.zeros(4)}).to_proto().arrays[0]


def misshapen(content: content_pb2.Content) -> None:
    content.arrays.append(array("x"))
    content.arrays[0].shape[:] = [7, 7]


def doubled(content: content_pb2.Content) -> None:
    content.arrays.extend([array("x"), array("x")])


@pytest.mark.parametrize(
    ("tell", "words"),
    [
        (frames(lambda data: data[:-1]), "frame 0 has"),
        (frames(lambda data: bytes([data[0] ^ 1]) + data[1:]), "not the one that it signed"),
        (uploading(frames=lambda honest: honest * 2), "frame 1 came where"),
        (uploading(frames=[]), "it ended after 0 of 1 frames"),
        (uploading(frames=["text"]), "an answer lacks its frames"),
        (uploading(frames=None), "an answer lacks its frames"),
        (uploading(message=lambda honest: honest[:-1]), "was not understood"),
        (uploading(message=lambda honest: honest[:-64] + bytes(64)), "signature of bank-b"),
        (uploading(message=lambda honest: honest.replace(b"bank-b", b"bank-c")), "names another sender"),
        (uploading(message="text"), "an answer lacks its message"),
        (contents(misshapen), "an array's bytes do not match its shape"),
        (contents(doubled), "two arrays have one name"),
        (contents(lambda content: content.metrics["loss"].MergeFrom(content_pb2.Value(text="x"))), "is no number"),
        (contents(lambda content: content.config["note"].SetInParent()), "a field has no value"),
    ],
)
def test_an_upload_that_is_none_is_refused_in_its_senders_name(
    tell: Tell, words: str, spoilt: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as lying:
        lie(lying, LIAR, "query.tabulate", tell)
        status = spoilt.run(spec("statistics"))
    (refusal,) = status.refusals
    failure = only_failure(status, refusal.institution, words)
    assert LIAR in failure.blame
    assert reasons(spoilt, "coordinator", "job.failed", status.job_id) == [failure.what]
    check_silent(spoilt, str(status))


@pytest.mark.parametrize(
    ("step", "name"), [("sum.share", "messages"), ("sum.sign", "message"), ("sum.sign", "revealed")]
)
@pytest.mark.parametrize(
    ("change", "words"),
    [(lambda honest: honest[:-1], "was not understood"), (lambda honest: honest[:-64] + bytes(64), "signature of")],
)
def test_a_message_that_is_not_its_senders(
    step: str,
    name: str,
    change: Callable[[bytes], bytes],
    words: str,
    spoilt: Consortium,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as lying:
        lie(lying, LIAR, step, speaking(name, change))
        status = spoilt.run(spec("statistics"))
    failure = only_failure(status, LIAR, words)
    (entry,) = logged(spoilt, "coordinator", "ciphertext.refused", status.job_id)
    assert entry["reason"] == failure.what
    assert entry["detail"]["step"] == step
    assert LIAR in entry["detail"]["peer"]


def too_large(data: bytes) -> bytes:
    """A coefficient that is not below the modulus."""
    return data[:-8] + b"\xff" * 8


def signing(monkeypatch: pytest.MonkeyPatch, change: Callable[[bytes], bytes]) -> None:
    """Have LIAR's upload changed before it signs for it."""
    honest = opening.seal

    def seal(policy: Any, group: Any, values: Any, sink: Any, plan: Any, **others: Any) -> tuple[str, int]:
        digest, tag = honest(policy, group, values, sink, plan, **others)
        if f"/{LIAR}/" not in str(sink._file.name):
            return digest, tag
        data = change(sink.read(0, sink.size).tobytes())
        sink.write(0, np.frombuffer(data, np.uint8))
        return hashlib.sha256(data).hexdigest(), tag

    monkeypatch.setattr(opening, "seal", seal)


def test_a_corrupt_ciphertext_is_on_the_log_with_its_sender(
    spoilt: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as lying:
        signing(lying, too_large)
        status = spoilt.run(spec("statistics", engine="lattice"))
    failure = only_failure(status, LIAR, "outside its modulus")
    (entry,) = logged(spoilt, "coordinator", "ciphertext.refused", status.job_id)
    assert entry["reason"] == failure.what
    assert entry["detail"] == {"peer": LIAR, "step": "sum.upload"}


@pytest.mark.parametrize("engine", ["masked", "lattice"])
def test_an_upload_that_only_key_holders_can_tell_is_wrong_ends_the_job_at_each_of_them(
    engine: str, spoilt: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tag is not that of what it sent: the total is not the sum of what the institutions tagged."""
    with monkeypatch.context() as lying:
        signing(lying, lambda data: data[:-8] + b"\1" * 7 + b"\0")
        status = spoilt.run(spec("statistics", engine=engine))
    assert status.state == "failed"
    assert {refusal.failure.what for refusal in status.refusals} == {"the sealed total was refused"}
    (refusal, *_) = status.refusals
    assert "not the sum" in reasons(spoilt, refusal.institution, "ciphertext.refused", status.job_id)[0]
    assert spoilt.run(spec("statistics", engine=engine)).state == "finished"


def test_a_context_with_its_secret_key_is_refused_logged_and_not_kept(
    spoilt: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[bytes] = []

    def whole(secret: bytes) -> bytes:
        given.append(secret)
        return secret

    with monkeypatch.context() as lying:
        lying.setattr(lattice_secret, "public_part", whole)
        status = spoilt.run(spec("statistics", engine="lattice"))
    failure = only_failure(status, "coordinator", "a context came with its secret key and was not loaded")
    assert failure.blame == "bank-a"
    assert "treat this key as exposed" in failure.remedy
    (entry,) = logged(spoilt, "coordinator", "ciphertext.refused", status.job_id)
    assert entry["detail"] == {"peer": "bank-a", "step": "epoch.key"}
    stored = [path.read_bytes() for path in (spoilt.root / "coordinator").glob("coordinator.db*")]
    marks = [given[0][at : at + 64] for at in range(1000, len(given[0]) - 64, 10_000)]
    assert not [mark for mark in marks if any(mark in data for data in stored)]
    assert spoilt.run(spec("statistics", engine="lattice")).state == "finished"


@pytest.mark.parametrize(
    ("step", "name", "words"),
    [
        ("epoch.key", "key", "an answer lacks its key"),
        ("epoch.seed", "envelope.bank-b", "an answer lacks its envelope.bank-b"),
        ("epoch.join", "confirm", "an answer lacks its confirm"),
        ("close", "receipt", "an answer lacks its receipt"),
        ("close", "signature", "an answer lacks its signature"),
    ],
)
@pytest.mark.parametrize("value", [None, content_pb2.Value(text="text")])
def test_an_answer_without_what_it_must_hold(
    step: str, name: str, words: str, value: Any, spoilt: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(content: content_pb2.Content) -> None:
        del content.config[name]
        if value is not None:
            content.config[name].CopyFrom(value)

    with monkeypatch.context() as lying:
        lie(lying, "bank-a", step, contents(without))
        status = spoilt.run(spec("statistics"))
    assert only_failure(status, "coordinator", words).blame == "bank-a"
    assert reasons(spoilt, "coordinator", "job.failed", status.job_id)


@pytest.mark.parametrize(
    "words", ["", "\0\1", "two\nlines\x1b[31m of red", "a" * 100_000, "\N{RIGHT-TO-LEFT OVERRIDE}eslaf"]
)
def test_a_failure_in_words_unfit_for_a_log_still_ends_the_job(
    words: str, spoilt: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = pb.Failure(code=words, what=words, blame=words, remedy=words, clause=words)

    def fail(reply: pb.Reply) -> pb.Reply:
        return pb.Reply(task_id=reply.task_id, job_id=reply.job_id, failure=said)

    with monkeypatch.context() as lying:
        lie(lying, LIAR, "query.tabulate", fail)
        status = spoilt.run(spec("statistics"))
    assert status.state == "failed"
    (refusal,) = status.refusals
    for text in (refusal.failure.what, refusal.failure.blame, refusal.failure.remedy):
        assert 0 < len(text) <= 500
        assert text.isprintable()
    assert reasons(spoilt, "coordinator", "job.failed", status.job_id)


@pytest.mark.parametrize("kind", ["statistics", "train"])
def test_after_all_that_good_jobs_finish(kind: str, spoilt: Consortium) -> None:
    assert spoilt.run(spec(kind)).state == "finished"
    assert set(verdicts(spoilt, (*BANKS, "coordinator")).values()) == {"verified"}
