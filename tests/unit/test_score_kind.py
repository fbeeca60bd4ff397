"""Scoring: encrypted at the one bank, scored at the other, decrypted at the first; letters that lie are refused."""

import io
import json
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from consortia_common.content import Content
from consortia_common.documents.model import LinearModel, logit
from consortia_common.models.scorecard import as_model
from consortia_crypto.errors import ConsortiaError
from consortia_node.errors import StepError
from consortia_node.kinds import Outcome
from consortia_node.kinds.score import DECIMALS, STEPS, conclude, encrypt, evaluate
from tests.support.specs import spec
from tests.support.work import PlainWork

OWNER, MODELLER = "bank-a", "bank-b"
MODEL = LinearModel.from_numbers(["income", "age"], [-0.8, 0.3], 0.1, means=[3000.0, 45.0], scales=[900.0, 20.0])
LIMITS = {"income": (0.0, 50_000.0), "age": (0.0, 120.0)}
ROWS = {"income": [1000.0, 3000.0, 9000.0, 50_000.0], "age": [20.0, 45.0, 60.0, 120.0]}


def owner(**parameters: Any) -> PlainWork:
    return PlainWork(spec("score", **parameters), OWNER, {"clients_test": ROWS}, limits=LIMITS)


def modeller(model: LinearModel = MODEL, **parameters: Any) -> PlainWork:
    return PlainWork(spec("score", **parameters), MODELLER, models={"scorecard": as_model(model)})


@pytest.fixture(scope="module")
def encrypted() -> tuple[PlainWork, Content]:
    """The data owner after its first step, and its letter."""
    work = owner()
    return work, encrypt(work, Content()).letters[MODELLER]


@pytest.fixture(scope="module")
def answered(encrypted: tuple[PlainWork, Content]) -> Outcome:
    return evaluate(modeller(), encrypted[1])


def written(outcome: Outcome) -> dict[str, float]:
    table = pq.read_table(io.BytesIO(outcome.files["scores.parquet"])).to_pydict()
    return dict(zip(table["subject"], table["score"], strict=True))


def test_scores_are_those_of_the_plain_model(encrypted: tuple[PlainWork, Content], answered: Outcome) -> None:
    outcome = conclude(encrypted[0], answered.letters[OWNER])
    expected = [1 / (1 + np.exp(-logit(MODEL, row))) for row in zip(*ROWS.values(), strict=True)]
    found = written(outcome)
    assert list(found) == [f"bank-a-{row}" for row in range(4)]
    assert list(found.values()) == pytest.approx(expected, abs=1e-3)
    assert list(found.values()) == [round(score, DECIMALS) for score in found.values()]
    assert outcome.result == {"kind": "score", "rows": 4, "kept_at": OWNER, "file": "scores.parquet"}


def test_nothing_goes_to_the_coordinator(encrypted: tuple[PlainWork, Content], answered: Outcome) -> None:
    outcomes = [encrypt(owner(), Content()), answered, conclude(encrypted[0], answered.letters[OWNER])]
    assert all(outcome.content == Content() for outcome in outcomes)
    assert [set(outcome.letters) for outcome in outcomes] == [{MODELLER}, {OWNER}, set()]
    assert [event.name for outcome in outcomes for event in outcome.events] == ["scores.returned"] * 2


def test_the_letter_tells_no_customer_and_no_key(encrypted: tuple[PlainWork, Content]) -> None:
    work, letter = encrypted
    assert set(letter.config) == {"public", "features", "rows", "lows", "highs"}
    sent = letter.to_bytes()
    assert b"bank-a-" not in sent
    assert work.values["score.secret"] not in sent
    assert json.loads(work.values["score.subjects"]) == work.subjects("clients_test")


def test_who_withdrew_meanwhile_is_left_out(encrypted: tuple[PlainWork, Content], answered: Outcome) -> None:
    work = owner()
    work.values.update(encrypted[0].values)
    work.kept = ["bank-a-0", "bank-a-3"]
    assert list(written(conclude(work, answered.letters[OWNER]))) == ["bank-a-0", "bank-a-3"]


def test_at_most_max_rows_are_encrypted() -> None:
    work = owner(max_rows=2)
    assert encrypt(work, Content()).letters[MODELLER].config["rows"] == 2
    assert json.loads(work.values["score.subjects"]) == ["bank-a-0", "bank-a-1"]


def test_a_value_out_of_its_range_is_not_encrypted() -> None:
    work = owner()
    work.limits = LIMITS | {"age": (0.0, 100.0)}
    with pytest.raises(StepError, match="outside the range") as refused:
        encrypt(work, Content())
    assert "datasets.toml" in refused.value.blame
    assert "120" not in str(refused.value)


def test_a_model_of_other_features_is_not_used(encrypted: tuple[PlainWork, Content]) -> None:
    turned = LinearModel.from_numbers(["age", "income"], [1.0, 1.0], 0.0)
    with pytest.raises(StepError, match="other features than the job names, or in another order"):
        evaluate(modeller(turned), encrypted[1])


@pytest.mark.parametrize(
    "lie",
    [
        {"rows": 0},
        {"rows": -1},
        {"rows": "4"},
        {"rows": True},
        {"rows": 2**62},
        {"rows": 5000},
        {"lows": []},
        {"lows": [1, 2]},
        {"lows": ["a", "b"]},
        {"lows": [0.0, 0.0, 0.0]},
        {"lows": [float("nan"), 0.0]},
        {"lows": [float("-inf"), 0.0]},
        {"highs": [0.0, 0.0]},
        {"highs": 5.0},
        {"public": "x"},
        {"public": b""},
        {"public": b"x" * 1000},
        {"features": []},
        {"features": ["x", "y"]},
        {"features": [b"x", b"y"]},
        {"features": [b"x"] * 100},
    ],
    ids=str,
)
def test_a_letter_that_lies_is_refused(encrypted: tuple[PlainWork, Content], lie: dict[str, Any]) -> None:
    letter = Content(config={**encrypted[1].config, **lie})
    with pytest.raises(ConsortiaError) as refused:
        evaluate(modeller(), letter)
    assert refused.value.remedy


@pytest.mark.parametrize("name", ["rows", "lows", "highs", "public", "features"])
def test_a_letter_that_lacks_something_names_its_sender(encrypted: tuple[PlainWork, Content], name: str) -> None:
    letter = Content(config={key: value for key, value in encrypted[1].config.items() if key != name})
    with pytest.raises(StepError, match=f"letter from {OWNER} has no valid") as refused:
        evaluate(modeller(), letter)
    assert refused.value.blame == OWNER


@pytest.mark.parametrize("scores", [None, b"x", [], ["x"], [b"x"], [b"x", b"y"], [5]], ids=str)
def test_an_answer_that_is_none_is_refused(encrypted: tuple[PlainWork, Content], scores: Any) -> None:
    config = {} if scores is None else {"scores": scores}
    with pytest.raises(ConsortiaError) as refused:
        conclude(encrypted[0], Content(config=config))
    assert MODELLER in refused.value.blame


def test_the_steps_are_those_of_the_spec_s_turns() -> None:
    parameters = spec("score").parameters
    asked = {turn.step for party in (OWNER, MODELLER) for turn in parameters.turns(party)}
    assert asked == set(STEPS)
    assert STEPS["query.evaluate"].letter_from == "query.encrypt"
    assert not STEPS["query.evaluate"].reads
