"""The families raised by what node, coordinator and client share."""

from collections.abc import Sequence
from dataclasses import dataclass

from consortia_crypto.errors import ConsortiaError


class CommonError(ConsortiaError):
    """The base of this package's errors."""


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong in a document; where, counted from 1, if it was read from a text."""

    text: str
    line: int = 0
    column: int = 0


class DocumentError(CommonError):
    """A job spec, agreement, model or receipt that does not say what it must."""

    def __init__(self, what: str, *, blame: str, remedy: str, mistakes: Sequence[Mistake] = ()) -> None:
        super().__init__(what, blame=blame, remedy=remedy)
        self.mistakes = tuple(mistakes)


class SettingsError(CommonError):
    """A configuration file or folder that a process can't work with."""


class ExchangeError(CommonError):
    """A peer that broke the contract of the exchange, or could not be reached."""


class BrokenRuleError(ExchangeError):
    """Something that a peer sent and that the contract of the exchange does not allow."""


class ConnectionLostError(ExchangeError):
    """A connection that was cut or went silent. Nobody broke a rule; what was under way is sent again."""


class LogStorageError(CommonError):
    """The audit log can't be read or written; nothing may go on without it."""


class WitnessError(CommonError):
    """A checkpoint that the witnesses did not cosign, so that nothing may be released; or one that contradicts."""


class TimestampError(CommonError):
    """A timestamp that an authority did not give, or that does not hold."""


class CertificateError(CommonError):
    """A certificate, request or key of the network's authority that does not hold."""


class KeyModuleError(CommonError):
    """A key in a hardware module that can't be used."""


class UnauthenticatedError(CommonError):
    """A caller who does not show, with a valid certificate of this network, who it is."""


class NotPermittedError(CommonError):
    """A caller who is known but whose role or standing does not allow what it asked."""


class LimitError(CommonError):
    """Somebody who asks for more at a time than one may have; later it may be granted."""


def place(error: BaseException) -> str:
    """Where an unforeseen error arose, as ``module:line``; its text may hold data, so that is all we tell."""
    frame = error.__traceback__
    if frame is None:
        return "unknown place"
    while frame.tb_next is not None:
        frame = frame.tb_next
    return f"{frame.tb_frame.f_globals.get('__name__', '?')}:{frame.tb_lineno}"
