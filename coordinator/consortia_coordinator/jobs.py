"""PURE: the states of a job at the coordinator, as a table."""

from enum import StrEnum

from consortia_coordinator.errors import CoordinatorError


class JobState(StrEnum):
    """Where a job stands."""

    SUBMITTED = "submitted"
    OFFERED = "offered"
    RUNNING = "running"
    FINISHED = "finished"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"


_GIVEN_UP = frozenset({JobState.FAILED, JobState.CANCELLED})
TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.SUBMITTED: frozenset({JobState.OFFERED, *_GIVEN_UP}),
    JobState.OFFERED: frozenset({JobState.RUNNING, JobState.REFUSED, *_GIVEN_UP}),
    JobState.RUNNING: frozenset({JobState.FINISHED, JobState.REFUSED, *_GIVEN_UP}),
    JobState.FINISHED: frozenset(),
    JobState.REFUSED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}
FINAL = frozenset(state for state, following in TRANSITIONS.items() if not following)


def check_transition(old: JobState, new: JobState) -> None:
    """Return if a job may go from ``old`` to ``new`` (staying is allowed: a resumed job repeats its steps)."""
    if new != old and new not in TRANSITIONS[old]:
        raise CoordinatorError(
            f"a job can't go from {old} to {new}",
            blame="this coordinator",
            remedy="report it; the job's earlier state stands",
        )
