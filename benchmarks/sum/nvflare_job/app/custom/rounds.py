"""NVFlare's side of the benchmark: an update of random numbers, and a model that begins with zeros.

Loaded by NVFlare, from its own environment; the first site writes down when each round began and what had passed.
"""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from nvflare.apis.dxo import DXO, DataKind, MetaKey
from nvflare.apis.executor import Executor
from nvflare.app_common.abstract.model import make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor

_LOOPBACK = "lo:"


class RandomUpdate(Executor):
    """Trains nothing: float32 of chance, as the benchmark's other kinds have them."""

    def __init__(self, length: int, stamps: str) -> None:
        super().__init__()
        self._length = length
        self._stamps = stamps

    def execute(self, _task: str, shareable: Any, fl_ctx: Any, _signal: Any) -> Any:
        """One round's update."""
        turn = int(shareable.get_header("current_round", 0))
        if fl_ctx.get_identity_name() == "site-1":
            with Path(self._stamps).open("a") as file:
                file.write(json.dumps([time.time(), _passed()]) + "\n")
        update = np.random.default_rng(turn).random(self._length, np.float32)
        return DXO(DataKind.WEIGHT_DIFF, {"update": update}, {MetaKey.NUM_STEPS_CURRENT_ROUND: 1}).to_shareable()


class Zeros(ModelPersistor):
    """The model before the first round; what becomes of it is not kept."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self._length = length

    def load_model(self, _fl_ctx: Any) -> Any:
        """Zeros."""
        return make_model_learnable({"update": np.zeros(self._length, np.float32)}, {})

    def save_model(self, _model: Any, _fl_ctx: Any) -> None:
        """Nothing is kept."""


def _passed() -> int:
    """Bytes that have passed over the loopback interface."""
    lines = Path("/proc/net/dev").read_text().splitlines()
    (line,) = [line for line in lines if line.strip().startswith(_LOOPBACK)]
    return int(line.split(_LOOPBACK)[1].split()[0])
