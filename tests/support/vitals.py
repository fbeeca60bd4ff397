"""What processes take of their machine, read from outside: processor time, memory, open files, threads."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import EVERYBODY, Processes, cpu_seconds, resident_bytes

MIB = 1 << 20
QUIET_SHARE = 0.15
"""Most of a core that a process without work may use, heartbeats and checkpoints included."""
WATCHED_SECONDS = 1.0
QUIET_SECONDS = 30.0
GROWTH_BYTES = 96 * MIB
"""Allocators keep what they had; a leak of messages would be far above after many rounds."""
MOST_FILES = 200
MOST_THREADS = 100


@dataclass(frozen=True)
class Vitals:
    """One process at one moment."""

    memory: int
    files: int
    threads: int


def of(pid: int) -> Vitals:
    """What the process takes now."""
    count = [sum(1 for _ in Path(f"/proc/{pid}/{kind}").iterdir()) for kind in ("fd", "task")]
    return Vitals(resident_bytes(pid), *count)


def of_all(processes: Processes) -> Mapping[str, Vitals]:
    """What everybody takes now."""
    return {name: of(processes.pid(name)) for name in EVERYBODY}


def require_calm(processes: Processes, before: Mapping[str, Vitals]) -> None:
    """Nobody spins, and nobody takes much more than ``before``."""
    deadline = time.monotonic() + QUIET_SECONDS
    while busy := _busy(processes):
        assert time.monotonic() < deadline, f"without work: {busy} (cores)"
    for name, now in of_all(processes).items():
        assert now.files <= MOST_FILES, (name, now)
        assert now.threads <= MOST_THREADS, (name, now)
        assert now.memory <= before[name].memory + GROWTH_BYTES, (name, before[name], now)


def _busy(processes: Processes) -> dict[str, float]:
    """Who uses more of a core than somebody without work may, and how much."""
    spent = {name: cpu_seconds(processes.pid(name)) for name in EVERYBODY}
    threading.Event().wait(WATCHED_SECONDS)
    shares = {name: (cpu_seconds(processes.pid(name)) - was) / WATCHED_SECONDS for name, was in spent.items()}
    return {name: share for name, share in shares.items() if share > QUIET_SHARE}
