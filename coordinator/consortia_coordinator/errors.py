"""The family that the coordinator raises."""

from consortia_crypto.errors import ConsortiaError


class CoordinatorError(ConsortiaError):
    """The base of this package's errors."""


class NetworkFolderError(CoordinatorError):
    """A coordinator's folder that can't be made or used."""


class EnrolmentError(CoordinatorError):
    """An invitation or an enrolment that can't be honoured."""


class StoppingError(CoordinatorError):
    """The coordinator is shutting down; whoever waits must let go, and the work is resumed at the next start."""
