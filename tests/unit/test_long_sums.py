"""Sums at the coordinator: vectors of several batches, parties that are late, restarts on the way.

The parties answer at once (tests/support/parties.py), as honest nodes do unless told otherwise.
"""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update

from consortia_common import sealed
from consortia_common.content import Content, HashedBlobs
from consortia_common.documents.jobspec import JobSpec
from consortia_common.documents.kinds import SumShape, statistics
from consortia_coordinator.jobs import JobState
from consortia_coordinator.store.tables import tasks
from consortia_coordinator.store.tasks import QUEUED
from consortia_coordinator.totals import FileTotals
from consortia_crypto.sum.vector import FRAME_BYTES
from consortia_crypto.sum.wire import wire_layout
from consortia_proto.v1 import exchange_pb2 as pb
from consortia_proto.v1 import network_pb2
from tests.support.parties import Lab, lab
from tests.support.specs import spec

FIVE = ("bank-a", "bank-b", "bank-c", "bank-d", "bank-e")
STATISTICS = spec("statistics", parties=FIVE)
BATCH = 2
"""Fewer frames to a batch than there are, which takes a quarter of the time."""
ELEMENTS = BATCH * FRAME_BYTES // 8 + 1000
"""Of 64 bits: two batches, the second of which is short."""


@pytest.fixture
def coordinator(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path, step_timeout=20, dropout_timeout=0.3) as made:
        yield made


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> JobSpec:
    """Statistics whose table has two batches."""
    shape = SumShape(word_bits=64, length=ELEMENTS)
    monkeypatch.setattr(statistics.Parameters, "sums", lambda self: {"table": shape})
    monkeypatch.setattr(sealed, "BATCH", BATCH)
    made = spec("statistics", parties=FIVE)
    assert wire_layout(sealed.policy_of("job-1", made, "table", 0)).frames == BATCH + 1
    return made


def require_opened(coordinator: Lab, job_id: str, contributors: int, *banks: str) -> None:
    """The job is finished, and these banks opened the sum of what the first ``contributors`` added."""
    assert coordinator.store.get(job_id).state is JobState.FINISHED, coordinator.store.get(job_id).stage
    for bank in banks:
        opened = coordinator.institution(job_id, bank).opened["table", 0]
        assert (opened == np.sum(np.arange(1, contributors + 1))).all()


def left(coordinator: Lab) -> list[Path]:
    return [path for path in coordinator.folder.rglob("*") if path.is_file()]


def test_a_vector_of_several_batches(coordinator: Lab, long: JobSpec) -> None:
    coordinator.connect(FIVE)
    job_id = coordinator.submit(long)
    coordinator.conduct(job_id)
    require_opened(coordinator, job_id, 5, *FIVE)
    asked = [task_id.split("/")[1] for task_id in coordinator.asked if task_id.endswith("bank-c")]
    assert [step for step in asked if "frame" in step] == [f"sum.frame.table.1.{BATCH}"]
    assert [step for step in asked if "total" in step] == ["sum.total.table.1.0"]
    assert left(coordinator) == []


def test_never_more_than_one_upload_and_two_totals_are_kept(
    coordinator: Lab, long: JobSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, sizes = FileTotals.add, []

    def add(self: FileTotals, sender: str) -> None:
        honest(self, sender)
        sizes.append(sum(path.stat().st_size for path in left(coordinator)))

    monkeypatch.setattr(FileTotals, "add", add)
    coordinator.connect(FIVE)
    coordinator.conduct(coordinator.submit(long))
    assert len(sizes) == 5
    assert max(sizes) <= 3 * 8 * ELEMENTS


def test_what_goes_to_all_is_written_once_whatever_else_each_is_told(coordinator: Lab) -> None:
    total = HashedBlobs([bytes(FRAME_BYTES), bytes(1000)], "ab" * 32)
    asked = {bank: Content(config={"before.frames": total, "behind.message": bank.encode()}) for bank in FIVE}
    other = {"bank-e": Content(config={"before.frames": [bytes(FRAME_BYTES), bytes(999)]})}
    coordinator.run("job-1", STATISTICS).post("train", 1, asked | other)
    kept = [path.stat() for path in left(coordinator)]
    assert sorted((file.st_nlink, file.st_size - FRAME_BYTES) for file in kept) == [(1, 999)] + [(4, 1000)] * 4
    assert len({file.st_ino for file in kept}) == 2


@pytest.mark.parametrize("mark", ["sum.frame.table.1", "sum.total.table.1.0", "query.conclude"])
def test_stopped_in_the_middle_of_a_long_vector_it_goes_on(mark: str, long: JobSpec, tmp_path: Path) -> None:
    with lab(tmp_path, step_timeout=20, dropout_timeout=20) as coordinator:
        asked = threading.Event()

        def keep_silent(task: pb.Task, party: str) -> Content | None:
            if party == "bank-c" and mark in task.task_id:
                asked.set()
                return None
            return coordinator.usual(task, party)

        coordinator.says[mark.split(".table", maxsplit=1)[0]] = keep_silent
        coordinator.connect(FIVE)
        job_id = coordinator.submit(long)
        coordinator.conductor.start(job_id)
        assert asked.wait(20)
        coordinator.mailbox.close()
        coordinator.wait()
        coordinator.says.clear()
        coordinator.restart()
        coordinator.answer_late()
        coordinator.connect(FIVE)
        coordinator.wait()
        require_opened(coordinator, job_id, 5, *FIVE)
        assert len(coordinator.events("sum.added")) == 1
        assert coordinator.events("sum.dropped") == []


def test_too_many_that_are_late_are_in_another_attempt(tmp_path: Path) -> None:
    with lab(tmp_path, step_timeout=1, dropout_timeout=0.3) as coordinator:

        def late(task: pb.Task, party: str) -> Content | None:
            said = coordinator.usual(task, party)
            return None if party in FIVE[3:] else said

        coordinator.says["query.tabulate"] = late
        coordinator.connect(FIVE)
        job_id = coordinator.submit(STATISTICS)
        coordinator.conduct(job_id)
        require_opened(coordinator, job_id, 5, *FIVE)
        assert any("sum.upload.table.2" in task_id for task_id in coordinator.asked)
        assert not any("sum.sign.table.1" in task_id for task_id in coordinator.asked)


def after_a_power_cut(coordinator: Lab, gone: str, silent: str) -> str:
    """A job whose coordinator has lost what bank-e had said to ``gone`` while it waited for ``silent``.

    It goes on without bank-e, which is away.
    """
    asked = threading.Event()
    coordinator.says[silent] = lambda task, party: asked.set() if party == "bank-a" else None
    coordinator.connect(FIVE)
    job_id = coordinator.submit(STATISTICS)
    coordinator.conductor.start(job_id)
    assert asked.wait(20)
    coordinator.mailbox.close()
    coordinator.wait()
    with coordinator.engine.begin() as connection:
        lost = tasks.c.institution == "bank-e", tasks.c.task_id.contains(f"/{gone}")
        connection.execute(update(tasks).where(*lost).values(state=QUEUED))
    coordinator.says.clear()
    coordinator.restart()
    coordinator.answer_late()
    coordinator.connect(FIVE[:4])
    coordinator.wait()
    return job_id


def test_a_list_that_was_told_and_is_not_whole_after_a_power_cut_takes_another_attempt(tmp_path: Path) -> None:
    with lab(tmp_path, step_timeout=1, dropout_timeout=0.3) as coordinator:
        job_id = after_a_power_cut(coordinator, "sum.share", silent="query.tabulate")
        require_opened(coordinator, job_id, 4, *FIVE[:4])
        assert any("sum.upload.table.2" in task_id for task_id in coordinator.asked)


def test_a_set_that_was_proposed_and_is_not_whole_after_a_power_cut_ends_the_job(tmp_path: Path) -> None:
    """Its institutions may have revealed, so that none of them adds anything else."""
    with lab(tmp_path, step_timeout=1, dropout_timeout=0.3) as coordinator:
        stored = coordinator.store.get(after_a_power_cut(coordinator, "query.tabulate", silent="sum.sign"))
        assert stored.state is JobState.FAILED
        (cause,) = stored.status().refusals
        assert (cause.institution, cause.failure.what.partition(",")[0]) == (
            "bank-e",
            "no answer to step 'query.tabulate'",
        )


@pytest.mark.parametrize("step", ["sum.share", "query.tabulate"])
def test_one_that_is_late_is_left_out_and_no_attempt_is_lost(coordinator: Lab, step: str) -> None:
    coordinator.says[step] = lambda task, party: None if party == "bank-e" else coordinator.usual(task, party)
    coordinator.connect(FIVE)
    job_id = coordinator.submit(STATISTICS)
    coordinator.conduct(job_id)
    require_opened(coordinator, job_id, 4, *FIVE[:4])
    (entry,) = coordinator.events("sum.dropped")
    assert entry["detail"]["institution"] == "bank-e"
    assert "no answer" in str(entry["reason"])


def test_whoever_is_left_out_opens_the_total_too(coordinator: Lab) -> None:
    coordinator.says["query.tabulate"] = lambda task, party: (
        None if party == "bank-e" else coordinator.usual(task, party)
    )
    coordinator.connect(FIVE)
    job_id = coordinator.submit(STATISTICS)
    coordinator.conduct(job_id)
    require_opened(coordinator, job_id, 4, *FIVE)


def without_bank_e(coordinator: Lab) -> None:
    """It never gives its summand, so that what opens the sum is asked for by itself."""
    coordinator.says["query.tabulate"] = lambda task, party: (
        None if party == "bank-e" else coordinator.usual(task, party)
    )
    coordinator.connect(FIVE)


def test_what_opens_a_sum_is_asked_for_by_itself_where_somebody_is_missing(coordinator: Lab) -> None:
    without_bank_e(coordinator)
    job_id = coordinator.submit(STATISTICS)
    coordinator.conduct(job_id)
    require_opened(coordinator, job_id, 4, *FIVE[:4])
    asked = [task_id.split("/")[1] for task_id in coordinator.asked if task_id.endswith("bank-c")]
    assert [step for step in asked if step.startswith("sum.")] == [
        "sum.share.table.1", "sum.sign.table.1", "sum.reveal.table.1",
    ]  # fmt: skip


def test_nobody_is_missing_and_what_opens_the_sum_comes_with_the_signature(coordinator: Lab) -> None:
    coordinator.connect(FIVE)
    job_id = coordinator.submit(STATISTICS)
    coordinator.conduct(job_id)
    require_opened(coordinator, job_id, 5, *FIVE)
    assert not [task_id for task_id in coordinator.asked if "sum.reveal" in task_id]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (pb.Failure(code="failed", what="It broke."), "It broke."),
        (Content(config={"message": 5}), "lacks its message"),
        (Content(config={"message": b"rubbish"}), "message"),
        (None, "no answer to step 'sum.reveal"),
    ],
)
def test_once_too_few_reveal_the_job_is_over(tmp_path: Path, said: Content | pb.Failure | None, why: str) -> None:
    with lab(tmp_path, step_timeout=1, dropout_timeout=0.3) as coordinator:
        without_bank_e(coordinator)
        coordinator.says["sum.reveal"] = lambda task, party: (
            said if party == "bank-b" else coordinator.usual(task, party)
        )
        job_id = coordinator.submit(STATISTICS)
        coordinator.conduct(job_id)
        stored = coordinator.store.get(job_id)
        assert stored.state is JobState.FAILED
        causes = {item.institution: item.failure.what for item in stored.status().refusals}
        assert set(causes) == {"bank-b", "bank-e"}
        assert why in causes["bank-b"]
        assert not [task_id for task_id in coordinator.asked if "table.2" in task_id]


@pytest.mark.parametrize("revealed", [None, b"rubbish", 5])
def test_a_signature_on_all_without_what_opens_the_sum_loses_its_sender(
    coordinator: Lab, revealed: bytes | int | None
) -> None:
    def withhold(task: pb.Task, party: str) -> Content:
        said = dict(coordinator.usual(task, party).config)
        if party == "bank-b":
            said = {"message": said["message"]} | ({} if revealed is None else {"revealed": revealed})
        return Content(config=said)

    coordinator.says["sum.sign"] = withhold
    coordinator.connect(FIVE)
    job_id = coordinator.submit(STATISTICS)
    coordinator.conduct(job_id)
    require_opened(coordinator, job_id, 5, "bank-a", "bank-c", "bank-d", "bank-e")
    result = network_pb2.JobResult.FromString(coordinator.store.get(job_id).result or b"")
    assert [receipt.institution for receipt in result.receipts] == ["bank-a", "bank-c", "bank-d", "bank-e"]
