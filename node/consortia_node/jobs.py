"""PURE: the life of a job at this node.

It is decided once, and may then wait for people; a job that ended never starts again.
"""

from collections.abc import Sequence

from consortia_common.documents.kinds import Turn
from consortia_node.states import StateTable

WAITING, ACCEPTED, REFUSED, RUNNING, FINISHED, FAILED, CANCELLED = STATES = (
    "waiting",
    "accepted",
    "refused",
    "running",
    "finished",
    "failed",
    "cancelled",
)

LIFE = StateTable(
    "a job",
    {
        WAITING: frozenset({ACCEPTED, REFUSED, FAILED, CANCELLED}),
        ACCEPTED: frozenset({RUNNING, FINISHED, FAILED, CANCELLED}),
        RUNNING: frozenset({FINISHED, FAILED, CANCELLED}),
        REFUSED: frozenset(),
        FINISHED: frozenset(),
        FAILED: frozenset(),
        CANCELLED: frozenset(),
    },
)

DECISIONS = frozenset({WAITING, ACCEPTED, REFUSED})
"""What a job can be when it is first written down."""
UNDER_WAY = frozenset({ACCEPTED, RUNNING})
"""The jobs that hold values and that a withdrawal can still reach."""


def place_behind(course: Sequence[Turn], taken: int, asked: Turn) -> int | None:
    """The place of ``asked`` on a course of which so many steps are taken, where only optional ones lie between."""
    behind = (place for place in range(taken, len(course)) if not course[place].optional)
    place = next(behind, None)
    return place if place is not None and course[place] == asked else None
