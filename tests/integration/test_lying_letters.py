"""A bank that seals other letters than it should: whoever opens one refuses it in its sender's name."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from consortia_common.content import Content
from consortia_crypto.score import data_owner
from consortia_node import compute
from consortia_proto.v1 import content_pb2
from consortia_proto.v1 import exchange_pb2 as pb
from tests.support.consortium import Consortium
from tests.support.specs import spec
from tests.support.spoilt import check_explained, check_silent, in_this_process, lie, only_failure, reasons

LIAR = "bank-b"


@pytest.fixture(autouse=True)
def _without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    in_this_process(monkeypatch)


def sealing(monkeypatch: pytest.MonkeyPatch, module: Any, change: Callable[[bytes], bytes]) -> None:
    """Have letters sealed with other contents than they should have."""
    honest = module.seal_letter

    def seal_letter(tools: Any, job: Any, step: str, recipient: str, plaintext: bytes) -> bytes:
        return honest(tools, job, step, recipient, change(plaintext))

    monkeypatch.setattr(module, "seal_letter", seal_letter)


def to_others(change: Callable[[bytes], bytes]) -> Callable[[pb.Reply], pb.Reply]:
    """The answer with other letters."""

    def tell(said: pb.Reply) -> pb.Reply:
        for name, value in said.content.config.items():
            value.blob = change(value.blob)
            assert name.startswith("envelope.")
        return said

    return tell


@pytest.mark.parametrize(
    "change",
    [
        lambda _: b"\xff\xff",
        lambda data: data[:-100],
        lambda _: b"",
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    ],
)
def test_a_part_of_the_key_that_is_none_is_refused_by_those_it_is_sealed_to(
    change: Callable[[bytes], bytes], spoilt: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as lying:
        lie(lying, LIAR, "epoch.seed", to_others(change))
        status = spoilt.run(spec("statistics"))
    assert status.state == "failed"
    for refusal in status.refusals:
        check_explained(refusal.failure.what, refusal.failure.blame, refusal.failure.remedy)
        assert LIAR in refusal.failure.what + refusal.failure.blame
        assert reasons(spoilt, refusal.institution, "ciphertext.refused", status.job_id) == [refusal.failure.what]
    assert {refusal.institution for refusal in status.refusals} <= {"bank-a", "bank-c"}


def letter(**changes: Any) -> Callable[[bytes], bytes]:
    """The letter's content with other fields."""

    def change(plaintext: bytes) -> bytes:
        content = Content.from_proto(content_pb2.Content.FromString(plaintext), "a test")
        return dataclasses.replace(content, config=content.config | changes).to_proto().SerializeToString()

    return change


NAN = float("nan")
SCORING = {"data_owner": LIAR, "model_owner": "bank-a", "max_rows": 500}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda _: b"\xff\xff\xff", "can't be decoded"),
        (letter(public=b"nothing"), "a context"),
        (letter(public="text"), "no valid public"),
        (letter(features=[b"x", b"y"]), "a ciphertext is not exactly"),
        (letter(features=[]), "one ciphertext per feature"),
        (letter(features=["x", "y"]), "no valid features"),
        (letter(rows=0), "no valid rows"),
        (letter(rows=10**9), "no valid rows"),
        (letter(lows=[NAN, 0.0]), "no valid lows and highs"),
        (letter(lows=["a", "b"]), "no valid lows"),
        (letter(highs=[0.0]), "no valid lows and highs"),
        (letter(lows=[9e9, 9e9]), "no valid lows and highs"),
    ],
)
def test_encrypted_features_that_are_none_are_refused_by_the_models_owner(
    change: Callable[[bytes], bytes], words: str, spoilt: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as lying:
        sealing(lying, compute, change)
        status = spoilt.run(spec("score", **SCORING))
    failure = only_failure(status, "bank-a", words)
    assert failure.blame == LIAR
    assert reasons(spoilt, "bank-a", "job.failed", status.job_id) == [failure.what]
    check_silent(spoilt, str(status))


def test_a_features_key_that_should_have_stayed_is_refused_and_logged_by_the_models_owner(
    spoilt: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as lying:
        lying.setattr(data_owner, "public_part", lambda secret: secret)
        status = spoilt.run(spec("score", **SCORING))
    failure = only_failure(status, "bank-a", "a context came with its secret key and was not loaded")
    assert failure.blame == LIAR
    assert reasons(spoilt, "bank-a", "ciphertext.refused", status.job_id) == [failure.what]
    assert spoilt.run(spec("score", **SCORING)).state == "finished"
