"""The node's journal of tasks, the threads that work it off, and the delays between two tries to connect."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, insert

from consortia_common.contents import Message, in_memory
from consortia_common.errors import ExchangeError
from consortia_node.dispatch import Dispatcher
from consortia_node.errors import StoreError
from consortia_node.exchange import Backoff
from consortia_node.store.database import open_database
from consortia_node.store.tables import models
from consortia_node.store.tasks import Pending, TaskStore
from consortia_proto.v1 import exchange_pb2 as pb

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(tmp_path / "node.db")
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: Engine, tmp_path: Path) -> TaskStore:
    return TaskStore(engine, tmp_path / "exchange", lambda: NOON, limit=1 << 20)


def task(task_id: str) -> pb.Task:
    return pb.Task(task_id=task_id, job_id=task_id.split("/", maxsplit=1)[0], step="echo")


def receive(store: TaskStore, task_id: str) -> bool:
    return store.receive(task(task_id), in_memory(task(task_id).SerializeToString()))


def said(task_id: str, data: bytes) -> Message:
    return Message(task_id, in_memory(data), task_id.split("/", maxsplit=1)[0])


def test_tasks_wait_in_the_order_in_which_they_came(store: TaskStore) -> None:
    for task_id in ("z/1", "a/2", "m/3"):
        assert receive(store, task_id)
    assert store.pending() == [Pending("z/1", "z"), Pending("a/2", "a"), Pending("m/3", "m")]
    assert store.task("a/2") == task("a/2")


def test_a_task_goes_from_received_to_delivered(store: TaskStore) -> None:
    receive(store, "job/1")
    assert store.unsent() is None
    store.answer(None, "job/1", in_memory(b"answer"))
    assert (store.pending(), store.unsent()) == ([], said("job/1", b"answer"))
    store.delivered(["job/1"])
    assert store.unsent() is None


def test_acknowledgements_that_waited_are_noted_with_a_task(store: TaskStore) -> None:
    for number in (1, 2):
        receive(store, f"job/{number}")
        store.answer(None, f"job/{number}", in_memory(b"answer"))
    third = task("job/3")
    assert store.receive(third, in_memory(third.SerializeToString()), ["job/1", "job/2"])
    assert store.unsent() is None


def test_the_first_answer_stands_and_is_sent_again_when_asked_again(store: TaskStore) -> None:
    assert receive(store, "job/1")
    assert not receive(store, "job/1")
    store.answer(None, "job/1", in_memory(b"first"))
    store.answer(None, "job/1", in_memory(b"second"))
    store.delivered(["job/1"])
    assert not receive(store, "job/1")
    assert store.unsent() == said("job/1", b"first")


def test_an_answer_is_part_of_the_handlers_own_transaction(store: TaskStore, engine: Engine) -> None:
    receive(store, "job/1")
    row = {"name": "m", "document": b"", "origin": "job"}

    def change(*, fail: bool) -> None:
        with engine.begin() as connection:
            connection.execute(insert(models).values(row))
            store.answer(connection, "job/1", in_memory(b"answer"))
            if fail:
                raise RuntimeError

    with pytest.raises(RuntimeError):
        change(fail=True)
    assert store.unsent() is None
    change(fail=False)
    assert store.unsent() == said("job/1", b"answer")


def test_what_can_not_be_kept_is_refused(store: TaskStore) -> None:
    with pytest.raises(StoreError, match="no such task"):
        store.answer(None, "job/1", in_memory(b"answer"))
    with pytest.raises(StoreError, match="no such task"):
        store.task("job/1")
    receive(store, "job/1")
    with pytest.raises(ExchangeError, match="at most 1048576"):
        store.sized(pb.Reply(task_id="x" * (1 << 20)))


def test_forgetting_a_job_keeps_what_is_still_owed(store: TaskStore) -> None:
    for task_id in ("job/1", "job/2", "other/1"):
        receive(store, task_id)
        store.answer(None, task_id, in_memory(b"answer"))
    store.delivered(["job/1"])
    store.delivered(["other/1"])
    store.forget("job")
    assert receive(store, "job/1")  # gone, so it would be new
    assert not receive(store, "job/2")
    assert not receive(store, "other/1")


def test_closing_waits_for_the_step_under_way_and_begins_no_other(store: TaskStore) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def handle(request: pb.Task) -> pb.Reply:
        begun.set()
        may_end.wait(10)
        return pb.Reply(failure=pb.Failure(code="failed"))

    dispatcher = Dispatcher(store, handle, threads=1, answered=lambda: None)
    for task_id in ("job/1", "job/2", "other/1"):
        receive(store, task_id)
        dispatcher.submit(Pending(task_id, task_id.split("/")[0]))
    assert begun.wait(5)
    assert not dispatcher.close(0.01)
    may_end.set()
    assert dispatcher.close(5)
    dispatcher.submit(Pending("job/2", "job"))
    assert [task.task_id for task in store.pending()] == ["job/2", "other/1"]


def test_an_answer_that_can_not_be_stored_leaves_the_task_pending(store: TaskStore) -> None:
    answered: list[str] = []
    dispatcher = Dispatcher(store, lambda _: pb.Reply(), threads=1, answered=lambda: answered.append("yes"))
    dispatcher.submit(Pending("never/received", "never"))
    assert dispatcher.close(5)
    assert answered == []


@given(attempt=st.integers(0, 10_000), chance=st.floats(0, 1, exclude_max=True))
def test_delays_grow_to_the_cap_and_are_spread(attempt: int, chance: float) -> None:
    delay = Backoff(first=0.5, most=30).delay(attempt, chance)
    whole = min(0.5 * 2 ** min(attempt, 10), 30)
    assert whole / 2 <= delay <= whole


@pytest.mark.parametrize("spoil", [lambda path: path.write_bytes(b"\0" * 100_000), Path.unlink])
def test_a_task_that_a_power_cut_has_damaged_is_not_there_and_may_come_again(
    spoil: Callable[[Path], object], store: TaskStore
) -> None:
    long = task("job/2")
    long.content.config["data"].blob = bytes(100_000)
    held = store.contents.make(long.SerializeToString())
    assert held.path
    receive(store, "job/1")
    assert store.receive(long, held)
    store.sweep()
    assert [pending.task_id for pending in store.pending()] == ["job/1", "job/2"]
    spoil(held.path)
    store.sweep()
    assert [pending.task_id for pending in store.pending()] == ["job/1"]
    assert not list(store.contents.folder.iterdir())
    assert store.receive(long, store.contents.make(long.SerializeToString()))
