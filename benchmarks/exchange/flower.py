"""The peer: Flower's SuperLink and SuperNodes as they come, each a process, over plain HTTP on this machine."""

import json
import os
import signal
import subprocess
import sysconfig
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.exchange.waiting import wait_until
from examples.credit_risk.processes import free_port, listens

APP = Path(__file__).parent / "flower_app"
SCRIPTS = Path(sysconfig.get_path("scripts"))
NODES = 3
RUN_SECONDS = 600
_JOIN_SECONDS = 5.0
"""For SuperNodes to make themselves known; nothing tells when they have."""
_STOP_SECONDS = 10
_SETTINGS = """
[superlink]
default = "here"
[superlink.here]
address = "127.0.0.1:{port}"
insecure = true
"""


def measure(length: int, rounds: int) -> float:
    """The seconds of a round of ``NODES`` nodes, on average."""
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.toml").write_text(_SETTINGS.format(port=port))
        with _started(folder, "flower-superlink", ["--insecure", "--port", str(port)]):
            wait_until(lambda: listens(port), "the SuperLink serves")
            with _nodes(folder, port, NODES):
                threading.Event().wait(_JOIN_SECONDS)
                begun = _run(folder, length, rounds)
    return (begun[-1] - begun[0]) / rounds


def _run(folder: Path, length: int, rounds: int) -> list[float]:
    times = folder / "times.json"
    asked = f'length={length} rounds={rounds} nodes={NODES} times="{times}"'
    words = [str(SCRIPTS / "flwr"), "run", str(APP), "here", "--stream", "--run-config", asked]
    done = subprocess.run(
        words, env=_environment(folder), capture_output=True, text=True, check=False, timeout=RUN_SECONDS
    )
    if not times.exists():
        raise RuntimeError(f"Flower's run came to nothing:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    read: list[float] = json.loads(times.read_text())
    return read


@contextmanager
def _nodes(folder: Path, port: int, count: int) -> Iterator[None]:
    if count == 0:
        yield
        return
    words = ["--insecure", "--superlink", f"127.0.0.1:{port}", "--port", str(free_port())]
    with _started(folder, "flower-supernode", words), _nodes(folder, port, count - 1):
        yield


@contextmanager
def _started(folder: Path, program: str, words: Sequence[str]) -> Iterator[None]:
    """A program and all that it starts, ended with the block."""
    with (folder / f"{program}.log").open("ab") as output:
        process = subprocess.Popen(
            [SCRIPTS / program, *words],
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        finally:
            with _gone():
                os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _gone() -> Iterator[None]:
    try:
        yield
    except ProcessLookupError:
        return


def _environment(folder: Path) -> dict[str, str]:
    path = f"{SCRIPTS}{os.pathsep}{os.environ.get('PATH', '')}"
    quiet = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return plain | quiet | {"FLWR_HOME": str(folder), "PATH": path}
