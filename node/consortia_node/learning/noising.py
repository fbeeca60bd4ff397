"""PURE: noise on what a fit adds up, so that a sum opens as Gaussian noise on the true one.

Every number is given in units of the most that one row can change it by, and becomes an integer in steps of 1/UNIT
of that. Each institution adds a share of the noise before it seals (``share_of_noise``): those who must stay and
don't conspire reach the promised deviation alone. Rounding a sum can move each number by one step more, and so can
floating point; both are allowed for. The source of randomness is an argument: the operating system's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, sqrt
from random import Random

import numpy as np
from numpy.typing import NDArray

from consortia_common.documents.jobspec import JobSpec
from consortia_common.documents.kinds.train import NOISY_MOMENT_WORDS, Parameters
from consortia_common.documents.noise import TrainingNoise
from consortia_common.statistics.privacy import share_of_noise
from consortia_node.errors import StepError, TotalRefusedError
from consortia_node.learning import accounting
from consortia_node.stats.noise import discrete_gaussian

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
UNIT = 1 << 20
"""Steps of the grid to the most that a row changes."""
_CHANCES = 1 << 64
_DEVIATIONS = 20
"""Noise further from 0 than this is not noise."""
_COVERED = "what the model was fitted from: one customer's rows at an institution more or fewer"


@dataclass(frozen=True)
class Noising:
    """The noise of one job at one institution."""

    asked: TrainingNoise
    multipliers: accounting.Multipliers
    parties: int
    colluding: int
    random: Random
    touched: int = 1
    """How many numbers of the preparation a row changes."""

    @classmethod
    def of(cls, spec: JobSpec, random: Random) -> "Noising | None":
        """What a ``train`` job asks for, if it asks for any."""
        parameters = spec.parameters
        if not isinstance(parameters, Parameters) or parameters.noise is None:
            return None
        asked, rounds = parameters.noise, parameters.model.rounds_in_all
        found = accounting.multipliers(
            float(asked.epsilon), float(asked.delta), float(asked.sampling), rounds, spread=parameters.has_spread
        )
        columns = 1 + len(parameters.numeric)
        touched = 1 + NOISY_MOMENT_WORDS * columns + len(parameters.categories)
        return cls(asked, found, len(spec.parties), spec.colluders, random, touched)

    def add(self, numbers: Floats, reach: float, multiplier: float) -> Integers:
        """``numbers``, which a row changes by at most ``reach`` (Euclidean), on the grid, with this share of noise.

        Raises StepError for numbers that are not finite.
        """
        if not np.isfinite(numbers).all():
            raise StepError(
                "the fit diverged: a sum over the rows is not finite",
                blame="the job spec: the model does not suit the data",
                remedy="choose a smaller learning rate, or narrower low and high in prepare",
            )
        deviation = ceil(
            share_of_noise(self.deviation(reach, multiplier, len(numbers)), self.parties, self.colluding)
        )
        noise = [discrete_gaussian(deviation, self.random) for _ in range(len(numbers))]
        return np.rint(numbers * UNIT).astype(np.int64) + np.array(noise, np.int64)

    def deviation(self, reach: float, multiplier: float, numbers: int) -> float:
        """Of the noise that is promised on each number, in steps of the grid."""
        return multiplier * self.asked.rows_per_customer * (reach * UNIT + 2 * sqrt(numbers))

    @property
    def whole(self) -> float:
        """By how much the noise of all institutions is larger than what is promised, if nobody drops out."""
        return share_of_noise(1.0, self.parties, self.colluding) * sqrt(self.parties)

    def sample(self, rows: int) -> NDArray[np.bool_]:
        """Which rows are in a step: each by the same chance, independently; (rows,)."""
        if self.asked.sampling == 1:
            return np.ones(rows, bool)
        drawn = np.frombuffer(self.random.randbytes(8 * rows), np.uint64)
        return drawn < np.uint64(int(self.asked.sampling * _CHANCES))

    def said(self, *, tested: bool) -> Mapping[str, str]:
        """What the result and the model's card state."""
        beyond = [
            "that the customer took part, which the receipts' exact numbers of rows may show (ε counts twice)"
        ]
        beyond += ["the measures on the test part, which are exact"] if tested else []
        return {
            "epsilon": f"{self.asked.epsilon:f}",
            "delta": f"{self.asked.delta:f}",
            "rows_per_customer": str(self.asked.rows_per_customer),
            "multiplier": f"{self.multipliers.rounds:.4g}",
            "sampling": str(self.asked.sampling),
            "covers": _COVERED,
            "does_not_cover": "; ".join(beyond),
        }

    def opened(self, total: Integers, reach: float, rows: float) -> Floats:
        """The noisy sum of a round over about so many rows at most, in the units of its numbers.

        Raises TotalRefusedError for one that bounded rows and the noise can't add up to.
        """
        numbers = opened(total)
        counted = self.deviation(sqrt(self.touched), self.multipliers.prepared, total.size)
        noise = counted + self.deviation(reach, self.multipliers.rounds, total.size)
        if float(np.abs(numbers).max(initial=0.0)) > rows + _DEVIATIONS * self.whole * noise / UNIT:
            raise TotalRefusedError("a noisy sum is larger than bounded rows can add up to")
        return numbers


def opened(total: Integers) -> Floats:
    """A sum of what ``add`` gave, in the units of its numbers."""
    return total / UNIT
