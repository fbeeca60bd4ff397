"""The line between a process and its worker: whole values, one at a time, and an end that is noticed."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from consortia_common.worker import DiedError, Line, Worker


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_a_worker_that_was_not_waited_for_answers_nothing_else() -> None:
    worker = Worker(4096, _after)
    try:
        with pytest.raises(TimeoutError):
            worker.do(60, 0.01)
        with pytest.raises(DiedError):
            worker.do(0, 60)
    finally:
        worker.end()


def _after(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@pytest.mark.parametrize("size", [0, 1000, 64 << 10, 5 << 20])
def test_values_of_any_length_come_whole_and_in_order(ends: tuple[socket.socket, socket.socket], size: int) -> None:
    line, other = map(Line, ends)
    sender = threading.Thread(target=lambda: [line.send((turn, bytes(size))) for turn in range(3)])
    sender.start()
    assert [other.receive() for _ in range(3)] == [(turn, bytes(size)) for turn in range(3)]
    sender.join()


def test_an_end_that_is_gone_is_noticed(ends: tuple[socket.socket, socket.socket]) -> None:
    line, gone = Line(ends[0]), ends[1]
    gone.sendall(b"\x09\0\0\0\0\0\0\0half")
    gone.close()
    with pytest.raises(EOFError):
        line.receive()
    with pytest.raises(OSError, match="pipe"):
        line.send("anybody?")


def test_no_answer_in_time_is_noticed_however_slowly_it_comes(ends: tuple[socket.socket, socket.socket]) -> None:
    line, slow = Line(ends[0]), ends[1]
    slow.sendall(b"\x09\0\0\0\0\0\0\0half")
    with pytest.raises(TimeoutError):
        line.receive(time.monotonic() + 0.01)
    with pytest.raises(TimeoutError):
        line.send(bytes(5 << 20), time.monotonic() + 0.01)
