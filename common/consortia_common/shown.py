"""The certificate that the coordinator shows, and its exchange for a new one while others connect.

At each handshake gRPC asks for another configuration. When it is given one, it frees what it had made of the last,
which handshakes in other threads may be about to use (https://github.com/grpc/grpc/issues/36693): that ended a
process. So one handshake that was begun before is kept open meanwhile: what it was made of is not freed before it
is over, and every other handshake has long taken hold of its own by then.

Trusted for: a configuration is given out once, and only while such a handshake is held. Who connects can put off
the exchange by taking all connections, but not end the process.
"""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from consortia_common import pki
from consortia_common.errors import ConnectionLostError
from consortia_common.tls import Credentials

ANSWER_SECONDS = 3.0
"""How long the server may take to answer; twice that and HOLD_SECONDS are less than it waits for a handshake."""
HOLD_SECONDS = 3.0
"""How long a handshake is held after the exchange."""
Address = tuple[str, int]


class Shown:
    """What is shown in ``network``; ``load`` reads what is to be shown."""

    def __init__(self, load: Callable[[], Credentials], network: str) -> None:
        self._load = load
        self._hello = _hello(pki.server_name(network))
        self._shown = load()
        self._next: Credentials | None = None
        self._lock = threading.Lock()

    def server_credentials(self) -> grpc.ServerCredentials:
        """For the one port that shows it."""
        now = _configuration(self._shown)
        return grpc.dynamic_ssl_server_credentials(now, self._newest, require_client_authentication=True)

    def follow(self, address: Address, hold: float = HOLD_SECONDS) -> bool:
        """Show newer credentials at ``address``, where this process serves, if there are any; whether there were.

        Takes ``hold`` seconds in that case. Raises ConsortiaError, and goes on with those before, if they can't be
        read or if the server does not answer; call it from one thread at a time.
        """
        found = self._load()
        if found == self._shown:
            return False
        with _handshake(address, self._hello):
            self._offer(found)
            try:
                with _handshake(address, self._hello):
                    threading.Event().wait(hold)
            finally:
                if self._offer(None) is None:
                    self._shown = found
        return True

    def _offer(self, credentials: Credentials | None) -> Credentials | None:
        """Have the next handshake take these; those that none has taken until now."""
        with self._lock:
            left, self._next = self._next, credentials
            return left

    def _newest(self) -> Any:
        """At each handshake, in gRPC's threads: the configuration to be used from now on, or None for no change."""
        taken = self._offer(None)
        return _configuration(taken) if taken else None


def _configuration(credentials: Credentials) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(credentials.key_pem, credentials.chain_pem)], root_certificates=credentials.ca_pem
    )


@contextmanager
def _handshake(address: Address, hello: bytes) -> Iterator[None]:
    """A handshake that the server has answered and that goes no further. Raises ConnectionLostError."""
    try:
        with socket.create_connection(address, ANSWER_SECONDS) as connection:
            connection.sendall(hello)
            if not connection.recv(1):
                raise OSError
            yield
    except OSError as error:
        raise ConnectionLostError(
            "the certificate shown was not exchanged: this process does not answer at its own address",
            blame="this machine, or too many connections",
            remedy="nothing: it is tried again every second; if that goes on, look at who connects",
        ) from error


def _hello(name: str) -> bytes:
    """The first message of a handshake with ``name``, RFC 8446 §4.1.2."""
    context, sent = ssl.create_default_context(), ssl.MemoryBIO()
    handshake = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name)
    try:
        handshake.do_handshake()
    except ssl.SSLWantReadError:
        return sent.read()
    raise AssertionError("a handshake has two ends")
