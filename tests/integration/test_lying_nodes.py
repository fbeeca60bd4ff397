"""A node that sends what it should not: refused in its name, on the coordinator's log, and the next job runs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from consortia_common.content import Content
from consortia_crypto.sum import institution as sums
from consortia_proto.v1 import content_pb2
from consortia_proto.v1 import exchange_pb2 as pb
from tests.support.consortium import BANKS, Consortium, spec
from tests.support.evidence import verdicts
from tests.support.spoilt import check_silent, in_this_process, lie, logged, only_failure, reasons

LIAR = "bank-b"
Tell = Callable[[pb.Reply], pb.Reply]


@pytest.fixture(autouse=True)
def _without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    in_this_process(monkeypatch)


def block(change: Callable[[bytes], bytes]) -> Tell:
    """The upload with its first ciphertext changed."""

    def tell(said: pb.Reply) -> pb.Reply:
        data = change(said.content.arrays[0].data)
        said.content.arrays[0].data = data
        said.content.arrays[0].shape[:] = [len(data)]
        return said

    return tell


def arrays(**made: Any) -> Tell:
    """Other arrays in the place of the upload."""

    def tell(said: pb.Reply) -> pb.Reply:
        named = {name.replace("_", "."): array for name, array in made.items()}
        return pb.Reply(task_id=said.task_id, job_id=said.job_id, content=Content(arrays=named).to_proto())

    return tell


def contents(change: Callable[[content_pb2.Content], object]) -> Tell:
    """The reply after ``change`` was made to its content."""

    def tell(said: pb.Reply) -> pb.Reply:
        change(said.content)
        return said

    return tell


def too_large(data: bytes) -> bytes:
    """A coefficient that is not below the modulus."""
    return data[:-8] + b"\xff" * 8


def misshapen(content: content_pb2.Content) -> None:
    content.arrays[0].shape[:] = [7, 7]


def doubled(content: content_pb2.Content) -> None:
    content.arrays.append(content.arrays[0])


@pytest.mark.parametrize(
    ("tell", "words"),
    [
        (block(lambda data: data[:-1]), "a ciphertext is not exactly"),
        (block(lambda _: b"x"), "a ciphertext is not exactly"),
        (block(lambda data: b"\0" * len(data)), "header is not that of its parameter set"),
        (block(too_large), "coefficient is outside its modulus"),
        (arrays(sealed_0=np.full(8, np.nan)), "something else came"),
        (arrays(sealed_0=np.zeros((2, 2), np.uint8)), "something else came"),
        (arrays(sealed_1=np.zeros(2, np.uint8)), "something else came"),
        (arrays(update=np.full(3, np.inf)), "something else came"),
        (arrays(), "something else came"),
        (arrays(sealed_0=np.zeros(9, np.uint8), sealed_1=np.zeros(9, np.uint8)), "wrong number of blocks"),
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
    failure = only_failure(status, "coordinator", words)
    assert failure.blame == LIAR
    assert reasons(spoilt, "coordinator", "job.failed", status.job_id) == [failure.what]
    check_silent(spoilt, str(status))


def test_a_corrupt_ciphertext_of_a_training_round_is_on_the_log_with_its_sender(
    spoilt: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as lying:
        lie(lying, LIAR, "train", block(too_large))
        status = spoilt.run(spec("train"))
    failure = only_failure(status, "coordinator", "outside its modulus")
    (entry,) = logged(spoilt, "coordinator", "ciphertext.refused", status.job_id)
    assert entry["reason"] == failure.what
    assert entry["detail"] == {"peer": LIAR, "step": "update"}


def test_a_ciphertext_that_only_key_holders_can_tell_is_wrong_ends_the_job_at_each_of_them(
    spoilt: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as lying:
        lie(lying, LIAR, "query.tabulate", block(lambda data: data[:-8] + b"\1" * 7 + b"\0"))
        status = spoilt.run(spec("statistics"))
    assert status.state == "failed"
    assert {refusal.failure.what for refusal in status.refusals} == {"the sealed total was refused"}
    assert "roll call" in reasons(spoilt, "bank-a", "ciphertext.refused", status.job_id)[0]
    assert spoilt.run(spec("statistics")).state == "finished"


def test_a_context_with_its_secret_key_is_refused_logged_and_not_kept(
    spoilt: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[bytes] = []

    def whole(secret: bytes) -> bytes:
        given.append(secret)
        return secret

    with monkeypatch.context() as lying:
        lying.setattr(sums, "public_part", whole)
        status = spoilt.run(spec("statistics"))
    failure = only_failure(status, "coordinator", "a context came with its secret key and was not loaded")
    assert failure.blame == "bank-a"
    assert "treat this key as exposed" in failure.remedy
    (entry,) = logged(spoilt, "coordinator", "ciphertext.refused", status.job_id)
    assert entry["detail"] == {"peer": "bank-a", "step": "epoch.make"}
    stored = [path.read_bytes() for path in (spoilt.root / "coordinator").glob("coordinator.db*")]
    marks = [given[0][at : at + 64] for at in range(1000, len(given[0]) - 64, 10_000)]
    assert not [mark for mark in marks if any(mark in data for data in stored)]
    assert spoilt.run(spec("statistics")).state == "finished"


@pytest.mark.parametrize(
    ("step", "name", "words"),
    [
        ("epoch.make", "public", "an answer lacks its public"),
        ("epoch.make", "envelope.bank-b", "an answer lacks its envelope.bank-b"),
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
