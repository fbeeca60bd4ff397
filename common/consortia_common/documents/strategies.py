"""Which of Flower's strategies a network may be fitted by, and why not the others."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from consortia_common.documents.base import Document, Name, Number

Setting = Annotated[Number, Field(ge=0, le=1_000_000)]
_ADAPTIVE = frozenset({"eta", "eta_l", "beta_1", "beta_2", "tau"})
STRATEGY_SETTINGS: Mapping[str, frozenset[str]] = {
    "FedAvg": frozenset(),
    "FedAvgM": frozenset({"server_learning_rate", "server_momentum"}),
    "FedAdam": _ADAPTIVE,
    "FedYogi": _ADAPTIVE,
    "FedAdagrad": frozenset({"eta", "eta_l", "tau"}),
    "FedProx": frozenset({"proximal_mu"}),
}
"""The settings of each of Flower's strategies that work on a sealed mean."""
_NEED_SINGLE_UPDATES = frozenset(
    {"Krum", "MultiKrum", "Bulyan", "FedMedian", "FedTrimmedAvg", "QFedAvg", "FedXgbBagging", "FedXgbCyclic"}
)
"""Strategies of Flower's that look at each institution's own update, which nobody has here."""
_SHARES = frozenset({"beta_1", "beta_2", "server_momentum"})
"""Settings from 0 to below 1; the others are above 0."""


class Strategy(Document):
    """One of Flower's strategies that need only the mean of the updates, with its settings."""

    name: str = "FedAvg"
    settings: dict[Name, Setting] = Field(default_factory=dict)
    """See STRATEGY_SETTINGS."""

    def problems(self) -> list[str]:
        """A strategy that can't be had, and settings that it does not have or can't work with."""
        if self.name in _NEED_SINGLE_UPDATES:
            return [
                f"parameters.model.strategy: {self.name} compares single institutions' updates, and sealed "
                "sums show nobody one; clip updates instead (docs/kinds/train.md says what that can't stop)"
            ]
        if self.name not in STRATEGY_SETTINGS:
            return [
                f"parameters.model.strategy: there is none named {self.name[:40]}; {', '.join(STRATEGY_SETTINGS)}"
            ]
        strangers = sorted(set(self.settings) - STRATEGY_SETTINGS[self.name])
        problems = [f"{self.name} has no {name}" for name in strangers]
        for name, value in self.settings.items():
            if name in _SHARES and value >= 1:
                problems.append(f"{name} must be below 1")
            elif name not in _SHARES and value == 0:
                problems.append(f"{name} must be above 0")
        return [f"parameters.model.strategy.settings: {problem}" for problem in problems]
