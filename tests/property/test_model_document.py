"""Linear models: one canonical form, and folding that changes nothing about the scores."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortia_common.documents.model import LinearModel, logit, plain_form, to_unit, unit_form
from consortia_common.errors import DocumentError

numbers = st.floats(-1e6, 1e6)
scales = st.floats(1e-3, 1e6)
lows = st.floats(-1e3, 1e3)


def names(count: int) -> list[str]:
    return [f"x{i}" for i in range(count)]


@st.composite
def models(draw: st.DrawFn) -> LinearModel:
    count = draw(st.integers(1, 5))
    several = st.lists(numbers, min_size=count, max_size=count)
    spreads = st.lists(scales, min_size=count, max_size=count)
    return LinearModel.from_numbers(
        names(count), draw(several), draw(numbers), draw(st.none() | several), draw(st.none() | spreads)
    )


@given(models())
def test_the_canonical_form_reads_back_as_the_same_model(model: LinearModel) -> None:
    assert LinearModel.from_canonical(model.canonical(), "the test") == model


@given(st.lists(numbers, min_size=1, max_size=5))
def test_floats_survive_exactly(weights: list[float]) -> None:
    model = LinearModel.from_numbers(names(len(weights)), weights, 0.0)
    assert plain_form(model) == (weights, 0.0)


@given(st.data(), models())
def test_folding_the_ranges_keeps_the_scores(data: st.DataObject, model: LinearModel) -> None:
    count = len(model.features)
    ranges = [
        (low, low + data.draw(st.floats(1, 1e3)))
        for low in data.draw(st.lists(lows, min_size=count, max_size=count))
    ]
    row = [data.draw(st.floats(low, high)) for low, high in ranges]
    units = [to_unit(value, limits) for value, limits in zip(row, ranges, strict=True)]
    assert all(-1 <= unit <= 1 for unit in units)
    weights, bias = unit_form(model, ranges)
    scored = sum(weight * unit for weight, unit in zip(weights, units, strict=True)) + bias
    size = (
        abs(bias)
        + sum(abs(weight) for weight in weights)
        + sum(abs(weight * value) for weight, value in zip(plain_form(model)[0], row, strict=True))
    )
    assert scored == pytest.approx(logit(model, row), abs=1e-9 * (1 + size))


def test_standardisation_is_folded() -> None:
    model = LinearModel.from_numbers(["x", "y"], [2.0, 3.0], 1.0, means=[10.0, 20.0], scales=[4.0, 5.0])
    assert plain_form(model) == ([0.5, 0.6], 1.0 - 5.0 - 12.0)
    assert unit_form(model, [(0, 20), (10, 30)]) == ([5.0, 6.0], pytest.approx(1.0))


GOOD = {"v": 1, "type": "logistic_regression", "features": ["x", "y"], "weights": ["1", "2"], "bias": "0"}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"weights": ["1"]}, "weights: 1 numbers for 2 features"),
        ({"features": ["x", "x"]}, "a feature is named twice"),
        ({"means": ["1", "2", "3"]}, "means: 3 numbers"),
        ({"scales": ["1", "0"]}, "scales"),
        ({"scales": ["1", "1e-999999"]}, "scales"),
        ({"weights": ["1", "1e999999"]}, "weights"),
        ({"weights": ["1", "NaN"]}, "weights"),
        ({"bias": "Infinity"}, "bias"),
        ({"type": "tree"}, "type"),
        ({"name": "mine"}, "there is no such field"),
        ({"features": ["x", 'y"; DROP']}, "features"),
    ],
)
def test_what_is_not_a_model_is_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(DocumentError, match=why):
        LinearModel.from_value(GOOD | changes, "the test's model")


@given(st.binary(max_size=200))
def test_garbage_raises_only_our_error(data: bytes) -> None:
    with pytest.raises(DocumentError):
        LinearModel.from_canonical(data, "garbage")


@pytest.mark.parametrize("ranges", [[(0.0, 1.0)], [(0.0, 1.0), (1.0, 1.0)], [(0.0, 1.0), (0.0, float("inf"))]])
def test_improper_ranges_are_refused(ranges: list[tuple[float, float]]) -> None:
    with pytest.raises(DocumentError, match="range"):
        unit_form(LinearModel.from_value(GOOD, "the test's model"), ranges)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e300])
def test_numbers_that_make_no_model_are_refused(bad: float) -> None:
    with pytest.raises(DocumentError):
        LinearModel.from_numbers(["x"], [bad], 0.0)
