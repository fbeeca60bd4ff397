"""The banks' rows, drawn from a known law: numbers, some with long tails, and a label that depends on some."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LABEL = "y"
FEATURES_OF_TREES, FEATURES_OF_LARGE = 23, 30


def names(features: int) -> list[str]:
    """The columns."""
    return [f"x{place}" for place in range(features)]


def made(rows: int, features: int, seed: int) -> dict[str, NDArray[Any]]:
    """Columns by name; every third has a long tail; the label has steps and a product that no line can follow."""
    chance = np.random.default_rng(seed)
    values = chance.standard_normal((features, rows))
    values[::3] = np.exp(values[::3])
    margin = values[1] - 0.8 * (values[0] > 1) + 0.5 * values[2] * values[4] - 0.7 * values[5] - 1.0
    label = chance.random(rows) < 1 / (1 + np.exp(-margin))
    columns = {name: column.round(3) for name, column in zip(names(features), values, strict=True)}
    return {**columns, LABEL: label.astype(np.int64)}
