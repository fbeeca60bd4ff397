"""Flower's strategies over our exchange: they choose and write, the exchange carries, updates stay sealed."""

from collections.abc import Iterable, Mapping

import numpy as np
import pytest
from flwr.app import Message, RecordDict
from flwr.serverapp.strategy import FedAvg

from consortia_common.content import Content
from consortia_common.documents.strategies import STRATEGY_SETTINGS, Strategy
from consortia_common.flower_compat import content_of, records_of
from consortia_coordinator.federated import ExchangeGrid, run_strategy
from tests.support.specs import BANKS


class Exchange:
    """Tasks go in, answers come out; what was answered before is answered the same."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, str, int]] = []
        self.carried: dict[str, Content] = {}
        self.silent: set[str] = set()

    def post(self, step: str, turn: int, asked: Mapping[str, Content]) -> Mapping[str, str]:
        self.posted += [(institution, step, turn) for institution in asked]
        ids = {institution: f"job/{step}/{turn}/{institution}" for institution in asked}
        for institution, content in asked.items():
            self.carried.setdefault(ids[institution], content)
        return ids

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


class Sums:
    """Stands for the sealed sums: notes what it is asked, and when in the course of a round."""

    def __init__(self, exchange: Exchange) -> None:
        self.asked: list[tuple[str, int, int]] = []
        self._exchange = exchange
        self.last = 0
        """The round with which all say that it is over."""

    def prepare(self, turn: int) -> None:
        self._note("prepare", turn)

    def aggregate(self, turn: int) -> None:
        self._note("aggregate", turn)

    def is_over(self, turn: int) -> bool:
        return turn == self.last

    def _note(self, what: str, turn: int) -> None:
        self.asked.append((what, turn, len(self._exchange.posted)))


def run(exchange: Exchange, strategy: str = "FedAvg", rounds: int = 3, last: int = 0) -> Sums:
    sums = Sums(exchange)
    sums.last = last
    settings = Strategy.from_value({"name": strategy}, "the test")
    run_strategy(settings, grid_over(exchange), sums, rounds)
    return sums


@pytest.mark.parametrize("strategy", STRATEGY_SETTINGS)
def test_every_round_asks_every_party_once_and_adds_once(exchange: Exchange, strategy: str) -> None:
    """Shares before the training, the sum behind it."""
    sums = run(exchange, strategy)
    assert sorted(exchange.posted) == sorted((bank, "train", turn) for bank in BANKS for turn in (1, 2, 3))
    rounds = [("prepare", 0), ("aggregate", len(BANKS))]
    assert sums.asked == [
        (what, turn, posted + (turn - 1) * len(BANKS)) for turn in (1, 2, 3) for what, posted in rounds
    ]


@pytest.mark.parametrize("silent", [{"bank-b"}, set(BANKS)])
def test_whoever_keeps_silent_is_the_sums_affair(exchange: Exchange, silent: set[str]) -> None:
    exchange.silent = silent
    asked = run(exchange).asked
    assert [turn for what, turn, _ in asked if what == "aggregate"] == [1, 2, 3]


def test_once_the_parties_say_that_it_is_over_none_is_asked_again(exchange: Exchange) -> None:
    asked = run(exchange, last=2).asked
    assert [turn for what, turn, _ in asked if what == "aggregate"] == [1, 2]


def test_a_round_carries_its_number_and_no_array(exchange: Exchange) -> None:
    run(exchange)
    for turn in (1, 2, 3):
        for bank in BANKS:
            content = exchange.carried[f"job/train/{turn}/{bank}"]
            assert content.config["server-round"] == turn
            assert not content.arrays


def test_run_again_it_asks_for_the_same(exchange: Exchange) -> None:
    run(exchange)
    asked = dict(exchange.carried)
    run(exchange)
    assert exchange.carried == asked


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
