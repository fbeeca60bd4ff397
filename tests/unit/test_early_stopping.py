"""A fit that ends early: at one round for every party, by a rule of opened totals; nothing else is left out."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from consortia_client import curves
from consortia_client.errors import ResultError
from consortia_client.model_card import card
from consortia_client.pages import as_html, as_text
from consortia_common.content import Content
from consortia_common.documents.base import Number
from consortia_common.documents.fitted import Model
from consortia_common.documents.kinds import Turn
from consortia_common.documents.stopping import LARGEST_LOSS, MEASURES, RANKS, Stopping
from consortia_common.errors import DocumentError
from consortia_common.models.predict import predict
from consortia_node import jobs as rules
from consortia_node.errors import StepError
from consortia_node.kinds import OVER
from consortia_node.learning import measuring, stopping
from consortia_node.learning.measuring import Answered, Reading
from consortia_node.learning.rows import drawn
from consortia_node.learning.stopping import Point
from tests.support.specs import BANKS, spec
from tests.support.work import Banks

STOP = {"share": "0.3", "patience": 2, "tolerance": "0.001"}
TREES = {
    "type": "boosted_trees",
    "trees": 30,
    "depth": 2,
    "min_rows": 5,
    "learning_rate": "0.9",
    "early_stopping": STOP,
}
NETWORK = {
    "type": "neural_network",
    "hidden": [],
    "rounds": 40,
    "epochs": 3,
    "batch": None,
    "learning_rate": "0.5",
    "early_stopping": STOP,
}
LOGISTIC = {"type": "logistic_regression", "l2": "0.01", "rounds": 50}


def made(rows: int, seed: int) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    income, age = generator.normal(3000, 900, rows).round(2), generator.integers(20, 80, rows).astype(float)
    margin = -(income - 3000) / 900 - (age - 45) / 20
    return {"income": income, "age": age, "default": (generator.random(rows) < 1 / (1 + np.exp(-margin))) * 1.0}


def banks(model: Mapping[str, Any], **parameters: Any) -> Banks:
    tables = {bank: {"clients": made(150, place)} for place, bank in enumerate(BANKS)}
    return Banks(spec("train", model=dict(model), test_dataset=None, **parameters), tables)


def run(of: Banks) -> tuple[Mapping[str, Any], int]:
    """The result, and how many rounds it took: none is asked once a party has found that they are over."""
    taken = 0
    for turn in of.spec.parameters.turns(BANKS[0])[:-1]:
        if turn.optional and OVER in of.works[BANKS[0]].values:
            continue
        of.add(turn.step, turn.round)
        taken += turn.step == "train"
    return of.results()[0], taken


@pytest.mark.parametrize("model", [TREES, NETWORK])
def test_the_model_is_that_of_the_best_round(model: Mapping[str, Any]) -> None:
    """As if the spec had asked for just so many rounds, of the same rows."""
    result, taken = run(banks(model))
    said, rounds = result["training"], "trees" if model is TREES else "rounds"
    best = said[rounds]
    assert taken < model[rounds] * (2 if model is TREES else 1)
    losses = [point["validation_loss"] for point in said["curve"]]
    assert losses[best] <= min(losses[1:]) + 0.001
    assert said["curve"][-1]["round"] == best + STOP["patience"]
    fewer, _ = run(banks(model | {rounds: best, "early_stopping": STOP | {"patience": 1000}}))
    assert fewer["model"]["fit"] == result["model"]["fit"]


@pytest.mark.parametrize("model", [TREES, NETWORK])
def test_or_that_of_the_round_that_ranks_best(model: Mapping[str, Any]) -> None:
    """The area is that of the rows held out, whose answers the model at hand gives."""
    rule = STOP | {"metric": "auc"}
    result, _ = run(of := banks(model | {"early_stopping": rule}))
    said = result["training"]
    best = said["trees" if model is TREES else "rounds"]
    areas = [point["validation_auc"] for point in said["curve"]]
    assert areas[best] >= max(areas[1:]) - 0.001
    assert said["curve"][-1]["round"] == best + STOP["patience"]
    held = [work.memory["parts"].held_out for work in of.works.values()]
    made = Model.from_value(result["model"], "the result")
    scores = np.concatenate([predict(made, rows.columns) for rows in held])
    assert areas[best] == pytest.approx(
        roc_auc_score(np.concatenate([rows.label for rows in held]), scores), abs=0.005
    )


def test_a_metric_that_can_t_be_told_ends_the_job() -> None:
    """Rather than the fit after a few rounds, as if nothing had become better."""
    rare = {
        bank: {"clients": made(150, place) | {"default": (np.arange(150) == 7) * 1.0}}
        for place, bank in enumerate(BANKS)
    }
    asked = spec("train", model=NETWORK | {"early_stopping": STOP | {"metric": "auc"}}, test_dataset=None)
    with pytest.raises(StepError, match="too few rows of one label"):
        run(Banks(asked, rare, min_cell=5))


@pytest.mark.parametrize("model", [TREES | {"objective": "squared"}, NETWORK | {"word_bits": 16}])
def test_the_area_is_offered_where_there_are_classes_and_counts(model: Mapping[str, Any]) -> None:
    with pytest.raises(DocumentError, match="auc needs zeros and ones"):
        spec("train", model=model | {"early_stopping": STOP | {"metric": "auc"}})


@pytest.mark.parametrize("model", [TREES | {"trees": 3}, NETWORK | {"rounds": 3}])
def test_without_a_better_end_all_rounds_are_taken_and_the_last_is_measured(model: Mapping[str, Any]) -> None:
    result, taken = run(banks(model))
    assert taken == spec("train", model=dict(model)).parameters.model.rounds_in_all
    assert [point["round"] for point in result["training"]["curve"]] == [0, 1, 2, 3]


def test_a_regression_ends_once_it_has_converged() -> None:
    result, taken = run(banks(LOGISTIC))
    assert result["training"]["converged"]
    assert taken < 12
    assert result["training"]["curve"][-1]["loss"] < result["training"]["curve"][0]["loss"]


def test_rounds_after_the_end_change_nothing() -> None:
    """A coordinator may ask for all of them: it gets zeros, and the model stays what it is."""
    of = banks(LOGISTIC)
    for turn in of.spec.parameters.turns(BANKS[0])[:-1]:
        total = of.add(turn.step, turn.round)
    assert not total.any()
    assert of.results()[0]["model"]["fit"] == run(banks(LOGISTIC))[0]["model"]["fit"]


@pytest.mark.parametrize(
    "model", [TREES | {"trees": 4, "growth": "leaf", "leaves": 4}, TREES | {"trees": 4}, NETWORK]
)
def test_a_worker_that_forgets_in_the_middle_makes_the_same_model(model: Mapping[str, Any]) -> None:
    """What it remembers only saves time; all that must last is in the job's values."""
    steady, forgetful = banks(model), banks(model)
    for turn in forgetful.spec.parameters.turns(BANKS[0])[:-1]:
        for work in forgetful.works.values():
            work.memory.clear()
        forgetful.add(turn.step, turn.round)
    assert forgetful.results()[0] == run(steady)[0]


def test_nothing_is_learned_from_the_rows_held_out() -> None:
    result, _ = run(banks(TREES))
    assert 250 < result["rows"] < 380


def test_fewer_rows_held_out_than_may_be_told_of_are_refused() -> None:
    of = banks(TREES | {"early_stopping": STOP | {"share": "0.001"}})
    of.add("query.prepare")
    with pytest.raises(StepError, match="hold out fewer rows"):
        of.add("query.spread")


def test_each_round_tells_the_curve_so_far() -> None:
    of = banks(LOGISTIC)
    of.add("query.prepare")
    of.add("train", 1)
    of.add("train", 2)
    told = [outcome.progress for outcome in of.outcomes("train", Content(), 3)]
    assert told[0] is not None
    assert [point["round"] for point in told[0]["curve"]] == [0, 1]
    assert told[1:] == told[:2]


def test_who_is_held_out_depends_on_nobody_else() -> None:
    customers = [f"C{number}" for number in range(2000)]
    whole = drawn(customers, Number("0.25"), 7)
    assert (drawn(customers[500:], Number("0.25"), 7) == whole[500:]).all()
    assert 400 < whole.sum() < 600
    assert (drawn(customers, Number("0.25"), 8) != whole).any()


@given(st.lists(st.floats(0, 2), min_size=1, max_size=60), st.integers(1, 9))
def test_the_best_is_never_worse_than_the_tolerance(losses: list[float], patience: int) -> None:
    rule = Stopping(patience=patience, tolerance=Number("0.01"))
    points = [Point(after, None, loss) for after, loss in enumerate(losses)]
    best = stopping.best(points, rule)
    assert best == 1 or points[best].held_out <= min(losses[1 : best + 1])  # type: ignore[operator]
    behind = [loss for point, loss in zip(points, losses, strict=True) if point.after > best]
    assert all(loss >= points[best].held_out - 0.01 for loss in behind) if len(points) > 1 else not behind  # type: ignore[operator]
    assert stopping.is_over(points, rule) == (points[-1].after - best >= patience)


@given(
    st.sampled_from(["logistic", "squared", "poisson"]), st.floats(allow_nan=True), st.sampled_from([0.0, 1.0, 7.0])
)
def test_one_row_s_loss_is_bounded(objective: Any, margin: float, target: float) -> None:
    (loss,) = measuring.losses(objective, np.array([margin]), np.array([min(target, 1.0)]))
    assert 0 <= loss <= LARGEST_LOSS


def test_measures_add_up() -> None:
    """Squared errors of 1 and of 9 where rows are learned from, and of 4 where one bank holds some out."""
    one = measuring.words(measuring.measures("squared", answered([1, 1]), answered([2, 2, 2]), 0))
    other = measuring.words(measuring.measures("squared", answered([3, 3]), answered([]), 0))
    assert len(one) == MEASURES
    assert measuring.read(np.append([99, 98], one + other), Reading()) == measuring.Measured(5.0, 4.0)
    assert measuring.read(np.zeros(MEASURES), Reading()) == measuring.Measured(None, None)


def answered(margins: Sequence[float], targets: Sequence[float] | None = None) -> Answered:
    known = np.zeros(len(margins)) if targets is None else np.array(targets, float)
    return Answered(np.array(margins, float), known, np.ones(len(margins)))


@given(st.lists(st.tuples(st.integers(-40, 40), st.booleans()), min_size=2, max_size=60), st.integers(0, 59))
def test_the_area_is_that_of_all_parties_rows(rows: list[tuple[int, bool]], cut: int) -> None:
    """Margins a fifth apart are in bins of their own; how the rows lie at two banks makes no difference."""
    margins, labels = np.array([margin / 5 for margin, _ in rows]), np.array([float(one) for _, one in rows])
    shares = [
        measuring.measures("logistic", answered([]), answered(margins[part], labels[part]), RANKS)
        for part in (slice(cut), slice(cut, None))
    ]
    found = measuring.read(np.sum(shares, axis=0), Reading(RANKS)).auc
    assert found == (pytest.approx(roc_auc_score(labels, margins)) if 0 < labels.sum() < len(rows) else None)


@pytest.mark.parametrize(
    ("label", "fewest", "told"), [(1.0, 3, True), (1.0, 4, False), (0.0, 3, True), (0.0, 4, False)]
)
def test_of_few_rows_with_a_label_no_area_is_told(label: float, fewest: int, told: bool) -> None:
    rows = answered(range(9), [label] * 3 + [1 - label] * 6)
    share = measuring.measures("logistic", answered([]), rows, RANKS)
    assert (measuring.read(share, Reading(RANKS, fewest=fewest)).auc is not None) == told


@pytest.mark.parametrize("change", [-5, 10**6])
@pytest.mark.parametrize("model", [TREES, NETWORK])
def test_counts_that_no_rows_have_are_refused(model: Mapping[str, Any], change: int) -> None:
    of = banks(model, max_rows=1000)
    turns = of.spec.parameters.turns(BANKS[0])
    first = next(place for place, turn in enumerate(turns) if turn.step == "train")
    total = [of.add(turn.step, turn.round) for turn in turns[: first + 1]][-1]
    unit = measuring.UNIT if model is TREES else np.abs(total[-MEASURES - RANKS : -MEASURES]).max() / 8
    total[-MEASURES - 1] += int(change * unit)
    of.give(turns[first].gives, total, 1)
    with pytest.raises(StepError, match="total was refused"):
        of.outcomes("train", Content(), 2)


A, B, C = Turn("a"), Turn("b", 1, optional=True), Turn("b", 2, optional=True)
END = Turn("end")


@pytest.mark.parametrize(
    ("taken", "asked", "place"),
    [(1, END, 3), (2, END, 3), (1, C, None), (0, END, None), (3, END, 3), (4, END, None), (1, A, None)],
)
def test_only_optional_steps_are_left_out(taken: int, asked: Turn, place: int | None) -> None:
    assert rules.place_behind((A, B, C, END), taken, asked) == place


@pytest.mark.parametrize(
    "told", [{"curve": 3}, {"curve": [{}]}, {"curve": [{"round": "x", "loss": 1, "validation_loss": 1}]}]
)
def test_a_curve_that_is_none_is_refused(told: Any) -> None:
    with pytest.raises(ResultError, match="no curve"):
        curves.points(told)


_VALUES = st.none() | st.booleans() | st.floats() | st.text(max_size=5)
_POINT = st.dictionaries(st.sampled_from(["round", "loss", "validation_loss", "validation_auc"]), _VALUES)


@given(_VALUES | st.lists(_VALUES | _POINT, max_size=5))
def test_whatever_a_party_seals_is_a_curve_or_refused(value: Any) -> None:
    with suppress(ResultError):
        curves.lines(curves.points({"curve": value}))


def test_losses_are_shown_with_how_they_came_there() -> None:
    points = [
        {
            "round": n,
            "loss": 1 / (n + 1),
            "validation_loss": 0.5 + abs(n - 60) / 100,
            "validation_auc": 0.8 - abs(n - 70) / 100,
        }
        for n in range(81)
    ]
    first, second, third = curves.lines(curves.points(json.loads(json.dumps({"curve": points}))))
    assert first.startswith("loss       0.01235  █")
    assert "lowest 0.50000 after 60" in second
    assert third.startswith("AUC        0.70000")
    assert "highest 0.80000 after 70" in third
    assert len(curves.spark([1.0] * 500, 40)) <= 40


@given(st.integers(0, 2000))
def test_the_outline_of_a_long_curve_is_short_and_ends_where_it_ends(length: int) -> None:
    points = [Point(after, 0.5, None) for after in range(length)]
    outline = stopping.outline(points)
    assert len(outline) <= 128
    assert outline[-1:] == stopping.told(points)[-1:]
    assert length > 128 or outline == stopping.told(points)


def test_the_card_tells_how_the_fit_went() -> None:
    result, _ = run(banks(TREES))
    text = as_text(card(Model.from_value(result["model"], "the result")))
    losses = [point["validation_loss"] for point in result["training"]["curve"]]
    assert f"lowest {min(losses):.6g} after {losses.index(min(losses))}" in " ".join(text.split())
    pictures = as_html(card(Model.from_value(result["model"], "the result")))
    assert pictures.count("<figure") >= 3
    assert "AUC on rows held out" in text
