"""PURE: what is measured of a network of one size."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Round:
    """The mean of several: seconds, and the coordinator's CPU seconds."""

    seconds: float
    cpu: float


@dataclass
class Costs:
    """What a network of one size took. Seconds, bytes, shares of a core."""

    attach: float
    idle_cpu: float
    memory: float
    """The coordinator's, per idle node."""
    statistics: Round = Round(0, 0)
    plain: dict[int, Round] = field(default_factory=dict)
    """By the number of parameters."""
    sealed: Round = Round(0, 0)
