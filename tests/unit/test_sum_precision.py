"""The weighted mean that a sum gives, beside the same in float64: heavy tails, skewed weights, ten institutions.

The bounds are those of the design: w = 32 within 2·10^-7 of the mean's own size (float32 itself: some 10^-8 to
10^-7), w = 64 as good as float64; fewer bits cost a factor of 256 each.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from consortia_crypto.sum.quantise import dequantise, quantise
from consortia_crypto.sum.terms import Scale, SumPolicy

INSTITUTIONS = 10
TENSORS = {5000: 1e-3, 20_000: 0.05, 300: 2.0, 64: 30.0}
"""Length and typical size of the values."""


@dataclass(frozen=True)
class Updates:
    policy: SumPolicy
    values: list[NDArray[np.float64]]
    weights: NDArray[np.float64]

    @property
    def truth(self) -> NDArray[np.float64]:
        weighted = [weight * value for weight, value in zip(self.weights, self.values, strict=True)]
        return np.asarray(sum(weighted)) / self.weights.sum()

    def mean(self, dither: Any) -> NDArray[np.float64]:
        """By the sum: the weight is the last word, and each value is clipped and rounded weighted."""
        policy = self.policy
        summands = [
            quantise(np.append(weight * value, weight), policy.scales, policy.limit, dither)
            for weight, value in zip(self.weights, self.values, strict=True)
        ]
        total = dequantise(np.asarray(sum(summands)), policy.scales, policy.limit)
        return total[:-1] / total[-1]


def updates(word_bits: int) -> Updates:
    rng = np.random.default_rng(5)
    values = [
        np.concatenate([size * rng.standard_t(3, length) for length, size in TENSORS.items()])
        for _ in range(INSTITUTIONS)
    ]
    weights = 10.0 ** (np.arange(INSTITUTIONS) / 3)  # the largest has a thousand times the rows of the smallest
    ends = np.cumsum(list(TENSORS))[:-1]
    tensors = zip(*(np.split(value, ends) for value in values), strict=True)
    largest = [max(abs(tensor).max() for tensor in parts) for parts in tensors]
    scales = [Scale(length, 2.0 ** np.ceil(np.log2(top))) for length, top in zip(TENSORS, largest, strict=True)]
    roster = tuple(f"bank-{number}" for number in range(INSTITUTIONS))
    policy = SumPolicy("s", roster, 3, word_bits, len(values[0]) + 1, scales=(*scales, Scale(1, 1.0)))
    return Updates(policy, values, weights / weights.max())


@pytest.mark.parametrize(("word_bits", "bound"), [(16, 2e-2), (24, 1e-4), (32, 2e-7), (64, 1e-15)])
def test_the_weighted_mean_is_within_the_designs_bounds(word_bits: int, bound: float) -> None:
    made = updates(word_bits)
    dither = np.random.default_rng(6).bytes if word_bits < 32 else None
    error = made.mean(dither) - made.truth
    assert np.sqrt(np.mean(error**2) / np.mean(made.truth**2)) <= bound


def test_no_value_errs_by_more_than_half_a_step_of_its_own_tensor_per_institution() -> None:
    made = updates(32)
    steps = np.concatenate([np.full(scale.length, scale.clip / made.policy.limit) for scale in made.policy.scales])
    bound = INSTITUTIONS * steps[:-1] / 2 / made.weights.sum()
    weight_bound = np.abs(made.truth) * INSTITUTIONS / 2 / made.policy.limit / made.weights.sum()
    assert np.all(np.abs(made.mean(None) - made.truth) <= 1.01 * (bound + weight_bound))


def test_rounding_by_chance_is_right_on_average() -> None:
    made = updates(16)
    errors = [made.mean(np.random.default_rng(seed).bytes) - made.truth for seed in range(30)]
    once, averaged = (np.sqrt(np.mean(error**2)) for error in (errors[0], np.mean(errors, axis=0)))
    assert averaged < once / 4
