"""PURE: how much noise a promise of (ε, δ) takes, and how it is shared among institutions.

Gaussian noise of standard deviation σ on an answer that one customer can change by at most Δ (Euclidean norm) is
ρ-zCDP with ρ = Δ²/2σ²; so are sums of discrete Gaussians, up to a term below 10^-60 where each has a σ of MIN_STEPS
or more (Kairouz, Liu, Steinke, "The Distributed Discrete Gaussian Mechanism", 2021, theorem 1). What ρ means in
(ε, δ) is Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy", 2020, corollary 13. All rounds
of a job count as one answer: their Δ² add up.
"""

from math import exp, log, log1p, sqrt

from consortia_crypto.sum.terms import threshold

MIN_STEPS = 4.0
"""Smallest standard deviation, in steps of the integers that are added up, of one institution's share."""
_HALVINGS = 200


def delta_of(rho: float, epsilon: float) -> float:
    """The smallest δ that ρ-zCDP gives with this ε: the minimum over the order α of a convex bound."""

    def bound(order: float) -> float:
        exponent = (order - 1) * (order * rho - epsilon) + order * log1p(-1 / order)
        return exponent - log(order - 1)

    low, high = 1.0 + 1e-12, max(2.0, 2 * (epsilon / rho + 2))
    for _ in range(_HALVINGS):
        first, second = low + (high - low) / 3, high - (high - low) / 3
        if bound(first) < bound(second):
            high = second
        else:
            low = first
    best = bound((low + high) / 2)
    return exp(best) if best < 0 else 1.0


def rho_of(epsilon: float, delta: float) -> float:
    """The largest ρ that keeps (ε, δ)."""
    low, high = 0.0, epsilon
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if middle and delta_of(middle, epsilon) <= delta:
            low = middle
        else:
            high = middle
    return low


def sigma(epsilon: float, delta: float, reach: float) -> float:
    """The standard deviation that hides a change of at most ``reach``."""
    return reach / sqrt(2 * rho_of(epsilon, delta))


def share_of_noise(whole: float, parties: int, colluding: int) -> float:
    """What each institution adds so that the honest ones of those who must stay reach ``whole`` alone."""
    honest = threshold(parties, colluding) - colluding
    return whole / sqrt(honest)
