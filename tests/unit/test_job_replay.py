"""A coordinator that is stopped in mid-job goes on where it was: the same tasks, nothing added or logged twice."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consortia_common import sealed
from consortia_common.content import Content
from consortia_coordinator.errors import CoordinatorError, PartiesRefusedError, StoppingError
from consortia_coordinator.jobs import JobState
from consortia_coordinator.totals import MemoryTotals
from consortia_crypto.sum.wire import wire_layout
from consortia_proto.v1 import exchange_pb2 as pb
from tests.support.parties import LOGGED, Lab, lab
from tests.support.specs import BANKS, spec

STATISTICS = spec("statistics")
STEPS = (
    *("offer", "epoch.key", "epoch.seed", "epoch.join", "epoch.confirm"),
    *("sum.share", "query.tabulate", "sum.sign", "query.conclude", "close"),
)


@pytest.fixture
def coordinator(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        yield made


LENGTH = wire_layout(sealed.policy_of("job-1", STATISTICS, "table", 0)).size
"""Bytes of a party's sealed table."""


def task_of(job_id: str, step: str, bank: str) -> str:
    mark = ".table.1" if step.startswith("sum.") else ""
    return f"{job_id}/{step}{mark}/0/{bank}"


def expected(job_id: str) -> list[str]:
    """The tasks of a statistics job in the order in which they are posted."""
    return [task_of(job_id, step, bank) for step in STEPS for bank in BANKS]


@pytest.mark.parametrize("step", STEPS)
def test_stopped_while_it_waits_it_goes_on(coordinator: Lab, step: str) -> None:
    asked = threading.Event()

    def keep_silent(task: pb.Task, party: str) -> Content | None:
        if party == "bank-c":
            asked.set()
        return None if party == "bank-c" else coordinator.usual(task, party)

    coordinator.says[step] = keep_silent
    coordinator.connect(BANKS)
    job_id = coordinator.submit(STATISTICS)
    coordinator.conductor.start(job_id)
    assert asked.wait(10)
    coordinator.mailbox.close()
    coordinator.wait()
    assert coordinator.store.get(job_id).state in (JobState.OFFERED, JobState.RUNNING)
    done = list(coordinator.asked)
    coordinator.says.clear()
    coordinator.restart()
    assert coordinator.journalled()[: len(done)] == done
    coordinator.answer_late()
    coordinator.connect(BANKS)
    coordinator.wait()
    assert coordinator.store.get(job_id).state is JobState.FINISHED, coordinator.store.get(job_id).stage
    assert coordinator.journalled() == expected(job_id)
    assert [body["type"] for body in coordinator.events()][1:] == LOGGED


def test_a_sum_is_added_once(coordinator: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[str] = []
    add = MemoryTotals.add
    monkeypatch.setattr(MemoryTotals, "add", lambda self, sender: added.append(sender) or add(self, sender))
    coordinator.connect(BANKS)
    job_id = coordinator.submit(STATISTICS)
    for _ in range(2):
        run = coordinator.run(job_id, STATISTICS)
        run.open_epoch()
        run.sum("table", "query.tabulate")
        run.conclude()
        coordinator.start()
        coordinator.connect(BANKS)
    assert added == list(BANKS)
    assert len(coordinator.events("sum.added")) == 1
    for bank in BANKS:
        opened = coordinator.institution(job_id, bank).opened["table", 0]
        assert (opened == np.full(len(opened), 1 + 2 + 3)).all()


def test_a_sum_whose_end_a_power_cut_took_is_added_again_to_the_same_total(coordinator: Lab) -> None:
    coordinator.connect(BANKS)
    job_id = coordinator.submit(STATISTICS)
    given: list[bytes | None] = []
    for _ in range(2):
        run = coordinator.run(job_id, STATISTICS)
        run.open_epoch()
        run.sum("table", "query.tabulate")
        assert coordinator.store.memo(job_id, "table.0.1/given") is None  # it rides with the next step
        run.conclude()
        given.append(coordinator.store.memo(job_id, "table.0.1/given"))
        with coordinator.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM memos WHERE name = 'table.0.1/given'")
        coordinator.start()
        coordinator.connect(BANKS)
    assert given[0] == given[1] is not None
    assert len(coordinator.events("sum.added")) == 1
    assert len(coordinator.journalled()) == len(set(coordinator.journalled()))


def test_a_kind_that_takes_no_step_behind_its_last_sum_fails(coordinator: Lab) -> None:
    coordinator.connect(BANKS)
    run = coordinator.run(coordinator.submit(STATISTICS), STATISTICS)
    run.open_epoch()
    run.sum("table", "query.tabulate")
    with pytest.raises(CoordinatorError, match="the total of table was given to nobody"):
        run.close()


def test_an_answer_that_was_there_is_not_asked_for_again(coordinator: Lab) -> None:
    coordinator.connect(BANKS)
    job_id = coordinator.submit(STATISTICS)
    first = coordinator.run(job_id, STATISTICS).ask_all("offer", Content(config={"n": 1}))
    coordinator.start()
    again = coordinator.run(job_id, STATISTICS).ask_all("offer", Content(config={"n": 2}))
    assert first.keys() == again.keys() == set(BANKS)
    assert len(coordinator.asked) == len(BANKS)


def test_ended_jobs_are_not_taken_up_again(coordinator: Lab) -> None:
    coordinator.connect(BANKS)
    job_id = coordinator.submit(STATISTICS)
    coordinator.conduct(job_id)
    asked = len(coordinator.asked)
    coordinator.restart()
    coordinator.wait()
    assert len(coordinator.asked) == asked
    assert coordinator.store.unfinished() == []


def test_what_an_ended_job_left_in_transit_is_erased(coordinator: Lab) -> None:
    coordinator.connect(BANKS)
    job_id = coordinator.submit(STATISTICS)
    coordinator.conduct(job_id)
    stored = coordinator.store.get(job_id)
    assert min(stored.bytes_up, stored.bytes_down) > 0
    with coordinator.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM memos").scalar() == 0
        assert connection.exec_driver_sql("SELECT count(*) FROM contents").scalar() == 0


def test_a_stop_is_no_failure(coordinator: Lab) -> None:
    job_id = coordinator.submit(STATISTICS)
    coordinator.mailbox.close()
    coordinator.conduct(job_id)
    assert coordinator.store.get(job_id).state is JobState.OFFERED
    assert coordinator.events("job.failed") == []
    with pytest.raises(StoppingError):
        coordinator.run(job_id, STATISTICS).ask_all("close", Content())


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"message": b"no message"}, "message"),
        ({"frames": [b"short"]}, "frame 0 has 5 bytes"),
        ({"frames": []}, "ended after 0 of 1 frames"),
        ({"frames": [bytes(LENGTH)] * 2}, "frame 1 came where 1 of 1 was due"),
        ({"frames": [bytes(LENGTH)]}, "not the one that it signed"),
    ],
)
def test_an_upload_that_is_none_is_logged_with_its_sender(coordinator: Lab, said: dict[str, Any], why: str) -> None:
    def lie(task: pb.Task, party: str) -> Content:
        honest = coordinator.usual(task, party)
        lies = sealed.riding(sealed.BEHIND, said)
        return Content(config={**honest.config, **lies}) if party == "bank-b" else honest

    coordinator.says["query.tabulate"] = lie
    coordinator.connect(BANKS)
    job_id = coordinator.submit(STATISTICS)
    run = coordinator.run(job_id, STATISTICS)
    run.open_epoch()
    with pytest.raises(PartiesRefusedError):
        run.sum("table", "query.tabulate")
    (entry,) = coordinator.events("ciphertext.refused")
    assert entry["detail"] == {"peer": "bank-b", "step": "sum.upload"}
    assert why in str(entry["reason"])
    assert coordinator.events("sum.added") == []


def test_progress_shows_until_the_end(coordinator: Lab) -> None:
    job_id = coordinator.submit(STATISTICS)
    run = coordinator.run(job_id, STATISTICS)
    run.progress("half way", 1, 2)
    status = coordinator.store.get(job_id).status()
    assert (status.stage, status.steps_done, status.steps_total) == ("half way", 1, 2)
    assert (status.bytes_up, status.bytes_down) == (0, 0)


def test_several_parties_failures_are_one_error(coordinator: Lab) -> None:
    run = coordinator.run(coordinator.submit(STATISTICS), STATISTICS)
    ids = list(run.post("query.tabulate", 0, dict.fromkeys(BANKS, Content())).values())
    with pytest.raises(PartiesRefusedError) as late:
        run.collect(ids, 0.01)
    assert set(late.value.failures) == set(BANKS)
    assert not late.value.refused
