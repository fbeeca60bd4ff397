"""What the coordinator's clock says, by which it gives tasks their time: told in each Hello, counted on from there.

This machine's own time of day has no part in it, so that a jump of it ends no job; nor does a jump of the
coordinator's, whose clock for this does not jump while it runs. Trusted for no more than the coordinator is: it
could give its tasks any time.
"""

import time
from collections.abc import Callable


class CoordinatorClock:
    """From any thread. ``count`` counts seconds and never goes back."""

    def __init__(self, count: Callable[[], float] = time.monotonic) -> None:
        self._count = count
        self._ahead: float | None = None
        """The coordinator's clock minus this count, in seconds."""

    def hear(self, clock_ms: int) -> None:
        """Take the coordinator's word for what its clock says now."""
        self._ahead = clock_ms / 1000 - self._count()

    def is_past(self, moment_ms: int) -> bool:
        """Whether the moment is over there; so is every moment while nobody has said what time it is."""
        return self._ahead is None or self._count() + self._ahead > moment_ms / 1000
