"""Errors across gRPC, and who may call: the border that every service and every caller shares.

A service's ConsortiaError reaches the caller whole, as JSON ``{what, blame, remedy}`` in the status; any other
exception becomes "internal error" there and a line in the log here, so no traceback and no data leaves. Callers
get a ConsortiaError for every failure, whatever the peer or the network did. What a peer writes is cut and
stripped of control characters before a person sees it.
"""

import functools
import inspect
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import aclosing, contextmanager
from datetime import datetime
from typing import Any, NoReturn, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message

from consortia_common import logs
from consortia_common.errors import (
    BrokenRuleError,
    DocumentError,
    ExchangeError,
    LimitError,
    NotPermittedError,
    UnauthenticatedError,
)
from consortia_common.rpc_causes import diagnose
from consortia_common.tls import Peer, peer_of
from consortia_crypto.errors import ConsortiaError, EncodingError, SignatureRefusedError

MAX_TEXT = 2000
MAX_GATHERED = 256 << 20
"""Bytes; as much as a message of the exchange has by default."""
_M = TypeVar("_M", bound=Message)
_Servicer = TypeVar("_Servicer", bound=type)
_STATUS: tuple[tuple[type[ConsortiaError], grpc.StatusCode], ...] = (
    (UnauthenticatedError, grpc.StatusCode.UNAUTHENTICATED),
    (NotPermittedError, grpc.StatusCode.PERMISSION_DENIED),
    (SignatureRefusedError, grpc.StatusCode.PERMISSION_DENIED),
    (LimitError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (DocumentError, grpc.StatusCode.INVALID_ARGUMENT),
    (EncodingError, grpc.StatusCode.INVALID_ARGUMENT),
    (ConsortiaError, grpc.StatusCode.FAILED_PRECONDITION),
)


def require_role(context: Any, network: str, roles: Collection[str], now: datetime) -> Peer:
    """Who calls, if its certificate is of this network, in one of ``roles``, and still valid.

    Whether the member still belongs is the registry's to say.
    """
    peer = peer_of(context.auth_context())
    if peer.network != network:
        raise UnauthenticatedError(
            "the caller's certificate is another network's", blame="the caller", remedy=_OWN_NETWORK
        )
    if now >= peer.not_after:
        raise UnauthenticatedError(
            f"the certificate of {peer} has expired", blame=peer.institution, remedy=_ENROL_AGAIN
        )
    if peer.role not in roles:
        raise NotPermittedError(
            f"{peer} may not make this call, which is for {' and '.join(sorted(roles))}",
            blame=peer.institution,
            remedy="let somebody with that role do it",
        )
    return peer


def caller(context: Any) -> str:
    """Who calls, as far as the certificate says; for a record of what was refused."""
    try:
        return str(peer_of(context.auth_context()))
    except UnauthenticatedError:
        return ""


def guarded(servicer: _Servicer) -> _Servicer:
    """Decorate an aio servicer class so that its calls fail as this module promises."""
    for name, method in list(vars(servicer).items()):
        if inspect.isasyncgenfunction(method) and name[0].isupper():
            setattr(servicer, name, _guard_stream(method))
        elif inspect.iscoroutinefunction(method) and name[0].isupper():
            setattr(servicer, name, _guard_unary(method))
    return servicer


@contextmanager
def calling(whom: str) -> Iterator[None]:
    """Turn every way in which a call to ``whom`` can fail into a ConsortiaError."""
    try:
        yield
    except grpc.RpcError as error:
        raise explain(error, whom) from None


def gathered(stream: Iterable[_M], whom: str, most: int = MAX_GATHERED) -> list[_M]:
    """Every message of a stream that is to end. Raises ExchangeError if ``whom`` sends more than ``most`` bytes."""
    found, size = [], 0
    with calling(whom):
        for message in stream:
            size += message.ByteSize()
            if size > most:
                raise ExchangeError(
                    f"{whom} sent more than {most >> 20} MiB, and did not come to an end",
                    blame=whom,
                    remedy="ask its operator; both ends must run compatible versions of Consortia",
                )
            found.append(message)
    return found


def explain(error: grpc.RpcError, whom: str) -> ConsortiaError:
    """What a failed call to ``whom`` means for a person."""
    code, details = _code(error), _details(error)
    told = _told(details)
    if told is not None:
        kind = {status: family for family, status in reversed(_STATUS)}.get(code, ExchangeError)
        family = kind if kind is not ConsortiaError else ExchangeError
        return family(told["what"], blame=told["blame"], remedy=told["remedy"])
    what, blame, remedy = diagnose(code, details)
    return ExchangeError(f"the call to {whom} failed: {what}", blame=blame, remedy=remedy)


_COMPATIBLE = "both ends must run compatible versions of Consortia"
_OWN_NETWORK = "use the profile or folder that was enrolled in this network"
_ENROL_AGAIN = "ask the network's operator for a new invitation and enrol again"


def _guard_unary(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(method)
    async def guard(self: Any, request: Any, context: Any) -> Any:
        try:
            return await method(self, request, context)
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await _abort(context, method.__qualname__, error)

    return guard


def _guard_stream(method: Callable[..., AsyncGenerator[Any, None]]) -> Callable[..., AsyncIterator[Any]]:
    @functools.wraps(method)
    async def guard(self: Any, request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            async with aclosing(method(self, request, context)) as replies:
                async for reply in replies:
                    yield reply
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await _abort(context, method.__qualname__, error)

    return guard


async def _abort(context: Any, method: str, error: Exception) -> NoReturn:
    if isinstance(error, DecodeError):  # of a stream's later message; gRPC itself answers for a call's only one
        error = BrokenRuleError("a message can't be decoded", blame="the caller", remedy=_COMPATIBLE)
    logs.failure("call.refused" if isinstance(error, ConsortiaError) else "call.failed", error, method=method)
    if not isinstance(error, ConsortiaError):
        error = ExchangeError(
            "an internal error stopped the call",
            blame="the process that was called",
            remedy="ask its operator to look for call.failed in the process log",
        )
        await context.abort(grpc.StatusCode.INTERNAL, _as_json(error))
    code = next(status for family, status in _STATUS if isinstance(error, family))
    await context.abort(code, _as_json(error))
    raise error  # abort never returns; this tells the type checker


def _as_json(error: ConsortiaError) -> str:
    texts = {"what": error.what, "blame": error.blame, "remedy": error.remedy}
    return json.dumps({key: text[:MAX_TEXT] for key, text in texts.items()})


def _told(details: str) -> dict[str, str] | None:
    try:
        value = json.loads(details)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or set(value) != {"what", "blame", "remedy"}:
        return None
    return {key: _printable(text) for key, text in value.items()}


def _printable(value: Any) -> str:
    return "".join(letter for letter in str(value)[:MAX_TEXT] if letter.isprintable())


def _code(error: Any) -> grpc.StatusCode:
    code = error.code()
    return code if isinstance(code, grpc.StatusCode) else grpc.StatusCode.UNKNOWN


def _details(error: Any) -> str:
    return str(error.details() or "")
