"""The family that the coordinator raises."""

from collections.abc import Mapping

from consortia_crypto.errors import ConsortiaError
from consortia_proto.v1 import exchange_pb2


class CoordinatorError(ConsortiaError):
    """The base of this package's errors."""


class NetworkFolderError(CoordinatorError):
    """A coordinator's folder that can't be made or used."""


class EnrolmentError(CoordinatorError):
    """An invitation or an enrolment that can't be honoured."""


class StoppingError(CoordinatorError):
    """The coordinator is shutting down; whoever waits must let go, and the work is resumed at the next start."""


class PartiesRefusedError(CoordinatorError):
    """At least one party refused or failed; ``failures`` says which and why."""

    def __init__(self, failures: Mapping[str, exchange_pb2.Failure]) -> None:
        institution, first = next(iter(failures.items()))
        super().__init__(f"{institution}: {first.what}", blame=first.blame, remedy=first.remedy)
        self.failures = failures

    @property
    def refused(self) -> bool:
        """Whether a gate said no, as against something breaking."""
        return any(failure.code == "refused" for failure in self.failures.values())


class TooFewError(PartiesRefusedError):
    """So many parties were lost from an attempt at a sum that it can't go on; another one may."""


def not_enrolled(institution: str, role: str, name: str) -> CoordinatorError:
    """The refusal of a fingerprint that is not the member's."""
    return CoordinatorError(
        f"that is not the fingerprint with which {institution}/{role}/{name} enrolled here",
        blame="a mistake in reading or typing, or somebody else who used the invitation",
        remedy="compare again, word by word; if it still differs, revoke the member and invite it anew",
    )
