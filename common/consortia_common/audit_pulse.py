"""PURE: when a log tells in itself that its state was signed (``log.alive``), and how often it was."""

from dataclasses import dataclass, replace
from typing import Self

TELL_SECONDS = 600
"""The beats are told of this often."""
LATE_SECONDS = 120
"""Two beats are never farther apart, as long as all is well."""


@dataclass(frozen=True)
class Pulse:
    """The beats since they were last told of: the times, in seconds since 1970, of that and of the last beat."""

    told: int
    last: int
    beats: int = 0
    longest: int = 0

    def beat(self, time: int) -> Self:
        """The pulse after a beat at ``time``; a clock that goes back counts as standing still."""
        return replace(self, last=time, beats=self.beats + 1, longest=max(self.longest, time - self.last))

    @property
    def must_be_told(self) -> bool:
        """Whether it is time to tell of the beats, or one of them was late."""
        return self.last - self.told >= TELL_SECONDS or self.longest > LATE_SECONDS
