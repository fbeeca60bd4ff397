"""A job's rounds of training, as Flower's strategies go through them: each round's updates are one sealed sum."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from consortia_coordinator.sums import SumRuns

if TYPE_CHECKING:
    from consortia_coordinator.jobrun import JobRun

TRAIN = "train"
"""Flower's message type for a round of training."""


@dataclass(frozen=True)
class Training:
    """Implements consortia_coordinator.federated.Round: the sum that each round's training gives."""

    run: "JobRun"
    sums: SumRuns
    rounds: int

    def prepare(self, turn: int) -> None:
        """The shares of the next round are asked for before this one's training, so that nobody waits for them."""
        self.run.progress(f"round {turn} of {self.rounds}", turn + 1, self.rounds + 3)
        self.sums.share(self._sums_of[turn], turn)
        if turn < self.rounds:
            self.sums.share(self._sums_of[turn + 1], turn + 1)

    def aggregate(self, turn: int) -> None:
        """See Round."""
        self.sums.aggregate(self._sums_of[turn], turn, TRAIN)

    def is_over(self, turn: int) -> bool:
        """See Round."""
        return self.run.heard(TRAIN, turn)

    @cached_property
    def _sums_of(self) -> dict[int, str]:
        """The name of each round's sum."""
        turns = self.run.spec.parameters.turns(self.run.spec.parties[0])
        return {turn.round: turn.gives for turn in turns if turn.step == TRAIN}
