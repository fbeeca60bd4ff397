"""FedAvg whose rounds are timed; the times go into the file that the run's configuration names."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

app = ServerApp()


class Timed(FedAvg):
    """Notes when a round begins."""

    begun: list[float]

    def configure_train(self, *arguments: Any, **options: Any) -> Any:
        """As FedAvg."""
        self.begun.append(time.time())
        return super().configure_train(*arguments, **options)


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Play the rounds."""
    asked = context.run_config
    nodes = int(asked["nodes"])
    strategy = Timed(fraction_train=1.0, fraction_evaluate=0.0, min_train_nodes=nodes, min_available_nodes=nodes)
    strategy.begun = []
    weights = np.random.default_rng(1).random(int(asked["length"]), dtype=np.float32)
    strategy.start(grid=grid, initial_arrays=ArrayRecord([weights]), num_rounds=int(asked["rounds"]))
    Path(str(asked["times"])).write_text(json.dumps([*strategy.begun, time.time()]))
