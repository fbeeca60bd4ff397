"""What a whole round over the real exchange takes: wall time, everybody's CPU time, and the bytes of all messages.

Coordinator, nodes and their workers are processes as in service, and share the machine.
A round lasts from the moment at which the coordinator says that it begins to that of the next one. The first,
before which workers start, is left out, and so is the last, to which no share of a next round belongs.
Bytes are those of the whole job, with its offer, keys and receipts, divided by its rounds.
"""

import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.sum.network import consortium, spec
from consortia_common.documents.jobspec import JobSpec
from consortia_coordinator.jobrun import JobRun
from tests.support.consortium import ENDED, Consortium
from tests.support.recorder import Recorder

_TICKS = os.sysconf("SC_CLK_TCK")
_SECONDS = 600
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Round:
    """Figures of one round, the mean of several."""

    seconds: float
    cpu: float
    bytes: float


class Counter(Recorder):
    """Counts what a Recorder keeps."""

    total = 0

    def _keep(self, method: str, way: str, data: bytes) -> bytes:
        del method, way
        with self._lock:
            self.total += len(data)
        return data


def over_the_exchange(kinds: tuple[str, ...], institutions: int, length: int, rounds: int) -> dict[str, Round]:
    """A job of each kind, one after the other."""
    counter = Counter()
    with (
        tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder,
        consortium(Path(folder), institutions, [counter]) as built,
    ):
        return {kind: _job(built, spec(kind, institutions, length, rounds), counter) for kind in kinds}


def _job(built: Consortium, asked: JobSpec, counter: Counter) -> Round:
    before = counter.total
    with _sampled() as samples:
        status = _finished(built, built.submit(asked))
    if status.state != "finished":
        raise RuntimeError(f"the job {status.state}: {status.stage}")
    first, last, count = samples[1], samples[-1], len(samples) - 2
    seconds, cpu = ((late - early) / count for early, late in zip(first, last, strict=True))
    return Round(seconds, cpu, (counter.total - before) / len(samples))


def _finished(built: Consortium, job_id: str) -> Any:
    """The job's last status. It is asked for seldom, since asking takes time too."""
    deadline = time.monotonic() + _SECONDS
    with built.analyst() as session:
        while (status := session.job(job_id)).state not in ENDED and time.monotonic() < deadline:
            threading.Event().wait(_POLL_SECONDS)
    return status


@contextmanager
def _sampled() -> Iterator[list[tuple[float, float]]]:
    """Wall time and CPU time at the beginning of each round."""
    samples: list[tuple[float, float]] = []
    processes: list[int] = []
    progress = JobRun.progress

    def recorded(run: JobRun, stage: str, done: int, total: int) -> None:
        if stage.startswith("round "):
            if len(samples) <= 1:  # workers start in the first round, and stay
                processes[:] = _ours()
            samples.append((time.perf_counter(), sum(map(_cpu, processes))))
        progress(run, stage, done, total)

    with patch.object(JobRun, "progress", recorded):
        yield samples


def _ours() -> list[int]:
    """This process, and the nodes and workers that it and they have started."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            parents[int(stat.parent.name)] = int(_fields(stat)[1])
    return [process for process in parents if _is_ours(process, parents)]


def _is_ours(process: int, parents: Mapping[int, int]) -> bool:
    while process not in (os.getpid(), 0):
        process = parents.get(process, 0)
    return process != 0


def _cpu(process: int) -> float:
    """CPU seconds that the process has used."""
    fields = _fields(Path(f"/proc/{process}/stat"))
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _fields(stat: Path) -> list[str]:
    return stat.read_text().rpartition(")")[2].split()
