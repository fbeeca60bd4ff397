"""The server step taken at each institution is Flower's own, round after round, as if it had never stopped."""

from typing import Any

import flwr.serverapp.strategy as flower_strategies
import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict

from consortia_common.content import Content
from consortia_common.documents.strategies import Strategy
from consortia_common.errors import ExchangeError
from consortia_common.flower_compat import array_record
from consortia_node import federated
from consortia_node.errors import StepError
from consortia_node.federated import run_step, server_step
from consortia_node.kinds import Outcome

ROWS = (100, 250, 30)
STRATEGIES = [
    {"name": "FedAvg"},
    {"name": "FedAvgM"},
    {"name": "FedAvgM", "settings": {"server_learning_rate": "0.7", "server_momentum": "0.9"}},
    {"name": "FedAdam"},
    {"name": "FedAdam", "settings": {"eta": "0.3", "beta_1": "0.5", "beta_2": "0.9", "tau": "0.01"}},
    {"name": "FedYogi"},
    {"name": "FedAdagrad", "settings": {"eta": "0.2", "eta_l": "0.05"}},
]


class ThreeNodes(federated._OneNode):
    """Flower's own way: the server sees every node's model."""

    def get_node_ids(self) -> list[int]:
        return [1, 2, 3]


def uninterrupted(strategy: Strategy, start: np.ndarray, updates: np.ndarray) -> list[np.ndarray]:
    """One strategy object over all rounds, on the plain models of three nodes; the model after each round."""
    flower = getattr(flower_strategies, strategy.name)(
        min_train_nodes=3,
        min_available_nodes=3,
        **{name: float(value) for name, value in strategy.settings.items()},
    )
    grid, arrays, models = ThreeNodes(), array_record({"model": start}), []
    for turn, of_round in enumerate(updates, start=1):
        replies = []
        for message in flower.configure_train(turn, arrays, ConfigRecord(), grid):
            node = message.metadata.dst_node_id - 1
            model = arrays["model"].numpy() + of_round[node]
            content = {
                "arrays": array_record({"model": model}),
                "metrics": MetricRecord({"num-examples": ROWS[node]}),
            }
            replies.append(Message(RecordDict(content), reply_to=message))
        arrays, _ = flower.aggregate_train(turn, replies)
        models.append(arrays["model"].numpy())
    return models


@pytest.mark.parametrize("value", STRATEGIES, ids=lambda value: f"{value['name']}-{len(value.get('settings', {}))}")
def test_rounds_of_server_steps_are_flowers_own(value: dict[str, Any]) -> None:
    strategy = Strategy.from_value(value, "the test")
    generator = np.random.default_rng(7)
    start, updates = generator.normal(size=5), generator.normal(scale=0.3, size=(6, 3, 5))
    state: dict[str, bytes] = {}
    model = start
    for expected, of_round in zip(uninterrupted(strategy, start, updates), updates, strict=True):
        mean = np.average(of_round, axis=0, weights=ROWS)
        state = dict(state)  # what a node stored and read again
        model = server_step(strategy, state, model, mean)
        np.testing.assert_allclose(model, expected, rtol=1e-9, atol=1e-12)
        assert model.dtype == np.float64
    assert state["strategy.turn"] == b"6"
    assert all(name.startswith("strategy.") for name in state)


def test_a_step_taken_again_from_the_state_before_it_is_the_same() -> None:
    strategy = Strategy.from_value({"name": "FedAdam"}, "the test")
    state: dict[str, bytes] = {}
    first = server_step(strategy, state, np.zeros(3), np.ones(3))
    kept = dict(state)
    again = [server_step(strategy, dict(kept), first, np.full(3, 0.5)) for _ in range(3)]
    assert all((model == again[0]).all() for model in again)


def test_a_step_that_leads_nowhere_is_refused() -> None:
    strategy = Strategy.from_value({"name": "FedAdam", "settings": {"tau": "1e-400"}}, "the test")
    state: dict[str, bytes] = {}
    with pytest.raises(StepError, match="not finite") as refused:
        server_step(strategy, state, np.ones(2), np.zeros(2))
    assert "strategy settings" in refused.value.blame
    assert state == {}


@pytest.mark.parametrize("step", ["train", "evaluate", "query.tabulate"])
def test_a_handler_runs_once_with_what_was_asked(step: str) -> None:
    asked: list[Content] = []

    def handle(content: Content) -> Outcome:
        asked.append(content)
        return Outcome(content=Content(config={"said": "yes"}), result={"n": 1})

    outcome = run_step(step, 3, handle, Content({"a": np.arange(3)}, {"b": b"\0"}))
    assert (outcome.content.config, outcome.result) == ({"said": "yes"}, {"n": 1})
    assert len(asked) == 1
    assert asked[0].config == {"b": b"\0"}
    assert asked[0].arrays["a"].tolist() == [0, 1, 2]


def test_what_a_handler_refuses_stays_what_it_is() -> None:
    def handle(content: Content) -> Outcome:
        raise ExchangeError("no", blame="b", remedy="r")

    with pytest.raises(ExchangeError, match="no"):
        run_step("train", 1, handle, Content())
