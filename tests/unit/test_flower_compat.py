"""What of Flower we rely on. When flwr is raised to a newer version, this says what to look at."""

import ast
import inspect
import logging
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import flwr.serverapp.strategy as flower_strategies
import numpy as np
import pytest
from flwr.app import Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

from consortia_common.content import Content
from consortia_common.documents.strategies import STRATEGY_SETTINGS
from consortia_common.flower_compat import array_record, content_of, empty_run, records_of

ROOT = Path(__file__).parents[2]
PINNED = "1.41.0"


def test_the_version_is_the_one_that_was_looked_at() -> None:
    assert version("flwr") == PINNED
    assert (ROOT / "pyproject.toml").read_text().count(f'"flwr=={PINNED}"') == 2


def test_it_does_not_phone_home_or_talk() -> None:
    assert os.environ["FLWR_TELEMETRY_ENABLED"] == "0"
    assert os.environ["FLWR_DISABLE_UPDATE_CHECK"] == "1"
    assert logging.getLogger("flwr").level == logging.ERROR


@pytest.mark.parametrize("package", ["node/consortia_node", "coordinator/consortia_coordinator"])
def test_its_switches_are_set_before_it_is_imported(package: str) -> None:
    tree = ast.parse((ROOT / package / "federated.py").read_text())
    imported = [
        name
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    ]
    first = next(index for index, name in enumerate(imported) if str(name).startswith("flwr"))
    assert imported.index("consortia_common.flower_compat") < first


@pytest.mark.parametrize("name", STRATEGY_SETTINGS)
def test_strategies_have_the_settings_that_specs_may_give(name: str) -> None:
    strategy = getattr(flower_strategies, name)
    settings = set(inspect.signature(strategy.__init__).parameters)
    assert STRATEGY_SETTINGS[name] | {"min_train_nodes", "min_available_nodes"} <= settings
    made = strategy(min_train_nodes=3, min_available_nodes=3)
    assert (made.fraction_train, made.arrayrecord_key, made.configrecord_key) == (1.0, "arrays", "config")
    assert made.weighted_by_key == "num-examples"
    assert list(inspect.signature(made.configure_train).parameters) == ["server_round", "arrays", "config", "grid"]
    assert list(inspect.signature(made.aggregate_train).parameters) == ["server_round", "replies"]


def test_a_grid_is_what_we_implement_and_no_more() -> None:
    assert Grid.__abstractmethods__ == {
        "set_run", "run", "create_message", "get_node_ids", "push_messages", "pull_messages", "send_and_receive"
    }  # fmt: skip
    assert empty_run().run_id == 1


def test_a_reply_comes_from_whom_the_request_was_for() -> None:
    request = Message(RecordDict(), 7, "train", group_id="3")
    reply = Message(RecordDict({"metrics": MetricRecord({"num-examples": 1})}), reply_to=request)
    assert reply.metadata.src_node_id == request.metadata.dst_node_id == 7
    assert request.metadata.group_id == "3"
    assert request.metadata.message_type == "train"


@pytest.mark.parametrize("step", ["train", "evaluate", "query", "query.tabulate"])
def test_a_client_app_runs_the_handler_of_a_step(step: str) -> None:
    app, seen = ClientApp(), []

    def handle(message: Message, context: Context) -> Message:
        seen.append(message.metadata.message_type)
        return Message(RecordDict(), reply_to=message)

    category, _, action = step.partition(".")
    register: Any = getattr(app, category)
    (register(action) if action else register())(handle)
    context = Context(run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config={})
    app(Message(RecordDict(), 1, step), context)
    assert seen == [step]


def test_content_survives_being_flowers_records() -> None:
    content = Content(
        {"model": np.arange(6, dtype=np.float64).reshape(2, 3), "sealed.0": np.array([1, 255], np.uint8)},
        {"text": "x", "blob": b"\0\xff", "flag": True, "list": ["a", "b"], "blobs": [b"a"], "none": []},
        {"loss": 0.5, "rows": 7, "each": [1.0, 2.0]},
    )
    found = content_of(records_of(content))
    assert (found.config, found.metrics) == (content.config, content.metrics)
    for name, array in content.arrays.items():
        assert found.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(found.arrays[name], array)


def test_missing_records_are_empty() -> None:
    assert content_of(RecordDict()) == Content()


def test_whatever_numpy_takes_becomes_an_array() -> None:
    record = array_record({"list": [1.0, 2.0], "number": np.float64(3)})
    assert record["list"].numpy().tolist() == [1.0, 2.0]
    assert record["number"].numpy().shape == ()
