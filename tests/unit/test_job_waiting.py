"""A job that waits for officers: the coordinator is stopped meanwhile, and asks what it asked before."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from consortia_common.content import Content
from consortia_coordinator.approvals import WAITING_MS
from consortia_coordinator.jobs import JobState
from consortia_proto.v1 import exchange_pb2 as pb
from tests.support.parties import NOW_MS, Lab, lab
from tests.support.specs import BANKS, spec

HOUR_MS = 3_600_000
LATE = "refused because nobody approved it"


class Officers:
    """The officers of bank-b; ``until`` is when the bank stops waiting for them."""

    def __init__(self, coordinator: Lab, until: int) -> None:
        self.approved = False
        self.until = until
        self.asked = threading.Event()
        steps = {"offer": self._waits, "approval": self._waits, "approval.end": self._ends}
        coordinator.says.update(steps, **{"notice.approval": lambda task, party: Content()})

    def _waits(self, task: pb.Task, party: str) -> Content:
        waits = party == "bank-b" and not self.approved
        if waits and task.step == "approval":
            self.asked.set()
        return Content(config={WAITING_MS: self.until if waits else 0})

    def _ends(self, task: pb.Task, party: str) -> pb.Failure:
        return pb.Failure(code="refused", clause="approvals", what=LATE, blame="nobody", remedy="submit it again")

    def approve(self, coordinator: Lab, job_id: str) -> None:
        """As the relay does: the notice is queued, then whoever waits is told."""
        self.approved = True
        task = pb.Task(task_id="notice/1/0/bank-b", job_id=job_id, step="notice.approval")
        coordinator.mailbox.post([(task, "bank-b", None)])
        coordinator.mailbox.wake()


@pytest.fixture
def coordinator(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        yield made


def waiting(coordinator: Lab, officers: Officers) -> str:
    """A job that waits for the officers of bank-b."""
    coordinator.connect(BANKS)
    job_id = coordinator.submit(spec("statistics"))
    coordinator.conductor.start(job_id)
    assert officers.asked.wait(30)
    return job_id


def approvals(coordinator: Lab) -> list[str]:
    return [task_id.split("/", maxsplit=1)[1] for task_id in coordinator.journalled() if "/approval" in task_id]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_coordinator_that_was_stopped_goes_on_waiting(coordinator: Lab, when: str) -> None:
    officers = Officers(coordinator, NOW_MS + HOUR_MS)
    job_id = waiting(coordinator, officers)
    coordinator.mailbox.close()
    coordinator.wait()
    assert coordinator.store.get(job_id).state is JobState.OFFERED
    if when == "before":  # it crashed between queueing the notice and telling who waits
        officers.approve(coordinator, job_id)
    coordinator.restart()
    coordinator.connect(BANKS)
    if when == "after":
        officers.approve(coordinator, job_id)
    coordinator.wait()
    assert coordinator.store.get(job_id).state is JobState.FINISHED, coordinator.store.get(job_id).stage
    assert approvals(coordinator) == ["approval/0/bank-b", "approval/1/bank-b"]
    assert len([body for body in coordinator.events("job.decided") if body["decision"] == "accept"]) == len(BANKS)


def test_one_whose_officers_time_went_by_meanwhile_is_refused(coordinator: Lab) -> None:
    officers = Officers(coordinator, NOW_MS + HOUR_MS)
    job_id = waiting(coordinator, officers)
    coordinator.mailbox.close()
    coordinator.wait()
    coordinator.now_ms = NOW_MS + 2 * HOUR_MS
    coordinator.restart()
    coordinator.connect(BANKS)
    coordinator.wait()
    assert coordinator.store.get(job_id).state is JobState.REFUSED
    assert approvals(coordinator) == ["approval/0/bank-b", "approval.end/0/bank-b"]


@pytest.mark.parametrize(("step", "factor"), [("epoch.key", 2), ("sum.share", 2), ("close", 0)])
def test_every_step_has_a_time_after_which_it_is_not_begun(coordinator: Lab, step: str, factor: int) -> None:
    """Twice a step's time, since one may be asked behind another; a job's end is never too late."""
    job_id = coordinator.submit(spec("statistics"))
    coordinator.run(job_id, spec("statistics")).post(step, 0, {"bank-a": Content()})
    queued = coordinator.mailbox.outgoing("bank-a")
    assert queued is not None
    expected = NOW_MS + factor * int(coordinator.tools.step_timeout * 1000) if factor else 0
    assert pb.Task.FromString(queued.content.head()).deadline_ms == expected
