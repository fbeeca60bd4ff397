"""Flower's strategies over our exchange: they choose and write, the exchange carries, updates stay sealed."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pytest
from flwr.app import Message, RecordDict
from flwr.serverapp.strategy import FedAvg

from consortia_common.content import Content
from consortia_common.documents.kinds.train import STRATEGY_SETTINGS, Strategy
from consortia_common.flower_compat import content_of, records_of
from consortia_coordinator.federated import ExchangeGrid, run_strategy
from tests.support.consortium import BANKS


class Exchange:
    """Tasks go in, answers come out; what was answered before is answered the same."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, str, int]] = []
        self.carried: dict[str, Content] = {}
        self.silent: set[str] = set()

    def post(self, institution: str, step: str, turn: int, content: Content) -> str:
        self.posted.append((institution, step, turn))
        task_id = f"job/{step}/{turn}/{institution}"
        self.carried.setdefault(task_id, content)
        return task_id

    def collect(self, task_ids: Iterable[str], timeout: float | None) -> Mapping[str, Content]:
        return {
            task_id: Content(arrays={"sealed.0": np.frombuffer(task_id.encode(), np.uint8)})
            for task_id in reversed(list(task_ids))
            if task_id.rsplit("/", 1)[1] not in self.silent
        }


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


def grid_over(exchange: Exchange) -> ExchangeGrid:
    return ExchangeGrid(BANKS, exchange.post, exchange.collect)


def run(exchange: Exchange, strategy: str = "FedAvg", rounds: int = 3) -> tuple[Content, list[Any]]:
    """The last sum, and what was aggregated in each round."""
    sums: list[Any] = []

    def add(uploads: Mapping[str, Content], turn: int) -> Content:
        sums.append((turn, {party: content.arrays["sealed.0"].tobytes() for party, content in uploads.items()}))
        return Content(arrays={"sealed.0": np.frombuffer(f"sum {turn}".encode(), np.uint8)})

    first = Content(arrays={"sealed.0": np.frombuffer(b"moments", np.uint8)})
    settings = Strategy.from_value({"name": strategy}, "the test")
    last = run_strategy(settings, grid_over(exchange), add, rounds, first, lambda turn: None)
    return last, sums


@pytest.mark.parametrize("strategy", STRATEGY_SETTINGS)
def test_every_round_asks_every_party_once(exchange: Exchange, strategy: str) -> None:
    last, sums = run(exchange, strategy)
    assert sorted(exchange.posted) == sorted((bank, "train", turn) for bank in BANKS for turn in (1, 2, 3))
    assert [turn for turn, _ in sums] == [1, 2, 3]
    for turn, uploads in sums:
        assert uploads == {bank: f"job/train/{turn}/{bank}".encode() for bank in BANKS}
    assert last.arrays["sealed.0"].tobytes() == b"sum 3"


def test_each_round_carries_the_sum_of_the_one_before(exchange: Exchange) -> None:
    run(exchange)
    for turn, expected in ((1, b"moments"), (2, b"sum 1"), (3, b"sum 2")):
        for bank in BANKS:
            content = exchange.carried[f"job/train/{turn}/{bank}"]
            assert content.arrays["sealed.0"].tobytes() == expected
            assert content.config["server-round"] == turn


def test_run_again_it_asks_for_the_same(exchange: Exchange) -> None:
    first, _ = run(exchange)
    asked = dict(exchange.carried)
    again, _ = run(exchange)
    assert exchange.carried.keys() == asked.keys()
    assert (first.arrays["sealed.0"] == again.arrays["sealed.0"]).all()


def test_parties_are_numbered_in_the_spec_s_order(exchange: Exchange) -> None:
    grid = grid_over(exchange)
    assert list(grid.get_node_ids()) == [1, 2, 3]
    assert [grid.party(node) for node in (1, 2, 3)] == list(BANKS)
    with pytest.raises(KeyError):
        grid.party(4)


def test_a_reply_is_known_by_its_task_whoever_it_says_it_is_from(exchange: Exchange) -> None:
    grid = grid_over(exchange)
    messages = [grid.create_message(records_of(Content(config={"n": n})), "query.x", n, "5") for n in (1, 2, 3)]
    replies = grid.send_and_receive(messages)
    for reply in replies:
        sent = content_of(reply.content).arrays["sealed.0"].tobytes().decode()
        assert sent == f"job/query.x/5/{grid.party(reply.metadata.src_node_id)}"


def test_replies_that_are_there_can_be_pulled_without_waiting(exchange: Exchange) -> None:
    grid = grid_over(exchange)
    ids = grid.push_messages([grid.create_message(RecordDict(), "evaluate", node, "") for node in (1, 2)])
    assert list(ids) == ["job/evaluate/0/bank-a", "job/evaluate/0/bank-b"]
    exchange.silent = {"bank-b"}
    (reply,) = grid.pull_messages(ids)
    assert isinstance(reply, Message)
    assert reply.metadata.src_node_id == 1


def test_a_strategy_never_sees_an_update(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[object] = []
    monkeypatch.setattr(FedAvg, "aggregate_train", lambda self, turn, replies: read.append(replies))
    run(exchange)
    assert read == []
