"""Logistic regression at one institution: gradient, log loss, and the area under the curve from histograms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from consortia_node.logistic import (
    LOSS_UNIT,
    Training,
    area_under_curve,
    descend,
    histogram,
    logits,
    loss_words,
    probabilities,
)


def rows(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(count, 3))
    model = generator.normal(size=4)
    labels = (generator.random(count) < probabilities(model, features)).astype(np.float64)
    return features, labels, model


def loss(model: np.ndarray, features: np.ndarray, labels: np.ndarray, l2: float) -> float:
    return float(log_loss(labels, probabilities(model, features), labels=[0, 1]) + l2 / 2 * (model[:-1] ** 2).sum())


def test_a_step_goes_down_the_slope_of_the_loss() -> None:
    features, labels, model = rows(1, 200)
    step = descend(model, features, labels, Training(1, 1e-3, 0.1)) - model
    slope = np.empty(4)
    for place in range(4):
        nudge = np.zeros(4)
        nudge[place] = 1e-6
        ends = [loss(model + sign * nudge, features, labels, 0.1) for sign in (1, -1)]
        slope[place] = (ends[0] - ends[1]) / 2e-6
    np.testing.assert_allclose(step, -1e-3 * slope, rtol=1e-5)


def test_steps_end_at_the_best_model() -> None:
    features, labels, _ = rows(2, 400)
    found = descend(np.zeros(4), features, labels, Training(3000, 1.0, 0.01))
    best = LogisticRegression(C=1 / (0.01 * 400), tol=1e-10, max_iter=1000).fit(features, labels)
    np.testing.assert_allclose(found, [*best.coef_[0], *best.intercept_], atol=1e-5)


def test_the_model_given_is_left_as_it_is() -> None:
    features, labels, model = rows(3, 50)
    before = model.copy()
    descend(model, features, labels, Training(5, 0.5, 0.0))
    np.testing.assert_array_equal(model, before)


def test_probabilities_stay_finite_however_sure_the_model_is() -> None:
    sure = np.array([1e6, 0.0])
    found = probabilities(sure, np.array([[1.0], [-1.0], [0.0]]))
    assert logits(sure, np.array([[1.0]])).tolist() == [1e6]
    assert np.isfinite(found).all()
    assert found.tolist() == pytest.approx([1, 0, 0.5])


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([8, 64, 4096]))
def test_the_area_is_that_of_scikit_learn_to_within_the_ties_of_a_bin(seed: int, bins: int) -> None:
    features, labels, model = rows(seed, 300)
    labels[:2] = 0, 1
    scores = probabilities(model, features)
    counts = histogram(scores[:100], labels[:100], bins) + histogram(scores[100:], labels[100:], bins)
    negatives, positives = np.split(counts, 2)
    ties = float((negatives * positives).sum()) / (negatives.sum() * positives.sum())
    assert abs(area_under_curve(counts) - roc_auc_score(labels, scores)) <= ties / 2 + 1e-12
    binned = np.minimum((scores * bins).astype(int), bins - 1)
    assert area_under_curve(counts) == pytest.approx(roc_auc_score(labels, binned), abs=1e-12)


def test_the_area_of_huge_counts_is_exact() -> None:
    assert area_under_curve(np.array([2**61, 0, 0, 2**61])) == 1.0
    assert area_under_curve(np.array([0, 2**61, 2**61, 0])) == 0.0
    assert area_under_curve(np.array([2**61, 0, 2**61, 0])) == 0.5


def test_one_label_alone_has_no_area() -> None:
    assert np.isnan(area_under_curve(np.array([5, 5, 0, 0])))


def test_the_ends_of_the_scale_have_bins() -> None:
    counts = histogram(np.array([0.0, 1.0, 0.5, 0.999]), np.array([0.0, 0.0, 1.0, 1.0]), 2)
    assert counts.tolist() == [1, 1, 0, 2]
    assert counts.dtype == np.int64


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=20))
def test_the_log_loss_adds_up(pairs: list[tuple[float, bool]]) -> None:
    scores = np.array([score for score, _ in pairs])
    labels = np.array([float(label) for _, label in pairs])
    expected = log_loss(labels, np.clip(scores, 1e-12, 1 - 1e-12), labels=[0, 1]) * len(pairs)
    assert loss_words(scores, labels) == pytest.approx(expected * LOSS_UNIT, abs=1 + 1e-6 * expected * LOSS_UNIT)
