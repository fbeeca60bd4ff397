"""What becomes of a task that a stopping node could not do: no answer, least of all a failure."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from consortia_common.contents import in_memory
from consortia_common.errors import LogStorageError
from consortia_node.dispatch import Dispatcher, Handler
from consortia_node.errors import StoppingError
from consortia_node.store.database import open_database
from consortia_node.store.tasks import Pending, TaskStore
from consortia_proto.v1 import exchange_pb2 as pb

TASK = Pending("job/train/1/bank-a", "job")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TaskStore]:
    engine = open_database(tmp_path / "node.db")
    store = TaskStore(engine, tmp_path / "exchange", lambda: datetime.now(UTC))
    task = pb.Task(task_id=TASK.task_id, job_id=TASK.job_id, step="train")
    store.receive(task, in_memory(task.SerializeToString()))
    yield store
    engine.dispose()


def dispatcher(store: TaskStore, handler: Handler) -> Dispatcher:
    return Dispatcher(store, handler, 1, lambda: None)


def test_a_task_that_the_node_stops_in_stays_pending(store: TaskStore) -> None:
    def stopped(task: pb.Task) -> pb.Reply:
        raise StoppingError

    running = dispatcher(store, stopped)
    running.submit(TASK)
    assert running.close(10)
    assert store.pending() == [TASK]


def test_an_error_after_the_stop_is_taken_for_its_consequence(store: TaskStore) -> None:
    begun, closing = threading.Event(), threading.Event()

    def late(task: pb.Task) -> pb.Reply:
        begun.set()
        closing.wait(10)
        raise LogStorageError("the log is closed", blame="nobody", remedy="none")

    running = dispatcher(store, late)
    running.submit(TASK)
    begun.wait(10)
    assert not running.close(0)
    closing.set()
    assert running.close(10)
    assert store.pending() == [TASK]
