"""A port of its own for those who run a process: does it live, is it ready, what does it count. Loopback only.

    GET /livez     200 while the event loop turns; 503 means: start it again
    GET /readyz    200 if every part is ready; else 503; in both cases a line for each part says how it stands
    GET /metrics   Prometheus' text format

Nothing else is served, nothing can be changed here, and no answer holds data of an institution. Trusted for
nothing: it answers from threads of its own, so that it can say that the process is stuck.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from threading import Thread
from typing import Any, ClassVar

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import Engine, text

from consortia_common.audit_log import AuditLog
from consortia_common.errors import SettingsError

Check = Callable[[], str]
"""What is missing for a part to be ready; empty if nothing is."""
TURN_SECONDS = 5.0
"""An event loop that does not turn for so long is stuck."""
CLIENT_SECONDS = 10.0
"""How long a client may take to say what it wants."""
POLL_SECONDS = 0.05
"""How long an end may wait for the thread that accepts."""
_PLAIN = "text/plain; charset=utf-8"
_Answer = tuple[HTTPStatus, str, bytes]


def database_check(engine: Engine) -> Check:
    """Whether the database answers."""

    def check() -> str:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
        return ""

    return check


def log_check(log: AuditLog) -> Check:
    """Whether the audit log can be written."""
    return lambda: "" if log.is_open else "it is closed, or could not be written; the process log says why"


@contextmanager
def monitoring(listen: str, checks: Mapping[str, Check]) -> Iterator[int]:
    """Serve at ``listen`` until the block ends, which is within a running event loop; the port. SettingsError."""
    host, _, port = listen.rpartition(":")
    loop = asyncio.get_running_loop()

    class Handler(_Handler):
        answers: ClassVar[Mapping[str, Callable[[], _Answer]]] = {
            "/livez": lambda: _livez(loop),
            "/readyz": lambda: _readyz(checks),
            "/metrics": lambda: (HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest()),
        }

    try:
        server = _Server((host.strip("[]"), int(port)), Handler)
    except OSError as error:
        raise SettingsError(
            f"nothing can listen at {listen}: {error.strerror}",
            blame="another process that has the port, or whoever set monitor_listen",
            remedy="set another port in monitor_listen, or leave it out",
        ) from error
    thread = Thread(target=server.serve_forever, args=(POLL_SECONDS,), name="monitor", daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def standing(checks: Mapping[str, Check]) -> dict[str, str]:
    """What is missing of each part; a check that fails is said by its error's type, whose text may hold data."""
    return {name: _asked(check) for name, check in checks.items()}


def _asked(check: Check) -> str:
    try:
        return check()
    except Exception as error:
        return f"asking failed ({type(error).__name__})"


def _livez(loop: asyncio.AbstractEventLoop) -> _Answer:
    turned = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop)
    try:
        turned.result(TURN_SECONDS)
    except TimeoutError:
        turned.cancel()
        return HTTPStatus.SERVICE_UNAVAILABLE, _PLAIN, b"the event loop does not turn\n"
    return HTTPStatus.OK, _PLAIN, b"alive\n"


def _readyz(checks: Mapping[str, Check]) -> _Answer:
    missing = standing(checks)
    status = HTTPStatus.SERVICE_UNAVAILABLE if any(missing.values()) else HTTPStatus.OK
    lines = "".join(f"{name}: {'not ready: ' + why if why else 'ready'}\n" for name, why in missing.items())
    return status, _PLAIN, lines.encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 16

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = AF_INET6 if ":" in address[0] else AF_INET
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no event."""


class _Handler(BaseHTTPRequestHandler):
    answers: ClassVar[Mapping[str, Callable[[], _Answer]]]
    timeout = CLIENT_SECONDS
    server_version, sys_version = "consortia", ""

    def do_GET(self) -> None:
        answer = self.answers.get(self.path.partition("?")[0])
        status, kind, body = answer() if answer else (HTTPStatus.NOT_FOUND, _PLAIN, b"no such page\n")
        with suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Requests are not logged: a probe every second would drown the process log."""
