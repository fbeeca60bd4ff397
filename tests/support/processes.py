"""The consortium's coordinator and nodes as processes of their own, to be killed, stopped and started again.

Whoever uses ``Processes`` in a ``with`` block leaves nothing running, however the block ends. What a process prints
goes to ``logs/<name>.log`` and is shown when something does not come about.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from consortia_client import control
from consortia_crypto.errors import ConsortiaError
from consortia_proto.v1 import control_pb2, network_pb2
from examples.credit_risk import commands
from examples.credit_risk.processes import listens
from tests.support import altered, evidence
from tests.support.consortium import ENDED, Consortium
from tests.support.specs import BANKS

COORDINATOR = "coordinator"
EVERYBODY = (COORDINATOR, *BANKS)
START_SECONDS = 60.0
STOP_SECONDS = 20.0
BURY_SECONDS = 20.0
POLL_SECONDS = 0.02
BY_THE_NODE = ("sum.share", "sum.sign", "sum.reveal", "sum.frame", "epoch.")
"""How the steps begin that no worker is needed for."""
ROOT = Path(__file__).parents[2]


@dataclass
class Processes:
    """``consortia coordinator run`` and one ``consortia node run`` for each bank."""

    consortium: Consortium
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _altered: set[str] = field(default_factory=set)

    def __enter__(self) -> Self:
        (self.consortium.root / "logs").mkdir(exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._running):
            self.kill(name)

    def start(self, *names: str, clock: Path | None = None, **environment: str) -> None:
        """Start these and wait until they serve. ``environment``: variables by name without CONSORTIA_.

        ``clock`` is a file that holds by how many seconds their clock is wrong.
        """
        self._altered.update(names if environment or clock else ())
        more = {f"CONSORTIA_{key}": value for key, value in environment.items()}
        for name in names:
            self._launch(name, more | ({altered.VARIABLE: str(clock)} if clock else {}))
        for name in names:
            self.until(f"{name} serves", partial(self._serves, name))

    def mend(self) -> None:
        """Have everybody running, with plain settings and connected."""
        for name in [name for name in self._running if name in self._altered or self.has_ended(name)]:
            self.kill(name)
        self._altered.clear()
        for name in self._running:
            self.wake(name)
        self.start(*(name for name in EVERYBODY if name not in self._running))
        self.gather(*BANKS)

    def gather(self, *banks: str) -> None:
        """Wait until these nodes are connected."""
        self.until(f"{banks} are connected", lambda: all(self.connected(bank) for bank in banks))

    def kill(self, name: str) -> "frozenset[Child]":
        """SIGKILL one process, and only that one; the processes that it had started."""
        process = self._running.pop(name)
        orphans = descendants(process.pid)
        process.kill()
        process.wait()
        return orphans

    def stop(self, name: str, *, with_workers: bool = False) -> tuple[int, float]:
        """SIGTERM one process: its exit status, and how many seconds it took.

        ``with_workers``: the signal goes to the processes that it started too, as systemd sends it.
        """
        process, began = self._running.pop(name), time.monotonic()
        (os.killpg if with_workers else os.kill)(process.pid, signal.SIGTERM)
        try:
            return process.wait(STOP_SECONDS), time.monotonic() - began
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"{name} did not stop in {STOP_SECONDS} s:\n{self.output(name)}") from None

    def pause(self, name: str) -> None:
        """Have the process do nothing until ``wake``."""
        os.kill(self.pid(name), signal.SIGSTOP)

    def wake(self, name: str) -> None:
        os.kill(self.pid(name), signal.SIGCONT)

    def stick(self, name: str, job_id: str) -> "Child":
        """Have the node's one worker get stuck in a step of the job; the worker."""
        (worker,) = self.workers(name)
        os.kill(worker.pid, signal.SIGSTOP)
        self.until(f"{name} is asked for a step", lambda: bool(self.waiting(name, job_id)))
        return worker

    def waiting(self, name: str, job_id: str) -> list[str]:
        """The job's steps that the node was asked for, has not answered, and leaves to its worker."""
        steps = evidence.unanswered(self.consortium, name, job_id)
        return [step for step in steps if not step.startswith(BY_THE_NODE)]

    def pid(self, name: str) -> int:
        return self._running[name].pid

    def has_ended(self, name: str) -> bool:
        """Whether the process has ended by itself."""
        return self._running[name].poll() is not None

    def end(self, name: str) -> int:
        """Wait until the process ends by itself; its exit status."""
        self.until(f"{name} ends by itself", lambda: self.has_ended(name))
        return self._running.pop(name).wait()

    def workers(self, name: str) -> "frozenset[Child]":
        """The node's worker processes."""
        children = descendants(self.pid(name))
        return frozenset(child for child in children if b"spawn_main" in _file(child.pid, "cmdline"))

    def output(self, name: str) -> str:
        """The end of what the process printed."""
        return self._output(name).read_text(errors="replace")[-4000:]

    def status(self, job_id: str) -> network_pb2.JobStatus | None:
        """Where the job stands; None while nobody says."""
        try:
            with self.consortium.analyst() as session:
                return session.job(job_id)
        except ConsortiaError:
            return None

    def reach(self, job_id: str, *, stage: str = "", state: str = "") -> network_pb2.JobStatus:
        """Wait until the job's stage begins with ``stage`` and its state is ``state``, where given."""
        return self._status_when(
            job_id, lambda status: status.stage.startswith(stage) and state in ("", status.state), "came no further"
        )

    def finish(self, job_id: str, seconds: float = START_SECONDS) -> network_pb2.JobStatus:
        """The job's last status, though the coordinator may be away for a while."""
        return self._status_when(job_id, lambda status: status.state in ENDED, "did not end", seconds)

    def outcome(self, job_id: str) -> dict[str, Any]:
        """The job's result, without what differs from job to job by intent."""
        result: dict[str, Any] = self.consortium.result(job_id)
        result.get("model", {}).get("origin", {}).pop("job", None)
        return {name: value for name, value in result.items() if name != "salt"}

    def until(self, what: str, condition: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Wait until it holds; fail with ``what`` and what everybody printed if it does not."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                printed = "\n".join(f"--- {name}\n{self.output(name)}" for name in EVERYBODY)
                raise AssertionError(f"not within {seconds} s: {what}\n{printed}")
            time.sleep(POLL_SECONDS)

    def bury(self, children: "Iterable[Child]") -> None:
        """Wait until all of these have ended; fail with what they are if they do not."""
        left = list(children)

        def are_gone() -> bool:
            left[:] = [child for child in left if child.is_alive()]
            return not left

        try:
            self.until("they end by themselves", are_gone, BURY_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{[_file(child.pid, 'cmdline') for child in left]}\n{error}") from None

    def _status_when(
        self,
        job_id: str,
        accept: Callable[[network_pb2.JobStatus], bool],
        otherwise: str,
        seconds: float = START_SECONDS,
    ) -> network_pb2.JobStatus:
        seen: list[network_pb2.JobStatus] = []

        def accepted() -> bool:
            status = self.status(job_id)
            seen[:] = [status] if status else seen
            return status is not None and accept(status)

        try:
            self.until("", accepted, seconds)
        except AssertionError as error:
            raise AssertionError(f"{job_id} {otherwise}: {seen}{error}") from None
        return seen[0]

    def _launch(self, name: str, environment: dict[str, str]) -> None:
        is_coordinator = name == COORDINATOR
        config = self.consortium.coordinator_config if is_coordinator else self.consortium.node_config(name)
        role = COORDINATOR if is_coordinator else "node"
        program = (
            [sys.executable, "-m", altered.__name__] if altered.VARIABLE in environment else [commands.PROGRAM]
        )
        with self._output(name).open("ab") as output:
            self._running[name] = subprocess.Popen(
                [*program, role, "run", "--config", config],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd=ROOT,
                env=commands.environment() | environment,
            )

    def _serves(self, name: str) -> bool:
        process = self._running[name]
        if process.poll() is not None:
            raise AssertionError(f"{name} ended with {process.returncode}:\n{self.output(name)}")
        return listens(self.consortium.port) if name == COORDINATOR else self.answers(name)

    def answers(self, bank: str) -> bool:
        """Whether the node answers at its control socket."""
        return self._node_status(bank) is not None

    def connected(self, bank: str) -> bool:
        """Whether the node has a stream to the coordinator."""
        status = self._node_status(bank)
        return status is not None and status.connected

    def _node_status(self, bank: str) -> control_pb2.NodeStatus | None:
        try:
            with control.node(self.consortium.node_config(bank)) as node:
                return node.Status(control_pb2.StatusRequest(), timeout=5)
        except ConsortiaError:
            return None

    def _output(self, name: str) -> Path:
        return self.consortium.root / "logs" / f"{name}.log"


@dataclass(frozen=True)
class Child:
    """A process that another one started; with its time of birth, because process ids are used again."""

    pid: int
    born: int

    def is_alive(self) -> bool:
        """Whether it runs: neither gone nor a zombie."""
        stat = _stat(self.pid)
        return bool(stat) and int(stat[19]) == self.born and stat[0] != b"Z"


def descendants(pid: int) -> frozenset[Child]:
    """The processes that ``pid`` started, and theirs."""
    pids: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids |= {int(child) for child in task.read_text().split()}
        except OSError:  # the thread has just ended
            continue
    children = {Child(child, int(stat[19])) for child in pids if (stat := _stat(child))}
    return frozenset(children).union(*(descendants(child.pid) for child in children))


def cpu_seconds(pid: int) -> float:
    """Processor time that the process has used so far, its children's not counted."""
    stat = _stat(pid)
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Memory that the process occupies."""
    return int(_file(pid, "statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _stat(pid: int) -> list[bytes]:
    """See proc_pid_stat(5), from the third field on; empty if there is no such process."""
    return _file(pid, "stat").rpartition(b")")[2].split()


def _file(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
