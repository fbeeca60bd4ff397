"""The one place of the coordinator that imports Flower: our exchange as a ``Grid``, Flower's strategies on top.

Flower's strategy chooses the parties and writes each round's messages; what it may not do here is read an update.
``aggregate_train`` is therefore replaced by the sealed sum, and the strategy's own server step (the mean, Adam's
moments) runs at the institutions on the opened sum (docs/adr/0003). Node ids, run ids and message ids on the
wire come from the exchange, never from a message.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from consortia_common.flower_compat import content_of, empty_run, records_of

# What is above switches telemetry off before Flower is first imported.
# isort: split
import flwr.serverapp.strategy as flower_strategies
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from consortia_common.content import Content
from consortia_common.documents.strategies import Strategy

Post = Callable[[str, int, Mapping[str, Content]], Mapping[str, str]]
"""(step, turn, contents by institution) → task ids by institution; journalled together before it returns."""
Collect = Callable[[Iterable[str], float | None], Mapping[str, Content]]
"""(task ids, timeout in seconds) → contents of those that were answered in time."""


class Round(Protocol):
    """The sealed sum behind a round of training; what it adds never passes through Flower."""

    def prepare(self, turn: int) -> None:
        """Have the parties get ready for round ``turn`` and the one after it; before its messages are pushed."""

    def aggregate(self, turn: int) -> None:
        """Add the uploads, which ride with the answers; every party gets the sealed total with what comes next."""

    def is_over(self, turn: int) -> bool:
        """Whether the parties have said with round ``turn`` that they need no more of them."""


class ExchangeGrid(Grid):
    """Flower's Grid over the exchange: messages become journalled tasks, replies come from the journal."""

    def __init__(self, parties: tuple[str, ...], post: Post, collect: Collect) -> None:
        self._parties = dict(enumerate(parties, start=1))
        self._post = post
        self._collect = collect
        self._sent: dict[str, Message] = {}

    def party(self, node_id: int) -> str:
        """The institution behind a Flower node id."""
        return self._parties[node_id]

    def set_run(self, run: Run) -> None:
        """Not needed: one grid serves one job."""

    @property
    def run(self) -> Run:
        """An empty run: jobs are known by the exchange's own ids."""
        return empty_run()

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """A message in Flower's own form; ``group_id`` is the round where it is a number."""
        return Message(content, dst_node_id, message_type, group_id=group_id, ttl=ttl)

    def get_node_ids(self) -> list[int]:
        """The job's parties, numbered from 1 in the spec's order."""
        return list(self._parties)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Journal each message as a task of the institution it is for; those of one step and round together."""
        steps: dict[tuple[str, int], dict[str, tuple[Message, Content]]] = {}
        for message in messages:
            content = content_of(message.content)
            turn = int(content.config.get("server-round") or message.metadata.group_id or 0)
            asked = steps.setdefault((message.metadata.message_type, turn), {})
            asked[self.party(message.metadata.dst_node_id)] = message, content
        posted: list[str] = []
        for (step, turn), asked in steps.items():
            ids = self._post(step, turn, {party: content for party, (_, content) in asked.items()})
            self._sent |= {ids[party]: message for party, (message, _) in asked.items()}
            posted += ids.values()
        return posted

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Replies that are there already; does not wait."""
        return self._replies(message_ids, 0.0)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Push, then wait until all have answered or ``timeout`` seconds are over."""
        return self._replies(self.push_messages(messages), timeout)

    def _replies(self, message_ids: Iterable[str], timeout: float | None) -> list[Message]:
        answered = self._collect(message_ids, timeout)
        return [
            Message(records_of(content), reply_to=self._sent.pop(task_id)) for task_id, content in answered.items()
        ]


class _SealedAggregation:
    """Mixed in before one of Flower's strategies: updates are added sealed, never read."""

    sums: Round

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """The sealed sum of the round's updates, in the place of their mean; the parties have it, not Flower.

        ``replies`` say only who has trained: the updates themselves are in the uploads.
        """
        del replies
        self.sums.aggregate(server_round)
        return ArrayRecord(), MetricRecord()


def run_strategy(strategy: Strategy, grid: ExchangeGrid, sums: Round, rounds: int) -> None:
    """Run the named Flower strategy over ``grid``, for ``rounds`` rounds or until the parties say that it is over.

    The loop is ours and not ``strategy.start()`` so that a restarted coordinator can go through it again and find
    each round's answers in the journal. A party whose training fails or is late is missing from the round's sum,
    which decides whether enough are left.
    """
    sealed = _sealed(strategy, grid, sums)
    for server_round in range(1, rounds + 1):
        sums.prepare(server_round)
        messages = sealed.configure_train(server_round, ArrayRecord(), ConfigRecord(), grid)
        sent = grid.push_messages(messages)
        sealed.aggregate_train(server_round, grid.pull_messages(sent))
        if sums.is_over(server_round):
            return


def _sealed(strategy: Strategy, grid: ExchangeGrid, sums: Round) -> Any:
    everyone = len(grid.get_node_ids())
    base = getattr(flower_strategies, strategy.name)
    kind = type(f"Sealed{strategy.name}", (_SealedAggregation, base), {})
    made = kind(
        min_train_nodes=everyone,
        min_available_nodes=everyone,
        **{name: float(value) for name, value in strategy.settings.items()},
    )
    made.sums = sums
    return made
