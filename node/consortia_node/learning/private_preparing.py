"""PURE: a model's preparation from noisy sums, where the spec asks for noise.

The numbers are those of preparing, but in units of the most that a row changes each by: values are taken about
the middle of the range that the spec declares, and none lies beyond it. What noise makes impossible (fewer than no
rows, a negative variance) is brought back to what is possible, which costs nothing of the promise.
"""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from consortia_common.documents.kinds.train import NOISY_MOMENT_WORDS, Parameters
from consortia_node.learning.noising import Noising, opened
from consortia_node.learning.preparing import Prepared, category_counts, features_of, require_fit, shape_of
from consortia_node.learning.rows import Rows
from consortia_node.moments import Moments, rounded

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_LEAST_DEVIATION = 0.01
"""Of a column, in halves of its range."""


def words(rows: Rows, parameters: Parameters, noising: Noising) -> Integers:
    """This institution's share, with its share of the noise."""
    parts: list[Floats] = [np.array([len(rows)]), _sums(rows.label, _label_range(parameters))]
    for name in parameters.numeric:
        shaped = shape_of(parameters, name).apply(rows.columns[name])
        parts.append(_sums(shaped[~np.isnan(shaped)], range_of(parameters, name)))
    for name, categories in parameters.categories.items():
        counts = category_counts(rows.columns[name], rows.label, len(categories), parameters.model.task)
        parts.append(counts.astype(np.float64))
    return noising.add(np.concatenate(parts), sqrt(noising.touched), noising.multipliers.prepared)


def fitted(total: Integers, parameters: Parameters) -> Prepared:
    """From the opened total. Raises StepError where the data can't make a model."""
    numbers = opened(total)
    rows, at, means = max(round(float(numbers[0])), 0), 1, {}
    for name in ("", *parameters.numeric):
        limits = range_of(parameters, name) if name else _label_range(parameters)
        means[name] = _moments(numbers[at : at + NOISY_MOMENT_WORDS], limits)
        at += NOISY_MOMENT_WORDS
    label, counts = means.pop(""), {}
    for name, categories in parameters.categories.items():
        size = 2 * (len(categories) + 1)
        counts[name] = np.maximum(np.rint(numbers[at : at + size]), 0).astype(np.int64).reshape(-1, 2)
        at += size
    ones = round(label.mean * rows) if parameters.model.task == "binary" else 0
    require_fit(parameters, rows, ones)
    return Prepared(features_of(parameters, means, counts), rows, label, ones, means)


def bounded(rows: Rows, parameters: Parameters) -> Rows:
    """``rows`` with labels within the declared range."""
    return Rows(rows.columns, np.clip(rows.label, *_label_range(parameters)), rows.weight)


def range_of(parameters: Parameters, name: str) -> tuple[float, float]:
    """The public range of a numeric feature behind its shape."""
    asked = parameters.prepare[name]
    low, high = shape_of(parameters, name).apply(np.array([asked.low, asked.high], np.float64))
    return float(low), float(high)


def _label_range(parameters: Parameters) -> tuple[float, float]:
    limits = parameters.noise.label_range if parameters.noise else None
    return (0.0, 1.0) if limits is None else (float(limits[0]), float(limits[1]))


def _sums(values: Floats, limits: tuple[float, float]) -> Floats:
    """How many, their sum and sum of squares, in halves of the range about its middle."""
    scaled = np.clip((values - sum(limits) / 2) / ((limits[1] - limits[0]) / 2), -1, 1)
    return np.array([len(scaled), scaled.sum(), np.square(scaled).sum()])


def _moments(sums: Floats, limits: tuple[float, float]) -> Moments:
    """The likeliest moments that values within the range can have."""
    count = max(float(sums[0]), 1.0)
    mean = float(np.clip(sums[1] / count, -1, 1))
    variance = float(np.clip(sums[2] / count - mean**2, _LEAST_DEVIATION**2, 1))
    half = (limits[1] - limits[0]) / 2
    return Moments(rounded(sum(limits) / 2 + mean * half), rounded(sqrt(variance) * half))
