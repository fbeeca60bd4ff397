"""The one place of the node that imports Flower: steps run as ``ClientApp`` handlers, sums meet its strategies.

A step of a job is a Flower message (``train``, ``evaluate``, ``query.…``). A strategy's server step, which in
Flower runs at the server on everybody's updates, runs here on the one opened mean, the same at every institution
(docs/adr/0003); what it carries from round to round is kept with the job's other values.
"""

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, cast

from consortia_common.flower_compat import array_record, content_of, empty_run, records_of

# What is above switches telemetry off before Flower is first imported.
# isort: split
import flwr.serverapp.strategy as flower_strategies
import numpy as np
from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from consortia_common.content import Content
from consortia_common.documents.strategies import Strategy
from consortia_node.errors import StepError
from consortia_node.kinds import Floats, Outcome

Handler = Callable[[Content], Outcome]
_STATE_ATTRIBUTES = ("m_t", "v_t", "momentum_vector")
"""What Flower's strategies carry from round to round beside the model."""


def run_step(step: str, turn: int, handler: Handler, request: Content) -> Outcome:
    """Run ``handler`` as the ClientApp handler of the message type ``step``."""
    outcomes: list[Outcome] = []

    def handle(message: Message, context: Context) -> Message:
        del context
        outcomes.append(handler(content_of(message.content)))
        return Message(records_of(outcomes[0].content), reply_to=message)

    app = ClientApp()
    category, _, action = step.partition(".")
    register = cast("Any", getattr(app, category))
    register(action)(handle) if action else register()(handle)
    context = Context(run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config={})
    app(Message(records_of(request), 1, step, group_id=str(turn)), context)
    return outcomes[0]


def server_step(
    strategy: Strategy, state: MutableMapping[str, bytes], current: Floats, mean_update: Floats
) -> Floats:
    """The next model by the strategy's own ``aggregate_train``, given the weighted mean of all updates.

    ``state`` keeps what the strategy carries from round to round, under names that begin with "strategy.".
    Raises StepError for a step that leads nowhere.
    """
    flower = getattr(flower_strategies, strategy.name)(
        min_train_nodes=1,
        min_available_nodes=1,
        **{name: float(value) for name, value in strategy.settings.items()},
    )
    turn = int(state.get("strategy.turn", b"0")) + 1
    _restore(flower, state)
    grid = _OneNode()
    (message,) = flower.configure_train(turn, array_record({"model": current}), ConfigRecord(), grid)
    content = RecordDict(
        {
            "arrays": array_record({"model": current + mean_update}),
            "metrics": MetricRecord({"num-examples": 1}),
        }
    )
    with np.errstate(all="ignore"):
        arrays, _ = flower.aggregate_train(turn, [Message(content, reply_to=message)])
    model = np.asarray(arrays["model"].numpy(), np.float64)
    if not np.isfinite(model).all():
        raise StepError(
            f"the server step of {strategy.name} gave a model whose numbers are not finite",
            blame="the job spec's strategy settings",
            remedy="submit the job again with smaller learning rates, or with a larger tau",
        )
    _save(flower, state)
    state["strategy.turn"] = str(turn).encode()
    return model


class _OneNode(Grid):
    """A grid with one node that is never sent anything: the strategy's aggregation needs no exchange."""

    def set_run(self, run: Run) -> None:
        """Not needed."""

    @property
    def run(self) -> Run:
        """An empty run."""
        return empty_run()

    def get_node_ids(self) -> list[int]:
        """One node."""
        return [1]

    def create_message(self, *args: Any, **kwargs: Any) -> Message:
        """Flower's own constructor."""
        return Message(*args, **kwargs)

    def push_messages(self, messages: Any) -> list[str]:
        """Nothing is sent."""
        del messages
        return []

    def pull_messages(self, message_ids: Any) -> list[Message]:
        """Nothing comes."""
        del message_ids
        return []

    def send_and_receive(self, messages: Any, *, timeout: float | None = None) -> list[Message]:
        """Nothing is sent, nothing comes."""
        del messages, timeout
        return []


def _save(strategy: Any, state: MutableMapping[str, bytes]) -> None:
    for attribute in _STATE_ATTRIBUTES:
        value = getattr(strategy, attribute, None)
        if value is not None:
            arrays = value if isinstance(value, Mapping) else {str(i): item for i, item in enumerate(value)}
            state[f"strategy.{attribute}"] = Content(arrays=arrays).to_bytes()


def _restore(strategy: Any, state: Mapping[str, bytes]) -> None:
    for attribute in _STATE_ATTRIBUTES:
        kept = state.get(f"strategy.{attribute}")
        if kept is not None:
            arrays = Content.from_bytes(kept, "this node").arrays
            as_list = attribute == "momentum_vector"
            setattr(strategy, attribute, list(arrays.values()) if as_list else dict(arrays))
