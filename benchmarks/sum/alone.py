"""What one act of one party costs: CPU time of all its threads and peak memory, each act in a process of its own.

The process is a fork of this one, in which nothing was computed, so its memory starts from a small and equal level,
which is taken off. Only what is handed back crosses; vectors pass through files.
"""

import multiprocessing
import os
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

Role = Literal["institution", "coordinator"]
_STATUS = Path("/proc/self/status")
_RESET_PEAK = "5"
_SEALING = "seal"
"""The name of the act that makes an upload, in every engine."""


@dataclass(frozen=True)
class Shape:
    """A round: how many institutions, how many values each."""

    institutions: int
    length: int


@dataclass(frozen=True)
class Cost:
    """Of one round: CPU seconds and bytes of memory of one institution and of the coordinator; an institution's
    bytes on the way."""

    cpu: dict[Role, float]
    sealing: float
    """CPU seconds of one institution up to its upload, which is what the engines do most differently."""
    memory: dict[Role, int]
    sent: float
    received: float

    def total_cpu(self, institutions: int) -> float:
        """CPU seconds of everybody together."""
        return institutions * self.cpu["institution"] + self.cpu["coordinator"]


@dataclass
class Ledger:
    """Adds up what a round costs, act by act.

    Unless ``apart``, acts are done in this process and not measured: once before an engine is, so that it does not
    pay for loading what a node that runs has loaded.
    """

    shape: Shape
    apart: bool = True
    sent: int = 0
    received: int = 0
    """Bytes of all institutions."""
    _sealing: float = 0.0
    _cpu: dict[Role, float] = field(default_factory=lambda: defaultdict(float))
    _memory: dict[Role, int] = field(default_factory=lambda: defaultdict(int))

    def run(
        self, role: Role, act: Callable[..., Any], *arguments: Any, ready: Callable[[], Any] | None = None
    ) -> Any:
        """What ``act`` gives, done alone on this role's account. What ``ready`` gives comes before the other
        arguments; what it costs is not counted."""
        if not self.apart:
            return act(*([ready()] if ready else []), *arguments)
        answer, cpu, memory = alone(act, arguments, ready)
        self._cpu[role] += cpu
        if role == "institution" and getattr(act, "__name__", "") == _SEALING:
            self._sealing += cpu
        self._memory[role] = max(self._memory[role], memory)
        return answer

    def cost(self) -> Cost:
        """The round's cost; an institution's is the mean over all of them."""
        count = self.shape.institutions
        cpu: dict[Role, float] = {
            "institution": self._cpu["institution"] / count, "coordinator": self._cpu["coordinator"],
        }  # fmt: skip
        return Cost(cpu, self._sealing / count, dict(self._memory), self.sent / count, self.received / count)


def alone(
    act: Callable[..., Any], arguments: tuple[Any, ...], ready: Callable[[], Any] | None
) -> tuple[Any, float, int]:
    """What ``act`` gives, its CPU seconds, and by how many bytes it let memory grow. Raises RuntimeError."""
    context = multiprocessing.get_context("fork")
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(writer, act, arguments, ready))
    process.start()
    writer.close()
    try:
        answer: tuple[Any, float, int] | str = reader.recv()
    except EOFError:
        answer = "it ended without an answer, perhaps for lack of memory"
    process.join()
    if isinstance(answer, str):
        raise RuntimeError(f"a party's act failed: {answer}")
    return answer


def _measure(
    writer: Connection, act: Callable[..., Any], arguments: tuple[Any, ...], ready: Callable[[], Any] | None
) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # TenSEAL prints advice
    try:
        if ready is not None:
            arguments = (ready(), *arguments)
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
        before, began = _kib("VmRSS"), time.process_time()
        answer = act(*arguments)
        writer.send((answer, time.process_time() - began, (_kib("VmHWM") - before) << 10))
    except Exception as error:  # the parent says it and stops
        writer.send(f"{type(error).__name__}: {error}")


def _kib(name: str) -> int:
    (line,) = [line for line in _STATUS.read_text().splitlines() if line.startswith(name)]
    return int(line.split()[1])
