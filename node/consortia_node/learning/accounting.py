"""PURE: how much noise the promise of a ``train`` job takes, by the library dp-accounting.

Everything that a fit opens is Gaussian noise on a sum that one row changes by at most so much. A fixed part of the
loss is for what prepares the columns and a smaller one for the bins of trees; what is left is spread over the
rounds. Samples are Poisson samples, and neighbours differ by one row more or less. The library reckons with
continuous noise; ours has hundreds of thousands of steps to a standard deviation (see noising), where sums of
discrete Gaussians are as good as one (Kairouz, Liu, Steinke, 2021, theorem 1) and that is as good as continuous.
The library takes seconds to load, and is when a job has noise.
"""

from dataclasses import dataclass
from functools import cache
from math import inf, sqrt

PREPARED, SPREAD = 0.1, 0.05
"""Shares of the loss, as it adds up for Gaussian noise (1/σ²), of preparation and of the bins of trees."""
_GRID = 1e-3
"""Accuracy of the privacy loss, rounded to the cautious side; finer takes minutes and saves thousandths."""
_LEAST = 0.3
"""Less noise than this is never taken, however large the promise: accounting for it takes too long."""


@dataclass(frozen=True)
class Multipliers:
    """Standard deviations of the noise, in units of what one row changes."""

    prepared: float
    spread: float
    """Infinite where there is no such sum."""
    rounds: float


@cache
def multipliers(epsilon: float, delta: float, sampling: float, rounds: int, *, spread: bool) -> Multipliers:
    """What keeps (ε, δ) over preparation, bins if there is a ``spread``, and so many rounds of that sampling."""
    from dp_accounting.gaussian_mechanism import get_sigma_gaussian  # noqa: PLC0415  # see above

    one = float(get_sigma_gaussian(epsilon, delta))
    left = 1 - PREPARED - (SPREAD if spread else 0)
    prepared, bins = one / sqrt(PREPARED), one / sqrt(SPREAD) if spread else inf
    full = one * sqrt(rounds / left)
    if sampling == 1:
        return Multipliers(prepared, bins, full)
    return Multipliers(prepared, bins, _sampled(epsilon, delta, sampling, rounds, (prepared, full)))


def spent(noise: Multipliers, delta: float, sampling: float, rounds: int) -> float:
    """ε of all that a fit with this noise opens."""
    import dp_accounting  # noqa: PLC0415  # see above
    from dp_accounting.pld import PLDAccountant  # noqa: PLC0415  # see above

    accountant = PLDAccountant(value_discretization_interval=_GRID)
    for multiplier in (noise.prepared, noise.spread):
        if multiplier < inf:
            accountant.compose(dp_accounting.GaussianDpEvent(multiplier))
    step = dp_accounting.PoissonSampledDpEvent(sampling, dp_accounting.GaussianDpEvent(noise.rounds))
    accountant.compose(dp_accounting.SelfComposedDpEvent(step, rounds))
    return float(accountant.get_epsilon(delta))


def _sampled(epsilon: float, delta: float, sampling: float, rounds: int, known: tuple[float, float]) -> float:
    """The least noise on samples, between none worth the name and that on all rows, to a hundredth."""
    prepared, enough = known
    low = _LEAST
    while enough > 1.01 * low:
        middle = sqrt(low * enough)
        if spent(Multipliers(prepared, inf, middle), delta, sampling, rounds) <= epsilon:
            enough = middle
        else:
            low = middle
    return enough
