"""Bytes that SEAL must never be asked to read, and secrets where only public contexts belong."""

import numpy as np
import pytest
import tenseal as ts

from consortia_crypto.errors import CiphertextError, CryptoError, PrivateKeyMaterialError
from consortia_crypto.he import secret as keys
from consortia_crypto.he.context import load_public
from consortia_crypto.he.evaluate import Evaluator
from consortia_crypto.he.params import SCORE, SUM
from consortia_crypto.he.wire import check_ciphertext, chunk, form, translated

SECRET = keys.generate(SUM)
PUBLIC = keys.public_part(SUM, SECRET)
BLOCK = keys.SecretContext(SUM, SECRET).encrypt(np.arange(SUM.slots, dtype=np.int64))
FORM = form(SUM, 1.0)


def test_a_good_ciphertext_passes() -> None:
    check_ciphertext(BLOCK, FORM, "bank-a")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        BLOCK[:-1],
        BLOCK + b"\0",
        b"\xff" + BLOCK[1:],
        BLOCK[:12] + bytes([BLOCK[12] ^ 1]) + BLOCK[13:],
        BLOCK[:-1] + b"\xff",
        BLOCK[: -8 * SUM.degree] + bytes(8 * SUM.degree),
    ],
    ids=["empty", "short", "long", "protobuf", "seal version", "coefficient above the prime", "not encrypted"],
)
def test_a_bad_ciphertext_is_refused_and_its_sender_named(data: bytes) -> None:
    with pytest.raises(CiphertextError, match="bank-a"):
        check_ciphertext(data, FORM, "bank-a")


def test_a_ciphertext_of_another_set_is_refused() -> None:
    other = keys.SecretContext(SCORE, keys.generate(SCORE)).encrypt(np.zeros(SCORE.slots))
    with pytest.raises(CiphertextError):
        Evaluator(SUM, PUBLIC, "bank-a").add({"bank-b": other})


def test_a_public_context_is_loaded_and_holds_no_secret() -> None:
    assert not load_public(SUM, PUBLIC, "bank-a").is_private()
    assert len(PUBLIC) < len(SECRET)


@pytest.mark.parametrize(
    "data",
    [SECRET, PUBLIC + chunk(3, b""), keys.generate(SCORE), chunk(3, b"\x0a\x03key") + PUBLIC],
    ids=["private", "empty private field", "private of another set", "private field first"],
)
def test_a_private_context_is_refused_as_such(data: bytes) -> None:
    with pytest.raises(PrivateKeyMaterialError):
        Evaluator(SUM, data, "bank-a")


def test_a_private_context_with_evaluation_keys_is_refused_as_such() -> None:
    context = ts.context(ts.SCHEME_TYPE.CKKS, 8192, -1, [60, 40, 60], n_threads=1)
    context.generate_relin_keys()
    with pytest.raises(PrivateKeyMaterialError):
        Evaluator(SUM, context.serialize(save_secret_key=True), "bank-a")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        PUBLIC[:-1],
        PUBLIC + chunk(7, b"more"),
        PUBLIC + b"\x20\x01",
        PUBLIC + PUBLIC,
        keys.public_part(SCORE, keys.generate(SCORE)),
    ],
    ids=["empty", "short", "unknown field", "symmetric", "twice", "another set"],
)
def test_a_bad_public_context_is_refused(data: bytes) -> None:
    with pytest.raises(CiphertextError):
        Evaluator(SUM, data, "bank-a")


@pytest.mark.parametrize(
    ("scheme", "plain", "bits"),
    [
        (ts.SCHEME_TYPE.BFV, 1032193, [60, 49]),
        (ts.SCHEME_TYPE.BFV, SUM.plain_modulus, [59, 50]),
        (ts.SCHEME_TYPE.CKKS, -1, [60, 49]),
    ],
)
def test_other_parameters_are_refused(scheme: ts.SCHEME_TYPE, plain: int, bits: list[int]) -> None:
    context = ts.context(scheme, 4096, plain, bits, n_threads=1)
    data = context.serialize(save_galois_keys=False, save_relin_keys=False)
    with pytest.raises(CiphertextError):
        Evaluator(SUM, data, "bank-a")


def test_a_public_context_is_no_secret() -> None:
    with pytest.raises(CiphertextError):
        keys.SecretContext(SUM, PUBLIC)


def test_slots_of_another_count_are_refused() -> None:
    with pytest.raises(CiphertextError):
        keys.SecretContext(SUM, SECRET).encrypt(np.zeros(7, np.int64))


def test_nothing_to_add_is_refused() -> None:
    with pytest.raises(CiphertextError):
        Evaluator(SUM, PUBLIC, "bank-a").add({})


def test_exceptions_of_the_library_are_translated() -> None:
    with pytest.raises(CiphertextError) as caught, translated("testing", "bank-a"):
        raise RuntimeError("words of the library")
    assert "words of the library" not in str(caught.value)
    assert isinstance(caught.value, CryptoError)
