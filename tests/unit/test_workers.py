"""Worker processes that die, without a job around them."""

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from consortia_node.errors import StepError, StoppingError
from consortia_node.step import StepRequest
from consortia_node.workers import Workers
from tests.support.consortium import wait_until

FAREWELL = "ended unexpectedly"


class Deadly:
    """Calls ``function`` in the process that takes it out of its pickle: the worker, before it begins the step."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> Any:
        return self._call


def request(content: Any) -> StepRequest:
    return StepRequest("job", b"no spec", "bank-a", "train", 1, 10, content, Path("sums"))


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers(4096, 60)
    yield made
    made.close()


def test_a_step_that_kills_every_worker_fails_and_says_so(workers: Workers) -> None:
    with pytest.raises(StepError, match=FAREWELL) as caught:
        workers.run(request(Deadly(os._exit, 1)))
    assert caught.value.blame == "the node of bank-a"
    assert "worker_memory_mib" in caught.value.remedy


def test_a_worker_that_died_is_replaced_once(workers: Workers, tmp_path: Path) -> None:
    """The second worker gets as far as the spec, which is none."""
    mourned = tmp_path / "died"
    with pytest.raises(StepError) as caught:
        workers.run(request(Deadly(_die_once, mourned)))
    assert mourned.exists()
    assert FAREWELL not in caught.value.what


def test_closed_workers_take_no_step(workers: Workers) -> None:
    workers.close()
    with pytest.raises(StoppingError):
        workers.run(request(b""))


def test_the_worker_that_waits_does_the_next_job_and_is_followed_by_another(
    workers: Workers, tmp_path: Path
) -> None:
    workers.keep_one_ready(partial(_tell, tmp_path / "waiting"))
    waiting = _told(tmp_path / "waiting")
    assert _done_by(workers, tmp_path / "first") == waiting
    workers.end("job")
    following = _told(tmp_path / "waiting")
    assert following != waiting
    os.kill(following, signal.SIGKILL)
    wait_until(lambda: _is_dead(following), "a killed worker lives")
    assert _done_by(workers, tmp_path / "second") not in (waiting, following)


def test_closed_workers_leave_none_waiting(workers: Workers, tmp_path: Path) -> None:
    workers.keep_one_ready(partial(_tell, tmp_path / "waiting"))
    waiting = _told(tmp_path / "waiting")
    workers.close()
    wait_until(lambda: _is_dead(waiting), "a worker outlives its node")


def _tell(path: Path) -> None:
    path.with_suffix(".new").write_text(str(os.getpid()))
    path.with_suffix(".new").rename(path)


def _told(path: Path) -> int:
    wait_until(path.exists, "no worker said which it is")
    told = int(path.read_text())
    path.unlink()
    return told


def _done_by(workers: Workers, path: Path) -> int:
    """Which process does a step, which gets as far as the spec, which is none."""
    with pytest.raises(StepError):
        workers.run(request(Deadly(_tell, path)))
    return _told(path)


def _is_dead(pid: int) -> bool:
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def _die_once(mark: Path) -> bytes:
    if mark.exists():
        return b""
    mark.touch()
    os._exit(1)
