"""What crosses the coordinator's connections, decrypted and byte for byte; and a search for what must not."""

import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

import grpc
import grpc.aio
import numpy as np

from tests.fuzz.mutation import mutate, mutate_fields

IN, OUT = "in", "out"
WORD = 8
"""Bytes of the shortest thing that is looked for in binary; shorter ones would be found by chance."""


class Recorder(grpc.aio.ServerInterceptor):
    """Keeps every message of every call as the bytes that TLS protects on the way."""

    def __init__(self) -> None:
        self.payloads: list[tuple[str, str, bytes]] = []
        """The call's name, IN or OUT as the coordinator sees it, and the message."""
        self._lock = threading.Lock()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        read, write = handler.request_deserializer, handler.response_serializer
        return handler._replace(
            request_deserializer=lambda data: read(self._keep(method, IN, data)),
            response_serializer=lambda message: self._keep(method, OUT, write(message)),
        )

    def of(self, method: str, *ways: str) -> list[bytes]:
        """The messages of calls whose name ends so."""
        wanted = ways or (IN, OUT)
        return [data for name, way, data in self.payloads if name.endswith(method) and way in wanted]

    def everything(self, start: int = 0) -> bytes:
        """All messages, from number ``start`` on, one after the other."""
        return b"\n".join(data for _, _, data in self.payloads[start:])

    def _keep(self, method: str, way: str, data: bytes) -> bytes:
        with self._lock:
            self.payloads.append((method, way, data))
        return data


class Spoiler(grpc.aio.ServerInterceptor):
    """Has the coordinator answer calls of the services in ``spoils`` with spoilt bytes, mostly."""

    def __init__(self) -> None:
        self.spoils: tuple[str, ...] = ()
        self.random = Random(1)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        service = handler_call_details.method.split("/")[1].rsplit(".", 1)[1]
        return handler._replace(response_serializer=partial(self._spoil, service, handler.response_serializer))

    def _spoil(self, service: str, write: Callable[[Any], bytes], message: Any) -> bytes:
        good = write(message)
        if service not in self.spoils or self.random.random() < 0.2:
            return good
        if self.random.random() < 0.4:
            return mutate(good, [], self.random)
        return mutate_fields(type(message).FromString(good), self.random)


@dataclass
class Needles:
    """Things to look for, each under a word that says what it is."""

    texts: dict[bytes, str] = field(default_factory=dict)
    words: dict[bytes, str] = field(default_factory=dict)

    def text(self, what: str, *texts: str) -> None:
        self.texts |= {text.encode(): what for text in texts if len(text) >= 6}

    def number(self, what: str, value: float) -> None:
        """A number in the forms in which a program writes one."""
        self.text(what, repr(float(value)), f"{value:.2f}", str(round(value * 100)), str(round(value * 1000)))
        whole = [round(value * 10**decimals) for decimals in range(7)]
        self.vector(what, np.array([value]))
        self.vector(what, np.array(whole, np.int64))
        self.raw(what, np.array([value] * 2, "<f4").tobytes())  # as a column of equal values has it

    def vector(self, what: str, values: np.ndarray[Any, Any]) -> None:
        """Every element of an array of 8-byte numbers, but for those that anything could be."""
        for value in values.ravel():
            self.raw(what, value.tobytes())

    def raw(self, what: str, data: bytes) -> None:
        """The first word of ``data``, unless it is mostly zeros."""
        word = data[:WORD]
        if len(word) == WORD and len(set(word) - {0, 255}) >= 3:
            self.words.setdefault(word, what)

    def found_in(self, data: bytes) -> set[str]:
        """What of all this is somewhere in ``data``."""
        found = {what for text, what in self.texts.items() if text in data}
        wanted = np.frombuffer(b"".join(self.words), "<u8")
        for offset in range(WORD):
            shifted = data[offset:]
            there = np.frombuffer(shifted, "<u8", len(shifted) // WORD)
            hits = np.unique(there[np.isin(there, wanted)])
            found |= {self.words[hit.tobytes()] for hit in hits}
        return found


def windows(data: bytes, count: int = 20) -> Iterable[bytes]:
    """Pieces from all over ``data``."""
    step = max(WORD, len(data) // count)
    return (data[at : at + WORD] for at in range(0, len(data) - WORD, step))
