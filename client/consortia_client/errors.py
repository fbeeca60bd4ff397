"""The family that the client raises."""

from consortia_crypto.errors import ConsortiaError


class ClientError(ConsortiaError):
    """The base of this package's errors."""


class ProfileError(ClientError):
    """A person's profile folder that can't be made or used."""


class MissingExtraError(ClientError):
    """A command whose libraries are not installed."""


class NotFittedError(ClientError, AttributeError):
    """An estimator that was asked for what only a fit tells; an AttributeError too, so that ``hasattr`` says no."""


class ResultError(ClientError):
    """A result that can't be believed, or that this profile can't open."""


class JobEndedError(ClientError):
    """A job that was refused or failed."""
