"""The monitoring port: it says what lives, what is ready and what is missing, and nothing else."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from sqlalchemy import create_engine

from consortia_common import monitor
from consortia_common.errors import SettingsError
from consortia_coordinator.config import CoordinatorSettings
from consortia_node.config import NodeSettings

STANDING = {"database": "", "connection": ""}


@pytest.fixture
async def port() -> AsyncIterator[int]:
    with monitor.monitoring("127.0.0.1:0", {name: lambda name=name: STANDING[name] for name in STANDING}) as port:
        yield port


def _ask(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    try:
        with urlopen(Request(f"http://127.0.0.1:{port}{path}", method=method), timeout=20) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def ask(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    return await asyncio.to_thread(_ask, port, path, method)


async def test_it_says_what_is_ready_and_what_is_not(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await ask(port, "/readyz") == (200, "database: ready\nconnection: ready\n")
    monkeypatch.setitem(STANDING, "connection", "there is no stream to the coordinator")
    said = "database: ready\nconnection: not ready: there is no stream to the coordinator\n"
    assert await ask(port, "/readyz?verbose=1") == (503, said)
    assert (await ask(port, "/livez"))[0] == 200  # who is not connected is no more alive after a restart


async def test_it_counts(port: int) -> None:
    status, said = await ask(port, "/metrics")
    assert status == 200
    assert "# HELP consortia_" in said


@pytest.mark.parametrize("path", ["/", "/livez/", "/metrics/../etc/passwd", "/%6civez"])
async def test_there_is_nothing_else(port: int, path: str) -> None:
    assert (await ask(port, path))[0] == 404
    assert (await ask(port, path, "POST"))[0] == 501


async def test_a_loop_that_does_not_turn_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "TURN_SECONDS", 0.05)
    found: list[tuple[int, str]] = []
    with monitor.monitoring("127.0.0.1:0", {}) as port:
        asking = threading.Thread(target=lambda: found.append(_ask(port, "/livez")))
        asking.start()
        asking.join()  # blocks this loop
    assert found == [(503, "the event loop does not turn\n")]


async def test_a_check_that_breaks_means_not_ready_and_its_words_stay_here() -> None:
    def broken() -> str:
        raise ValueError("row 7 of ana's table")

    assert monitor.standing({"database": broken}) == {"database": "asking failed (ValueError)"}


async def test_who_says_nothing_holds_nobody_up(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)) as rude:
        rude.sendall(b"\xff\x00garbage\r\n\r\n")
        assert (await ask(port, "/livez"))[0] == 200


async def test_a_port_that_is_taken_is_said(port: int) -> None:
    with pytest.raises(SettingsError, match="nothing can listen"), monitor.monitoring(f"127.0.0.1:{port}", {}):
        pass


def test_a_database_that_is_gone_is_not_ready(tmp_path: Path) -> None:
    there = create_engine("sqlite://")
    gone: Mapping[str, monitor.Check] = {
        "there": monitor.database_check(there),
        "gone": monitor.database_check(create_engine(f"sqlite:///{tmp_path}/no/such.db")),
    }
    assert monitor.standing(gone) == {"there": "", "gone": "asking failed (OperationalError)"}
    there.dispose()


@pytest.mark.parametrize("listen", ["0.0.0.0:9464", "192.168.1.4:9464", "example.com:9464", "[::]:9464"])
@pytest.mark.parametrize("settings", [CoordinatorSettings, NodeSettings])
def test_the_port_is_for_this_machine_only(listen: str, settings: type, tmp_path: Path) -> None:
    is_node = settings is NodeSettings
    required = 'institution = "b"\n' if is_node else 'network = "lab"\nlisten = "127.0.0.1:1"\n'
    file = tmp_path / "settings.toml"
    file.write_text(f'{required}monitor_listen = "{listen}"\n')
    with pytest.raises(SettingsError, match="only listen on a loopback address"):
        settings.load(file)
    for good in ("127.0.0.1:9464", "localhost:9464", "[::1]:9464"):
        file.write_text(f'{required}monitor_listen = "{good}"\n')
        assert settings.load(file).monitor_listen == good
