"""Encrypted scores equal plaintext ones, what comes back is new, and misfits are refused on both sides."""

from typing import Any

import numpy as np
import pytest

from consortia_crypto.errors import CiphertextError, PrivateKeyMaterialError, ScoreError
from consortia_crypto.he.params import SCORE
from consortia_crypto.he.secret import SecretContext
from consortia_crypto.he.wire import form
from consortia_crypto.score import data_owner, model_owner
from consortia_crypto.score.scale import GAIN

SECRET = data_owner.new_secret()
PUBLIC = data_owner.public_part(SECRET)
RNG = np.random.default_rng(7)
MATRIX = RNG.uniform(-1.0, 1.0, (2050, 4))
WEIGHTS = np.array([0.5, -2.0, 0.0, 1.0])
FEATURES = data_owner.encrypt(SECRET, MATRIX)


def sigmoid(scores: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-scores))


def test_scores_are_precise_with_large_weights() -> None:
    rows = np.vstack([RNG.uniform(-1.0, 1.0, (500, 23)), np.ones((1, 23)), -np.ones((1, 23))])
    weights = RNG.choice([-30.0, 30.0], 23) + RNG.uniform(-0.1, 0.1, 23)
    answer = model_owner.evaluate(PUBLIC, data_owner.encrypt(SECRET, rows), weights, -1.5, len(rows))
    scores = data_owner.decrypt(SECRET, answer, len(rows))
    expected = rows @ weights - 1.5
    assert np.abs(scores - expected).max() < 1e-3
    assert np.abs(sigmoid(scores) - sigmoid(expected)).max() < 1e-4


def test_the_largest_scores_do_not_wrap_round() -> None:
    rows = np.array([[1.0] * 8, [-1.0] * 8])
    answer = model_owner.evaluate(PUBLIC, data_owner.encrypt(SECRET, rows), np.full(8, 127.0), 8.0, 2)
    np.testing.assert_allclose(data_owner.decrypt(SECRET, answer, 2), [1024.0, -1008.0], atol=1e-3)


def test_rows_beyond_one_block_keep_their_order() -> None:
    answer = model_owner.evaluate(PUBLIC, FEATURES, WEIGHTS, 0.25, len(MATRIX))
    assert len(answer) == 2
    scores = data_owner.decrypt(SECRET, answer, len(MATRIX))
    np.testing.assert_allclose(scores, MATRIX @ WEIGHTS + 0.25, atol=1e-3)


@pytest.mark.parametrize("weights", [np.array([0.0, 0.0, 0.0, 0.0]), np.array([0.0, 0.0, 0.0, 1.0])])
def test_the_answer_is_new_and_never_holds_what_came_in(weights: Any) -> None:
    first = model_owner.evaluate(PUBLIC, FEATURES, weights, 0.0, len(MATRIX))
    again = model_owner.evaluate(PUBLIC, FEATURES, weights, 0.0, len(MATRIX))
    assert not set(first) & set(again)
    coefficients = {feature[200:400] for feature in FEATURES}
    assert not any(piece in block for block in first + again for piece in coefficients)
    np.testing.assert_allclose(data_owner.decrypt(SECRET, first, 2050), MATRIX @ weights, atol=1e-3)


@pytest.mark.parametrize(
    "matrix",
    [
        np.zeros(3),
        np.zeros((0, 3)),
        np.zeros((3, 0)),
        np.zeros((2, 2), np.float32),
        np.full((2, 2), 1.01),
        np.full((2, 2), np.nan),
        [[0.0]],
    ],
    ids=["vector", "no rows", "no columns", "float32", "beyond 1", "NaN", "list"],
)
def test_features_that_do_not_fit_are_not_encrypted(matrix: Any) -> None:
    with pytest.raises(ScoreError):
        data_owner.encrypt(SECRET, matrix)


@pytest.mark.parametrize(
    ("weights", "bias"),
    [
        (np.ones(3), 0.0),
        (np.ones(5), 0.0),
        (np.ones(0), 0.0),
        (np.ones((2, 2)), 0.0),
        (np.ones(4, np.float32), 0.0),
        (np.array([1.0, 1.0, 1.0, np.nan]), 0.0),
        (np.full(4, 300.0), 0.0),
        (np.ones(4), float("inf")),
        ([1.0] * 4, 0.0),
    ],
    ids=["few", "many", "none", "matrix", "float32", "NaN", "too large", "infinite bias", "list"],
)
def test_a_model_that_does_not_fit_is_refused(weights: Any, bias: float) -> None:
    with pytest.raises(ScoreError):
        model_owner.evaluate(PUBLIC, FEATURES, weights, bias, len(MATRIX))


@pytest.mark.parametrize("rows", [0, -1, 2048, 4097, 2**30])
def test_another_number_of_rows_is_refused(rows: int) -> None:
    with pytest.raises(ScoreError):
        model_owner.evaluate(PUBLIC, FEATURES, WEIGHTS, 0.0, rows)
    with pytest.raises(ScoreError):
        data_owner.decrypt(SECRET, FEATURES[:2], rows)


def test_the_models_owner_refuses_the_secret() -> None:
    with pytest.raises(PrivateKeyMaterialError):
        model_owner.evaluate(SECRET, FEATURES, WEIGHTS, 0.0, len(MATRIX))


def test_features_in_place_of_an_answer_are_refused() -> None:
    with pytest.raises(CiphertextError):
        data_owner.decrypt(SECRET, FEATURES[:2], len(MATRIX))


def test_an_answer_in_place_of_features_is_refused() -> None:
    answer = model_owner.evaluate(PUBLIC, FEATURES, WEIGHTS, 0.0, len(MATRIX))
    with pytest.raises(CiphertextError, match="the institution that sent the features"):
        model_owner.evaluate(PUBLIC, answer, np.ones(1), 0.0, len(MATRIX))


def test_not_defended_yet_the_noise_of_one_answer_tells_the_weights() -> None:
    """The data owner knows the noise in what it sent; in the 2,047 places of no customer it comes back weighted."""
    weights = np.array([0.75, -0.5, 3.25, -12.0])
    features = data_owner.encrypt(SECRET, MATRIX[:1])
    (answer,) = model_owner.evaluate(PUBLIC, features, weights, 0.25, 1)
    context = SecretContext(SCORE, SECRET)
    sent = [context.decrypt_numbers(data, form(SCORE, SCORE.scale), "test")[1:] for data in features]
    came_back = context.decrypt_numbers(answer, form(SCORE, SCORE.product_scale), "test")[1:]
    table = np.column_stack([*sent, np.ones(len(came_back))])
    found = np.linalg.lstsq(table, came_back)[0]
    np.testing.assert_allclose(found[:-1] * GAIN, weights, atol=1e-3)
