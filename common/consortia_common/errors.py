"""The families raised by what node, coordinator and client share."""

from consortia_crypto.errors import ConsortiaError


class CommonError(ConsortiaError):
    """The base of this package's errors."""


class DocumentError(CommonError):
    """A job spec, agreement, model or receipt that does not say what it must."""


class SettingsError(CommonError):
    """A configuration file or folder that a process can't work with."""


class ExchangeError(CommonError):
    """A peer that broke the contract of the exchange, or could not be reached."""


class LogStorageError(CommonError):
    """The audit log can't be read or written; nothing may go on without it."""
