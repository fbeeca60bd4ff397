"""PURE: rounds of federated averaging for a ``train`` job: local training, a weighted update, the server's step."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consortia_common.documents.fitted import NetworkFit
from consortia_common.documents.kinds.train import Parameters
from consortia_common.documents.learners.neural_network import Network as Asked
from consortia_common.models.network import Network
from consortia_common.models.predict import INVERSE_LINKS
from consortia_crypto.sum.terms import MAX_INSTITUTIONS, largest
from consortia_node.errors import StepError, TotalRefusedError
from consortia_node.learning import measuring, state, stopping
from consortia_node.learning.descent import Descent, Trainable, train
from consortia_node.learning.measuring import Answered, Reading
from consortia_node.learning.preparing import Prepared
from consortia_node.learning.rows import Parts, Rows
from consortia_node.moments import rounded

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
ServerStep = Callable[[Floats, Floats], Floats]
"""(current, mean update) → the next model, by the spec's Flower strategy."""
_MODEL, _BEST = "network", "network.best"
_LAST_SHARE = 0.01
"""What is left of the learning rate at the end of a cosine schedule."""
_LINKS = {"logistic": "logit", "squared": "identity", "poisson": "log"}


class AveragingRounds:
    """The rounds of one fit; see Learning. All it remembers is in ``values``."""

    def __init__(
        self,
        parameters: Parameters,
        asked: Asked,
        prepared: Prepared,
        institution: str,
        min_cell: int,
        server_step: ServerStep,
    ) -> None:
        self._parameters = parameters
        self._asked = asked
        self._prepared = prepared
        self._institution = institution
        self._min_cell = min_cell
        self._server_step = server_step
        self._network = Network(asked.sizes(parameters.inputs), asked.activation)

    def contribute(self, values: Mapping[str, bytes], parts: Parts, turn: int) -> Floats | Integers:
        """The weighted update of this institution, its weight, and how the model before it does."""
        model, rows = self._recall(values), parts.learned
        measured = self._measures(model, parts)
        if turn > self._asked.rounds:  # the last one is there to measure
            return np.concatenate([np.zeros(self._network.length + 1), measured])
        features = self._prepared.preparation.matrix(rows.columns)
        network = self._trainable(turn)
        fitted = train(network, model, features, self._slope(rows), self._descent(turn), self._chance(turn))
        clip, weight = float(self._asked.clip), float(rows.weight.sum()) / self._parameters.max_rows
        update = fitted - model
        bounded = np.clip(update, -clip, clip) if np.isfinite(update).all() else update
        return np.concatenate([weight * bounded, [weight], measured])

    def absorb(self, values: state.Values, total: Any, turn: int) -> None:
        """See how the model does; then take the strategy's server step with the weighted mean of the updates."""
        updates, rule = total[: self._network.length + 1], self._asked.early_stopping
        stopping.note(values, turn - 1, measuring.read(total, self._reading), rule)
        if rule is not None and stopping.best(stopping.curve(values), rule) == turn - 1:
            state.keep_vector(values, _BEST, self._recall(values))
        if turn > self._asked.rounds:
            return
        weight = float(updates[-1])
        if weight <= 0:
            raise TotalRefusedError("the sum of the updates' weights is not positive")
        self._require_clipped(updates)
        self._step(values, updates[:-1] / weight)

    def is_over(self, values: Mapping[str, bytes]) -> bool:
        """By the spec's rule."""
        return stopping.is_over(stopping.curve(values), self._asked.early_stopping)

    def _require_clipped(self, updates: Floats) -> None:
        """Return if clipped updates of the rows that there are can add up to this, whatever software made them."""
        coarse = self._coarse
        rows = self._prepared.most_rows / self._parameters.max_rows
        if self._parameters.weight is None and updates[-1] > rows + coarse:
            raise TotalRefusedError("the updates weigh more than there are rows")
        if float(np.abs(updates[:-1]).max(initial=0.0)) > float(self._asked.clip) * (updates[-1] + coarse):
            raise TotalRefusedError("the sum of the updates is larger than clipped ones can add up to")

    @property
    def _coarse(self) -> float:
        """What rounding to words can change in a sum of numbers up to 1."""
        return 2 * MAX_INSTITUTIONS / largest(MAX_INSTITUTIONS, self._asked.word_bits)

    @property
    def _reading(self) -> Reading:
        """Counts are relative to max_rows."""
        rows, most = self._parameters.max_rows, self._prepared.most_rows
        return Reading(self._asked.ranks, 1 / rows, max(self._coarse * rows, 0.5), self._min_cell, most)

    def finish(self, values: Mapping[str, bytes]) -> tuple[NetworkFit, dict[str, object]]:
        """The model: of the best round if rows were held out, else of the last."""
        model = state.vector(values, _BEST) if _BEST in values else self._recall(values)
        points, rule = stopping.curve(values), self._asked.early_stopping
        rounds = stopping.best(points, rule) if rule else self._asked.rounds
        stopping.require_descent(points, rounds)
        made = NetworkFit.from_value(
            {
                "type": "network",
                "sizes": self._network.sizes,
                "activation": self._asked.activation,
                "weights": [repr(rounded(float(weight))) for weight in model],
                "centre": repr(rounded(self._centre)),
                "spread": repr(rounded(self._spread)),
            },
            "the fitted model",
        )
        return made, {"rounds": rounds, "curve": stopping.told(points)}

    def _trainable(self, turn: int) -> Trainable:
        """The network as the spec's engine computes it."""
        if self._asked.engine == "numpy":
            return self._network
        try:
            from consortia_node.learning.torch_network import TorchNetwork  # noqa: PLC0415  # an extra of its own
        except (ImportError, OSError) as error:
            raise StepError(
                f"PyTorch can't be loaded at {self._institution}",
                blame="the installation there, or too little memory for the job's worker",
                remedy="its operator may raise worker_memory_mib in node.toml, or install consortia[torch] anew",
            ) from error
        seed = int(self._chance(turn).integers(1 << 62))
        return TorchNetwork(self._network, float(self._asked.dropout), seed)

    def _step(self, values: state.Values, update: Floats) -> None:
        state.keep_vector(values, _MODEL, self._server_step(self._recall(values), update))

    def _recall(self, values: Mapping[str, bytes]) -> Floats:
        return state.vector(values, _MODEL) if _MODEL in values else self._start()

    def _start(self) -> Floats:
        """Zeros without hidden layers, which is the best guess there; else small random weights from the seed."""
        hidden = len(self._network.sizes) > 2
        return self._network.start(self._asked.seed) if hidden else np.zeros(self._network.length)

    def _measures(self, model: Floats, parts: Parts) -> Floats:
        """How the model does on this institution's rows, relative to max_rows."""
        learned, held_out = (
            Answered(
                self._network.margin(model, self._prepared.preparation.matrix(rows.columns)),
                (rows.label - self._centre) / self._spread,
                rows.weight,
            )
            for rows in (parts.learned, parts.held_out)
        )
        measured = measuring.measures(self._asked.objective, learned, held_out, self._asked.ranks)
        return measured / self._parameters.max_rows

    def _slope(self, rows: Rows) -> Callable[[Floats, NDArray[np.int64]], Floats]:
        """Of each row's loss by the network's output: answer less label, for all three objectives."""
        answer = INVERSE_LINKS[_LINKS[self._asked.objective]]
        label, weight = (rows.label - self._centre) / self._spread, rows.weight
        return lambda margins, chosen: weight[chosen] * (answer(margins) - label[chosen])

    def _descent(self, turn: int) -> Descent:
        asked = self._asked
        return Descent(
            epochs=asked.epochs,
            batch=asked.batch or self._parameters.max_rows,
            learning_rate=float(asked.learning_rate) * self._share(turn),
            momentum=float(asked.momentum),
            l2=float(asked.l2),
            proximal=float(asked.strategy.settings.get("proximal_mu", 0)),
            max_norm=None if asked.max_norm is None else float(asked.max_norm),
        )

    def _share(self, turn: int) -> float:
        """Of the learning rate in round ``turn``."""
        if self._asked.schedule == "constant" or self._asked.rounds == 1:
            return 1.0
        along = (turn - 1) / (self._asked.rounds - 1)
        return _LAST_SHARE + (1 - _LAST_SHARE) * (1 + math.cos(math.pi * along)) / 2

    def _chance(self, turn: int) -> np.random.Generator:
        """The order of rows, of this institution in this round: the same if the step is taken again."""
        name = int.from_bytes(self._institution.encode(), "big")
        return np.random.Generator(np.random.PCG64([self._asked.seed, turn, name]))

    @property
    def _centre(self) -> float:
        return self._prepared.label.mean if self._asked.objective == "squared" else 0.0

    @property
    def _spread(self) -> float:
        return (self._prepared.label.deviation or 1.0) if self._asked.objective == "squared" else 1.0
