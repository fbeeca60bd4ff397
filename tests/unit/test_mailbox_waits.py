"""The mailbox: journalled once, answered once, by whom it was asked; waits end when they should."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from consortia_common.contents import Contents, Message, in_memory
from consortia_common.errors import ExchangeError
from consortia_coordinator.errors import StoppingError
from consortia_coordinator.mailbox import Mailbox
from consortia_coordinator.store.database import open_database
from consortia_coordinator.store.tables import contents
from consortia_proto.v1 import content_pb2
from consortia_proto.v1 import exchange_pb2 as pb
from tests.support.carried import carried


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(tmp_path / "coordinator.db")
    yield engine
    engine.dispose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "exchange"


@pytest.fixture
def mailbox(engine: Engine, folder: Path) -> Mailbox:
    return Mailbox(engine, folder)


def task(task_id: str, step: str = "echo") -> pb.Task:
    return pb.Task(task_id=task_id, job_id=task_id.split("/", maxsplit=1)[0], step=step)


def reply(task_id: str, what: str = "no") -> bytes:
    failure = pb.Failure(code="refused", what=what)
    return pb.Reply(task_id=task_id, job_id=task_id.split("/", maxsplit=1)[0], failure=failure).SerializeToString()


def answer(task_id: str) -> bytes:
    return pb.Reply(
        task_id=task_id, job_id=task_id.split("/", maxsplit=1)[0], content=content_pb2.Content()
    ).SerializeToString()


def next_id(mailbox: Mailbox) -> str:
    waiting = mailbox.outgoing("bank-a")
    return waiting.message_id if waiting else ""


def came(task_id: str, data: bytes) -> Message:
    return Message(task_id, in_memory(data))


def in_thread(call: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Run ``call`` elsewhere; its result, or the error that ended it, is put into the list."""
    results: list[object] = []

    def work() -> None:
        try:
            results.append(call())
        except StoppingError as error:
            results.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, results


def test_tasks_go_out_in_the_order_in_which_they_were_posted(mailbox: Mailbox) -> None:
    for task_id in ("z/1", "a/2", "m/3"):
        mailbox.post([(task(task_id), "bank-a", None)])
    seen = []
    while waiting := mailbox.outgoing("bank-a"):
        seen.append(waiting.message_id)
        mailbox.delivered("bank-a", {waiting.message_id: waiting.content.total})
    assert seen == ["z/1", "a/2", "m/3"]
    assert mailbox.outgoing("bank-b") is None


def test_a_task_posted_twice_is_one_task_and_the_first_stands(mailbox: Mailbox) -> None:
    mailbox.post([(task("job/1", "first"), "bank-a", None)])
    mailbox.post([(task("job/1", "second"), "bank-a", None)])
    waiting = mailbox.outgoing("bank-a")
    assert waiting is not None
    assert pb.Task.FromString(waiting.content.head()).step == "first"
    mailbox.delivered("bank-a", {"job/1": waiting.content.total})
    assert mailbox.outgoing("bank-a") is None


def test_a_task_too_large_to_travel_is_not_posted(engine: Engine, folder: Path) -> None:
    with pytest.raises(ExchangeError, match="was not sent"):
        Mailbox(engine, folder, limit=10).post([(task("job/1", "a long step"), "bank-a", None)])


def test_what_is_not_acknowledged_survives_a_restart(engine: Engine, folder: Path) -> None:
    Mailbox(engine, folder).post([(task("job/1"), "bank-a", None)])
    again = Mailbox(engine, folder)
    assert next_id(again) == "job/1"
    again.receive("bank-a", came("job/1", reply("job/1")))
    assert Mailbox(engine, folder).replies(["job/1"], 0)["job/1"].failure.what == "no"
    assert Mailbox(engine, folder).outgoing("bank-a") is None


def test_an_acknowledgement_after_the_reply_changes_nothing(engine: Engine, mailbox: Mailbox) -> None:
    mailbox.post([(task("job/1"), "bank-a", None)])
    mailbox.receive("bank-a", came("job/1", reply("job/1")))
    mailbox.delivered("bank-a", {"job/1": 7})
    assert mailbox.replies(["job/1"], 0)
    assert carried(engine, "job") == (len(reply("job/1")), 7)


def test_acknowledgements_that_waited_are_noted_with_a_reply(engine: Engine, mailbox: Mailbox) -> None:
    mailbox.post([(task(f"job/{number}"), "bank-a", None) for number in (1, 2, 3)])
    mailbox.receive("bank-a", came("job/1", reply("job/1")), {"job/1": 7, "job/2": 5})
    assert (next_id(mailbox), carried(engine, "job")) == ("job/3", (len(reply("job/1")), 12))
    with pytest.raises(ExchangeError, match="was not given"):
        mailbox.receive("bank-a", came("job/9", reply("job/9")), {"job/3": 4})
    assert (mailbox.outgoing("bank-a"), carried(engine, "job")[1]) == (None, 16)


def test_only_the_first_reply_counts_but_all_bytes_do(engine: Engine, mailbox: Mailbox) -> None:
    mailbox.post([(task("job/1"), "bank-a", None)])
    mailbox.receive("bank-a", came("job/1", reply("job/1", "first")))
    mailbox.receive("bank-a", came("job/1", reply("job/1", "other")))
    assert mailbox.replies(["job/1"], 0)["job/1"].failure.what == "first"
    assert carried(engine, "job")[0] == 2 * len(reply("job/1", "first"))


@pytest.mark.parametrize(("institution", "task_id"), [("bank-b", "job/1"), ("bank-a", "job/2")])
def test_a_reply_from_whom_it_was_not_asked_is_refused(institution: str, task_id: str, mailbox: Mailbox) -> None:
    mailbox.post([(task("job/1"), "bank-a", None)])
    with pytest.raises(ExchangeError, match="was not given") as caught:
        mailbox.receive(institution, came(task_id, reply(task_id)))
    assert caught.value.blame == institution
    assert mailbox.replies(["job/1"], 0) == {}


@pytest.mark.parametrize("data", [b"\xff", reply("job/2"), reply("other/1"), b""])
def test_a_reply_that_is_none_becomes_a_failure(data: bytes, mailbox: Mailbox) -> None:
    mailbox.post([(task("job/1"), "bank-a", None)])
    with pytest.raises(ExchangeError, match="bank-a"):
        mailbox.receive("bank-a", came("job/1", data))
    kept = mailbox.replies(["job/1"], 0)["job/1"]
    assert (kept.task_id, kept.failure.code, kept.failure.blame) == ("job/1", "failed", "bank-a")


def test_a_wait_ends_when_the_last_reply_is_there(mailbox: Mailbox) -> None:
    for task_id in ("job/1", "job/2"):
        mailbox.post([(task(task_id), "bank-a", None)])
    thread, results = in_thread(lambda: sorted(mailbox.replies(["job/1", "job/2", "job/1"], 10)))
    mailbox.receive("bank-a", came("job/1", answer("job/1")))
    assert results == []
    mailbox.receive("bank-a", came("job/2", answer("job/2")))
    thread.join(5)
    assert results == [["job/1", "job/2"]]


def test_a_wait_ends_when_one_reply_is_a_failure(mailbox: Mailbox) -> None:
    for task_id in ("job/1", "job/2"):
        mailbox.post([(task(task_id), "bank-a", None)])
    thread, results = in_thread(lambda: sorted(mailbox.replies(["job/1", "job/2"], 10)))
    mailbox.receive("bank-a", came("job/2", reply("job/2")))
    thread.join(5)
    assert results == [["job/2"]]


def test_a_wait_for_every_reply_goes_on_after_a_failure(mailbox: Mailbox) -> None:
    for task_id in ("job/1", "job/2"):
        mailbox.post([(task(task_id), "bank-a", None)])
    thread, results = in_thread(lambda: sorted(mailbox.replies(["job/1", "job/2"], 10, every=True)))
    mailbox.receive("bank-a", came("job/2", reply("job/2")))
    assert results == []
    mailbox.receive("bank-a", came("job/1", answer("job/1")))
    thread.join(5)
    assert results == [["job/1", "job/2"]]


def test_a_timeout_returns_what_is_there(engine: Engine, folder: Path) -> None:
    seconds = iter([0.0, 0.5, 1.5])
    mailbox = Mailbox(engine, folder, clock=lambda: next(seconds))
    mailbox.post([(task("job/1"), "bank-a", None)])
    mailbox.receive("bank-a", came("job/1", reply("job/1")))
    waiting = threading.Timer(0.05, mailbox.wake)
    waiting.start()
    assert list(mailbox.replies(["job/1", "job/2"], 1.0)) == ["job/1"]
    waiting.join()


def test_closing_ends_every_wait_now_and_later(mailbox: Mailbox) -> None:
    mailbox.post([(task("job/1"), "bank-a", None)])
    thread, results = in_thread(lambda: mailbox.replies(["job/1"], None))
    mailbox.close()
    thread.join(5)
    assert [type(result) for result in results] == [StoppingError]
    with pytest.raises(StoppingError):
        mailbox.replies(["job/1"], 0)


def test_one_job_can_be_stopped_alone(mailbox: Mailbox) -> None:
    cancelled = threading.Event()
    mailbox.post([(task("job/1"), "bank-a", None)])
    stopped, stopped_with = in_thread(lambda: mailbox.replies(["job/1"], None, cancelled.is_set))
    other, other_with = in_thread(lambda: list(mailbox.replies(["job/1"], None)))
    cancelled.set()
    mailbox.wake()
    stopped.join(5)
    assert [type(result) for result in stopped_with] == [StoppingError]
    assert other_with == []
    mailbox.receive("bank-a", came("job/1", reply("job/1")))
    other.join(5)
    assert other_with == [["job/1"]]


def test_a_new_task_wakes_the_stream_of_its_institution_only(mailbox: Mailbox) -> None:
    woken: list[str] = []
    stop_a = mailbox.listen("bank-a", lambda: woken.append("a"))
    mailbox.listen("bank-b", lambda: woken.append("b"))
    mailbox.post([(task("job/1"), "bank-a", None)])
    mailbox.post([(task("job/1"), "bank-a", None)])
    assert woken == ["a"]
    stop_a()
    mailbox.post([(task("job/2"), "bank-a", None)])
    mailbox.post([(task("job/3"), "bank-b", None)])
    assert woken == ["a", "b"]


def test_an_erased_job_keeps_its_unanswered_tasks_and_no_answered_content(mailbox: Mailbox) -> None:
    for task_id in ("job/1", "job/2"):
        mailbox.post([(task(task_id), "bank-a", None)])
    mailbox.receive("bank-a", came("job/1", reply("job/1")))
    mailbox.erase("job")
    assert next_id(mailbox) == "job/2"
    assert mailbox.replies(["job/1"], 0)["job/1"] == pb.Reply()


def test_a_wait_asks_the_journal_once_however_many_replies_come(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [f"job/echo/{turn}/bank-a" for turn in range(20)]
    mailbox.post([(task(task_id), "bank-a", None) for task_id in ids])
    asked: list[int] = []
    answered = mailbox._journal.answered

    def counted(wanted: tuple[str, ...]) -> dict[str, str]:
        asked.append(len(wanted))
        return answered(wanted)

    monkeypatch.setattr(mailbox._journal, "answered", counted)
    thread, got = in_thread(lambda: sorted(mailbox.replies(ids, 20)))
    for task_id in ids:
        mailbox.receive("bank-a", came(task_id, answer(task_id)))
    thread.join(20)
    assert got == [sorted(ids)]
    assert asked == [20]
    assert mailbox._waiting == []


ROUND = "job/sum.upload.update.1/1/bank-a"
TRAIN = "job/train/1/bank-a"


@pytest.mark.parametrize(("task_id", "asked_again"), [(ROUND, True), (TRAIN, True), ("job/offer/0/bank-a", False)])
def test_a_reply_that_a_power_cut_has_damaged_is_asked_for_again_where_it_is_surely_the_same(
    task_id: str, asked_again: bool, engine: Engine, folder: Path
) -> None:
    said = pb.Reply(task_id=task_id, job_id="job")
    said.content.config["frames"].blob = bytes(100_000)
    before = Mailbox(engine, folder)
    before.post([(task(task_id), "bank-a", None)])
    held = Contents(contents, folder).make(said.SerializeToString())
    before.receive("bank-a", Message(task_id, held))
    before.resume()
    assert before.outgoing("bank-a") is None
    assert held.path
    held.path.write_bytes(bytes(100_000))
    before.resume()
    assert (before.outgoing("bank-a") is not None) == asked_again
    if asked_again:
        before.receive("bank-a", Message(task_id, Contents(contents, folder).make(said.SerializeToString())))
        assert before.replies([task_id], 0) == {task_id: said}


def test_a_node_that_was_started_anew_is_asked_again_what_it_had_not_answered(mailbox: Mailbox) -> None:
    for number, institution in ((1, "bank-a"), (2, "bank-a"), (3, "bank-b")):
        mailbox.post([(task(f"job/{number}"), institution, None)])
        mailbox.delivered(institution, {f"job/{number}": 1})
    mailbox.receive("bank-a", came("job/1", answer("job/1")))
    mailbox.repeat("bank-a")
    assert next_id(mailbox) == "job/2"
    assert mailbox.outgoing("bank-b") is None
