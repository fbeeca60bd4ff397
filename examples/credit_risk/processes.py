"""The coordinator and the banks' nodes as processes of their own, stopped however the demo ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from examples.credit_risk import commands
from examples.credit_risk.errors import DemoError

START_SECONDS = 60
STOP_SECONDS = 10
TERMINATED = 143


@dataclass
class Processes:
    """What the demo started, by name; each one's output goes to ``logs/<name>.log``."""

    logs: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, name: str, *words: str | Path) -> None:
        """Start ``consortia WORDS…`` in a session of its own, out of reach of the terminal's Ctrl-C."""
        command = [str(commands.PROGRAM), *(str(word) for word in words)]
        with (self.logs / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=commands.environment(),
            )

    def wait(self, what: str, ready: Callable[[], bool]) -> None:
        """Return once ``ready()``. Raises DemoError when a process has ended, or after START_SECONDS."""
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            ended = [name for name, process in self.running.items() if process.poll() is not None]
            if ended:
                raise self._trouble(f"{ended[0]} stopped by itself: {self._last_words(ended[0])}")
            if time.monotonic() > deadline:
                raise self._trouble(f"{what} was not ready within {START_SECONDS} s")
            time.sleep(0.1)

    def stop(self) -> None:
        """Ask all to end, the last started first; after STOP_SECONDS, end them."""
        processes = list(reversed(self.running.values()))
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in processes:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.running.clear()

    def _last_words(self, name: str) -> str:
        return (self.logs / f"{name}.log").read_text(errors="replace").strip()[-1000:]

    def _trouble(self, what: str) -> DemoError:
        return DemoError(
            what,
            blame="the process itself, or the machine",
            remedy=f"read {self.logs.name}/*.log in the demo's folder, and run the demo again",
        )


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody accepts connections on this loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def end_on_sigterm() -> None:
    """Let SIGTERM end this program as Ctrl-C does, so that what it started is stopped."""

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        sys.exit(TERMINATED)

    signal.signal(signal.SIGTERM, end)
