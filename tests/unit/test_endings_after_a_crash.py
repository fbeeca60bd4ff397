"""What failed on the log but could not be stored stays failed; what can't be stored ends the process."""

import asyncio
import errno
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from consortia_common.audit_disk import Disk
from consortia_common.audit_endings import NEWEST, given_up
from consortia_common.audit_log import AuditLog
from consortia_common.errors import LogStorageError
from consortia_common.failstop import FailStop, first
from consortia_coordinator.conductor import Conductor
from consortia_coordinator.jobs import JobState
from consortia_crypto.errors import ConsortiaError
from consortia_crypto.keys import PrivateIdentity
from tests.support.parties import ANALYST, NOW_MS, Lab, lab
from tests.support.specs import BANKS, spec

OWNER = PrivateIdentity.generate("demo", "bank-a", "node", "n1")
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
FAILURE = LogStorageError("no room", blame="the disk", remedy="free it")


class FullDisk(Disk):
    """Has room until ``is_full``."""

    is_full = False

    def write(self, descriptor: int, data: bytes) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(descriptor, data)


@pytest.fixture
def coordinator(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        yield made


def opened(folder: Path, disk: Disk | None = None) -> AuditLog:
    return AuditLog.open(folder, OWNER, "bank-a", lambda: NOW, disk=disk or Disk())


def test_a_log_tells_which_of_the_jobs_it_gave_up_and_why(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        for job in ("job-1", "job-2"):
            log.append("job.failed", job=job, reason=f"{job} broke", step="train")
        found = given_up(log, {"job-2", "job-3"})
        assert {job: body["reason"] for job, body in found.items()} == {"job-2": "job-2 broke"}
        assert given_up(log, ()) == {}


def test_only_the_newest_entries_are_looked_at(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        log.append("job.failed", job="job-1", reason="long ago")
        log.append_many([("peer.connected", {"peer": "bank-b"})] * NEWEST)
        assert given_up(log, {"job-1"}) == {}


@pytest.mark.parametrize("append", [True, False])
def test_a_log_that_fails_to_write_says_so_to_whoever_ends_the_process(tmp_path: Path, append: bool) -> None:
    disk, told = FullDisk(), list[ConsortiaError]()
    log = opened(tmp_path, disk)
    log.on_failure(told.append)
    log.append("peer.connected", peer="bank-b")
    assert told == []
    disk.is_full = True
    with pytest.raises(LogStorageError, match="can't be stored") as caught:
        log.append("peer.connected", peer="bank-c") if append else log.checkpoint()
    assert [error.what for error in told] == [caught.value.what]
    with pytest.raises(LogStorageError, match="an earlier write failed"):
        log.append("peer.connected", peer="bank-c")
    assert len(told) == 1
    log.close()


async def test_the_first_failure_ends_the_process_and_is_what_it_says() -> None:
    stopping, failstop = asyncio.Event(), FailStop()
    failstop.check()
    await asyncio.to_thread(failstop, FAILURE)
    await asyncio.to_thread(failstop, LogStorageError("later", blame="it", remedy="nothing"))
    await asyncio.wait_for(first(stopping, failstop.failed), 5)
    with pytest.raises(LogStorageError, match="no room"):
        failstop.check()


async def test_being_told_to_stop_is_no_failure() -> None:
    stopping, failstop = asyncio.Event(), FailStop()
    stopping.set()
    await asyncio.wait_for(first(stopping, failstop.failed), 5)
    failstop.check()


def test_a_job_that_the_coordinators_log_gave_up_does_not_go_on(coordinator: Lab) -> None:
    job_id = coordinator.submit(spec("statistics"))
    coordinator.log.append("job.failed", job=job_id, reason="bank-b broke", institution="bank-b")
    coordinator.connect(BANKS)
    coordinator.conductor.resume()
    coordinator.conductor.stop(10)
    stored = coordinator.store.get(job_id)
    assert stored.state is JobState.FAILED
    assert stored.stage.startswith("bank-b: bank-b broke")
    assert [task.rsplit("/", 3)[1] for task in coordinator.asked] == ["close"] * 3


def test_a_job_whose_end_can_not_be_stored_is_told_and_taken_up_again(
    coordinator: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[ConsortiaError] = []
    job_id = coordinator.submit(spec("statistics"))
    coordinator.conductor = Conductor(coordinator.tools, lambda: [ANALYST.public], lambda: NOW_MS, told.append)
    with monkeypatch.context() as broken:
        broken.setattr(coordinator.mailbox, "post", _no_room)
        coordinator.conduct(job_id)
    assert [error.what for error in told] == [f"how {job_id} ended could not be stored"]
    assert coordinator.events("job.failed") == []
    coordinator.restart()
    coordinator.connect(BANKS)
    coordinator.conductor.stop(10)
    assert coordinator.store.get(job_id).state is JobState.FINISHED


def _no_room(*_: object) -> None:
    raise OperationalError("INSERT", {}, OSError(errno.ENOSPC, "database or disk is full"))
