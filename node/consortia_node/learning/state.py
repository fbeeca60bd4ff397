"""PURE: what a fit keeps from round to round, as bytes in the job's values: arrays and plain data, no pickles."""

import json
from collections.abc import Mapping, MutableMapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consortia_common.content import Content

Values = MutableMapping[str, bytes]


def keep(values: Values, name: str, data: Mapping[str, Any], **arrays: NDArray[Any]) -> None:
    """Keep ``data``, which must be JSON, and ``arrays`` under ``name``."""
    values[name] = Content(arrays, {"data": json.dumps(data, sort_keys=True, allow_nan=False)}).to_bytes()


def recall(values: Mapping[str, bytes], name: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The inverse of ``keep``."""
    content = Content.from_bytes(values[name], "this node")
    return json.loads(str(content.config["data"])), dict(content.arrays)


def vector(values: Mapping[str, bytes], name: str) -> NDArray[np.float64]:
    """A vector of floats as ``keep_vector`` kept it."""
    return np.frombuffer(values[name], "<f8").astype(np.float64)


def keep_vector(values: Values, name: str, numbers: NDArray[np.float64]) -> None:
    """Keep a vector of floats."""
    values[name] = numbers.astype("<f8").tobytes()
