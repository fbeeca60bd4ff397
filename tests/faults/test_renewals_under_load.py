"""Certificates renewed while strangers begin handshakes by the thousand: the process lives, and shows the newest.

A gRPC that is handed a new configuration in the middle of that ends its process within seconds.
"""

import socket
import ssl
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from consortia_common import keyfiles, pki, tls
from consortia_coordinator import ca
from tests.support import renewing

SECONDS = 30.0
CALLERS = 2
AT_A_TIME = 5
FEWEST = 10
"""Renewals; a loaded machine does many more."""


def _folders(place: Path, count: int) -> list[Path]:
    now = datetime.now(UTC)
    root = ca.make_root(renewing.NETWORK, now)
    issuing = ca.make_issuing(root, renewing.NETWORK, now)
    made = []
    for number in range(count):
        folder, key = keyfiles.make_folder(place / str(number)), pki.new_key()
        subject = pki.Subject(renewing.NETWORK, "coordinator", "coordinator", "coordinator")
        keyfiles.write_file(folder / tls.KEY_FILE, pki.key_pem(key))
        keyfiles.write_file(folder / tls.CHAIN_FILE, ca.issue(issuing, key.public_key(), subject, now))
        keyfiles.write_file(folder / tls.CA_FILE, root.certificate_pem)
        made.append(folder)
    return made


def _hello() -> bytes:
    sent = ssl.MemoryBIO()
    handshake = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname="a-stranger")
    with suppress(ssl.SSLWantReadError):
        handshake.do_handshake()
    return sent.read()


def _call(port: int, process: "subprocess.Popen[str]", begun: list[int]) -> None:
    """Begin handshakes and leave, until the server ends."""
    hello = _hello()
    while process.poll() is None:
        with suppress(OSError), ExitStack() as connections:
            for _ in range(AT_A_TIME):
                connection = connections.enter_context(socket.create_connection(("127.0.0.1", port), 2))
                connection.sendall(hello)
                begun.append(1)


@pytest.mark.slow
def test_strangers_who_connect_at_a_renewal_end_nothing(tmp_path: Path) -> None:
    words = [sys.executable, "-m", renewing.__name__, str(SECONDS), *_folders(tmp_path, 3)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        port, begun = int(process.stdout.readline()), list[int]()
        callers = [threading.Thread(target=_call, args=(port, process, begun)) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        exchanged = process.stdout.read()
        for caller in callers:
            caller.join()
    assert process.returncode == 0
    assert int(exchanged) >= FEWEST
    assert sum(begun) > 100 * FEWEST
