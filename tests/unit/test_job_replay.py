"""A coordinator that is stopped in mid-job goes on where it was: the same tasks, nothing added or logged twice."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consortia_common import sealed
from consortia_common.content import Content
from consortia_common.errors import ExchangeError
from consortia_coordinator.errors import StoppingError
from consortia_coordinator.jobrun import PartiesRefusedError
from consortia_coordinator.jobs import JobState
from consortia_crypto.sum.coordinator import LatticeCoordinator
from consortia_crypto.sum.institution import LatticeInstitution
from consortia_proto.v1 import exchange_pb2 as pb
from tests.support.consortium import BANKS, spec
from tests.support.parties import LOGGED, Lab, lab

STATISTICS = spec("statistics")
STEPS = ("offer", "epoch.make", "epoch.join", "query.tabulate", "query.conclude", "close")


@pytest.fixture
def coordinator(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        yield made


def expected(job_id: str) -> list[str]:
    """The tasks of a statistics job in the order in which they are posted."""
    whom = {"epoch.make": BANKS[:1], "epoch.join": BANKS[1:]}
    return [f"{job_id}/{step}/0/{bank}" for step in STEPS for bank in whom.get(step, BANKS)]


@pytest.mark.parametrize("step", STEPS)
def test_stopped_while_it_waits_it_goes_on(coordinator: Lab, step: str) -> None:
    silent = "bank-a" if step == "epoch.make" else "bank-c"
    coordinator.says[step] = lambda task, party: None if party == silent else coordinator._usual(task, party)
    coordinator.connect(BANKS)
    job_id = coordinator.submit(STATISTICS)
    coordinator.conductor.start(job_id)
    coordinator.mailbox.close()
    coordinator.conductor.stop(10)
    assert coordinator.store.get(job_id).state in (JobState.OFFERED, JobState.RUNNING)
    done = list(coordinator.asked)
    coordinator.says.clear()
    coordinator.restart()
    coordinator.mailbox.listen(silent, lambda: None)
    assert coordinator.journalled()[: len(done)] == done
    _answer_late(coordinator, job_id, step, silent)
    coordinator.connect(BANKS)
    coordinator.conductor.stop(10)
    assert coordinator.store.get(job_id).state is JobState.FINISHED
    assert coordinator.journalled() == expected(job_id)
    assert [body["type"] for body in coordinator.events()][1:] == LOGGED


def _answer_late(coordinator: Lab, job_id: str, step: str, party: str) -> None:
    """What ``party`` was asked before the stop, it answers after it."""
    task_id = f"{job_id}/{step}/0/{party}"
    said = coordinator._usual(pb.Task(task_id=task_id, job_id=job_id, step=step), party)
    reply = pb.Reply(task_id=task_id, job_id=job_id, content=said.to_proto())
    if task_id in coordinator.journalled():
        coordinator.mailbox.receive(party, task_id, reply.SerializeToString())


def test_a_sum_is_added_once(coordinator: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[Any] = []
    add = LatticeCoordinator.add
    monkeypatch.setattr(LatticeCoordinator, "add", lambda self, uploads: added.append(1) or add(self, uploads))
    coordinator.connect(BANKS)
    job_id = coordinator.submit(STATISTICS)
    totals = []
    for _ in range(2):
        run = coordinator.run(job_id, STATISTICS)
        run.open_epoch()
        totals.append(run.add("table", run.ask_all("query.tabulate", Content())).to_bytes())
        coordinator.start()
        coordinator.connect(BANKS)
    assert totals[0] == totals[1]
    assert len(added) == len(coordinator.events("sum.added")) == 1
    total = sealed.from_content(Content.from_bytes(totals[0], "x"), "x")
    policy = sealed.policy_of(job_id, STATISTICS, "table", 0)
    opened = LatticeInstitution(policy, coordinator.secret).open(total)
    assert (opened == np.full(policy.length, 1 + 2 + 3)).all()


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
    coordinator.conductor.stop(10)
    assert len(coordinator.asked) == asked
    assert coordinator.store.unfinished() == []


def test_what_an_ended_job_left_in_transit_is_erased(coordinator: Lab) -> None:
    coordinator.connect(BANKS)
    job_id = coordinator.submit(STATISTICS)
    coordinator.conduct(job_id)
    up, down = coordinator.mailbox.traffic(job_id)
    assert min(up, down) > 0
    with coordinator.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM memos").scalar() == 0
        assert connection.exec_driver_sql("SELECT max(length(request)), max(length(reply)) FROM tasks").one() == (
            0,
            0,
        )


def test_a_stop_is_no_failure(coordinator: Lab) -> None:
    job_id = coordinator.submit(STATISTICS)
    coordinator.mailbox.close()
    coordinator.conduct(job_id)
    assert coordinator.store.get(job_id).state is JobState.OFFERED
    assert coordinator.events("job.failed") == []
    with pytest.raises(StoppingError):
        coordinator.run(job_id, STATISTICS).ask_all("close", Content())


def test_an_upload_that_is_no_ciphertext_is_logged_with_its_sender(coordinator: Lab) -> None:
    coordinator.connect(BANKS)
    job_id = coordinator.submit(STATISTICS)
    run = coordinator.run(job_id, STATISTICS)
    run.open_epoch()
    uploads = run.ask_all("query.tabulate", Content())
    uploads["bank-b"] = Content(config={"nothing": 1})
    with pytest.raises(ExchangeError):
        run.add("table", uploads)
    (entry,) = coordinator.events("ciphertext.refused")
    assert entry["detail"]["peer"] == "bank-b"
    assert coordinator.events("sum.added") == []


def test_progress_shows_until_the_end(coordinator: Lab) -> None:
    job_id = coordinator.submit(STATISTICS)
    run = coordinator.run(job_id, STATISTICS)
    run.progress("half way", 1, 2)
    status = coordinator.store.get(job_id).status((3, 4))
    assert (status.stage, status.steps_done, status.steps_total) == ("half way", 1, 2)
    assert (status.bytes_up, status.bytes_down) == (3, 4)


def test_several_parties_failures_are_one_error(coordinator: Lab) -> None:
    run = coordinator.run(coordinator.submit(STATISTICS), STATISTICS)
    ids = [run.post(bank, "query.tabulate", 0, Content()) for bank in BANKS]
    with pytest.raises(PartiesRefusedError) as late:
        run.collect(ids, 0.01)
    assert set(late.value.failures) == set(BANKS)
    assert not late.value.refused
