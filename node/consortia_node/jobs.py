"""PURE: the life of a job at this node. It is decided once; a job that ended never starts again."""

from consortia_node.states import StateTable

ACCEPTED, REFUSED, RUNNING, FINISHED, FAILED, CANCELLED = STATES = (
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
        ACCEPTED: frozenset({RUNNING, FINISHED, FAILED, CANCELLED}),
        RUNNING: frozenset({FINISHED, FAILED, CANCELLED}),
        REFUSED: frozenset(),
        FINISHED: frozenset(),
        FAILED: frozenset(),
        CANCELLED: frozenset(),
    },
)

DECISIONS = frozenset({ACCEPTED, REFUSED})
"""What a job can be when it is first written down."""
UNDER_WAY = frozenset({ACCEPTED, RUNNING})
"""The jobs that hold values and that a withdrawal can still reach."""
