"""What a bank that leaves, or that lies, can do to a fit: nothing that the others don't notice or bound."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from consortia_common.content import Content
from consortia_common.documents.kinds import Turn
from consortia_common.documents.stopping import MEASURES
from consortia_common.sealed import policy_of
from consortia_crypto.errors import SumError
from consortia_node.errors import StepError, TotalRefusedError
from tests.support.fits import (
    FEATURES,
    LOGISTIC,
    NETWORK,
    TREES,
    banks,
    made,
    pooled,
    run,
    weights,
)
from tests.support.specs import BANKS, spec
from tests.support.work import Banks


def test_an_update_that_is_not_finite_is_not_sealed() -> None:
    with pytest.raises((SumError, StepError), match="finite"):
        run(banks(NETWORK | {"learning_rate": "1000000", "epochs": 100, "objective": "squared"}, label="loss"))


def test_an_absurd_update_is_clipped() -> None:
    together = banks(NETWORK | {"learning_rate": "900", "clip": "0.5", "rounds": 1})
    result = run(together)
    assert max(abs(float(weight)) for weight in result["model"]["fit"]["weights"]) <= 0.5 + 1e-6


@pytest.mark.parametrize("more", [{}, {"early_stopping": {"share": "0.3", "patience": 2}}])
def test_a_fit_that_diverges_within_its_clips_is_no_model(more: Mapping[str, Any]) -> None:
    with pytest.raises(StepError, match=r"diverged: its loss rose from 0\.69.* smaller learning_rate"):
        run(banks(NETWORK | {"learning_rate": "1000", "epochs": 20} | more))


@pytest.mark.parametrize("weight", [0, -5])
def test_a_sum_without_weight_is_refused(weight: int) -> None:
    for model, place in ((LOGISTIC, -1), (NETWORK, -1 - MEASURES)):
        together = banks(model)
        together.add("query.prepare")
        hostile = together.add("train", 1)
        hostile[place] = weight
        together.give("update", hostile, 1)
        with pytest.raises(StepError, match="total was refused"):
            together.add("train", 2)


def leaving(of: Banks, bank: str, at: Turn) -> Mapping[str, Any]:
    """As ``run``, but from a turn on without one of the banks."""
    for turn in of.spec.parameters.turns(BANKS[0])[:-1]:
        if turn == at:
            del of.works[bank]
        of.add(turn.step, turn.round)
    return of.results()[0]


def turns_of(model: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], Turn]]:
    return [(model, turn) for turn in banks(model).spec.parameters.turns(BANKS[0])[1:-1]]


@pytest.mark.parametrize(
    ("model", "at"),
    [*turns_of(LOGISTIC | {"rounds": 8}), *turns_of(TREES | {"trees": 2, "depth": 2}), *turns_of(NETWORK)],
)
def test_a_bank_may_leave_before_any_round(model: Mapping[str, Any], at: Turn) -> None:
    together = banks(model)
    result = leaving(together, BANKS[1], at)
    assert result["evaluation"]["rows"] == 180
    assert result["evaluation"]["auc"] > 0.6
    if model["type"] == "logistic_regression" and at.step == "train" and at.round < 4:
        left = LogisticRegression(C=np.inf, tol=1e-12, max_iter=9999)
        left.fit(np.column_stack([pooled(together, name) for name in FEATURES]), pooled(together, "default"))
        inputs = result["model"]["inputs"]
        slopes = [float(each) / float(one["scale"]) for each, one in zip(weights(result), inputs, strict=False)]
        assert slopes == pytest.approx(left.coef_[0], rel=1e-5)
        assert result["training"]["converged"]


def test_a_tree_ends_where_rows_have_left_it() -> None:
    """The histogram of a larger half is the parent's less the smaller's; with other rows that is nobody's."""
    result = leaving(banks(TREES), BANKS[1], Turn("train", 2))
    first, second, _ = result["model"]["fit"]["trees"]
    assert [len(first), first[0]["rows"], second[0]["rows"]] == [3, 380, 180]
    assert len(second) > 3


def first_of(of: Banks) -> Any:
    """The total of the first round, everybody being behind what comes before it."""
    turns = of.spec.parameters.turns(BANKS[0])
    return [of.add(turn.step, turn.round) for turn in turns[: [turn.step for turn in turns].index("train") + 1]][-1]


@pytest.mark.parametrize("word_bits", [16, 32, 64])
def test_an_update_beyond_the_clip_is_refused_whatever_software_made_it(word_bits: int) -> None:
    """A bank that doesn't clip what it adds can't move the mean by more than one that does."""
    together = banks(NETWORK | {"clip": "0.5", "word_bits": word_bits}, max_rows=10_000)
    honest = first_of(together)
    policy = policy_of("job", together.spec, "update", 1)
    for change, why in ((0, "larger than clipped ones"), (-1 - MEASURES, "weigh more than there are rows")):
        absurd = honest.copy()
        absurd[change] = policy.limit
        together.give("update", absurd, 1)
        with pytest.raises(TotalRefusedError) as refused:
            together.outcomes("train", Content(), 2)
        assert why in refused.value.detail
    together.give("update", honest, 1)
    together.add("train", 2)


@pytest.mark.parametrize(
    ("place", "change", "why"),
    [
        ((0, 0, 0, 2), -1000, "fewer than no rows"),
        ((0, 0, 0, 1), -(2**40), "fewer than no rows"),
        ((0, 0, 0, 2), 10**6, "more rows than there are"),
        ((0, 0, 0, 0), 2**40, "don't add up to the same rows"),
    ],
)
def test_histograms_that_no_rows_have_are_refused(place: Any, change: int, why: str) -> None:
    together = banks(TREES)
    total = first_of(together)
    total[:-MEASURES].reshape(-1, 2, 65, 3)[place] += change
    together.give("histograms1", total, 1)
    with pytest.raises(TotalRefusedError) as refused:
        together.outcomes("train", Content(), 2)
    assert why in refused.value.detail


@pytest.mark.parametrize(
    ("encoding", "ones", "taken"),
    [("one_hot", 4, True), ("weight_of_evidence", 4, False), ("weight_of_evidence", 40, True)],
)
def test_a_category_of_a_few_is_refused_where_its_weight_would_count_them(
    encoding: str, ones: int, *, taken: bool
) -> None:
    """All 80 rows in the north; with a few ones among them, a weight of evidence would tell how many."""
    tables = {}
    for place, bank in enumerate(BANKS):
        rows = made(100, place)
        rows["branch"] = np.array(["north"] * 80 + ["south"] * 20)
        rows["default"] = np.concatenate([np.arange(80) < ones * (place == 0), np.arange(20) % 2]).astype(float)
        tables[bank] = {"clients": rows, "clients_test": rows}
    asked = spec(
        "train",
        model={"type": "logistic_regression", "rounds": 1},
        features=["income", "branch"],
        categories={"branch": ["north", "south"]},
        encoding=encoding,
    )
    together = Banks(asked, tables, min_cell=10)
    if taken:
        together.add("query.prepare")
        together.add("train", 1)
        return
    together.add("query.prepare")
    with pytest.raises(StepError, match="too few rows of all parties have branch = north"):
        together.add("train", 1)
