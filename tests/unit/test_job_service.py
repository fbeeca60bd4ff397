"""Jobs as analysts and regulators ask about them; and the table of a job's states."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest

from consortia_coordinator import jobservice
from consortia_coordinator.errors import CoordinatorError
from consortia_coordinator.jobs import FINAL, TRANSITIONS, JobState, check_transition
from consortia_coordinator.jobservice import JobService
from consortia_coordinator.limits import JobLimits
from consortia_coordinator.members import Members
from consortia_coordinator.store.members import MembersStore
from consortia_crypto.keys import PrivateIdentity
from consortia_proto.v1 import exchange_pb2
from consortia_proto.v1 import network_pb2 as pb
from tests.support.callers import Caller, RefusedCallError, admit, everything, know_callers
from tests.support.parties import ANALYST, NOW_MS, Lab, lab, submission
from tests.support.specs import BANKS, spec

STATISTICS = spec("statistics")
NODES = [PrivateIdentity.generate("lab", bank, "node", "node") for bank in BANKS]
BOB = PrivateIdentity.generate("lab", "bank-b", "analyst", "bob")
ANA = Caller.of(ANALYST)


@pytest.fixture
def coordinator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    know_callers(monkeypatch)
    monkeypatch.setattr(jobservice, "WATCH_SECONDS", 0.01)
    with lab(tmp_path) as made:
        admit(MembersStore(made.engine), ANALYST, BOB, *NODES)
        yield made


@pytest.fixture
def jobs(coordinator: Lab) -> JobService:
    made = coordinator
    known = Members("lab", MembersStore(made.engine), lambda: datetime(2026, 6, 1, tzinfo=UTC), made.log)
    return JobService(
        known, made.store, made.mailbox, made.log, made.conductor, lambda: NOW_MS, limits=JobLimits(9, 3)
    )


def signed(asked: Any = None, signer: PrivateIdentity = ANALYST, domain: str = "job") -> pb.Submission:
    document = (asked or submission(STATISTICS)).canonical()
    return pb.Submission(document=document, signature=signer.sign(domain, document))


async def test_a_submission_becomes_a_job_that_runs_once(coordinator: Lab, jobs: JobService) -> None:
    coordinator.connect(BANKS)
    first = await jobs.Submit(signed(), ANA)
    again = await jobs.Submit(signed(), ANA)
    assert first.job_id == again.job_id == submission(STATISTICS).job_id
    coordinator.wait()
    watched = await everything(jobs.Watch(pb.JobRequest(job_id=first.job_id), ANA))
    assert watched[-1].state == "finished"
    assert len(coordinator.journalled()) == len(set(coordinator.asked)) == len(coordinator.asked)
    assert len(coordinator.events("job.submitted")) == 1
    (page,) = await everything(jobs.List(pb.ListJobsRequest(), ANA))
    assert [status.job_id for status in page.jobs] == [first.job_id]
    assert (await jobs.Get(pb.JobRequest(job_id=first.job_id), ANA)).bytes_up > 0


async def test_a_long_result_comes_in_pieces(coordinator: Lab, jobs: JobService) -> None:
    """As that of a network with a million weights; one message of gRPC has 4 MiB at most."""
    job_id = coordinator.submit(STATISTICS)
    envelope = bytes(range(256)) * (20 << 10)
    result = pb.JobResult(job_id=job_id, envelope=envelope, sealed_by="bank-a").SerializeToString()
    for state in (JobState.OFFERED, JobState.RUNNING):
        coordinator.store.move(job_id, state)
    coordinator.store.move(job_id, JobState.FINISHED, result=result)
    found = await everything(jobs.Result(pb.JobRequest(job_id=job_id), ANA))
    assert b"".join(piece.envelope for piece in found) == envelope
    assert max(piece.ByteSize() for piece in found) < 2 << 20
    assert (found[0].job_id, found[0].sealed_by) == (job_id, "bank-a")


async def test_jobs_are_listed_in_pages_without_what_is_long(coordinator: Lab, jobs: JobService) -> None:
    ids = [coordinator.submit(STATISTICS, number) for number in range(3)]
    coordinator.store.tell(ids[0], pb.Progress(sealed_by="bank-a", envelope=bytes(100_000)))
    first = coordinator.store.statuses(None, 2)
    assert [one.job_id for one in first + coordinator.store.statuses(first[-1], 2)] == sorted(ids)
    (page,) = await everything(jobs.List(pb.ListJobsRequest(), ANA))
    assert [one.job_id for one in page.jobs] == sorted(ids)
    assert page.ByteSize() < 10_000


async def test_watching_shows_each_change_until_the_end(coordinator: Lab, jobs: JobService) -> None:
    job_id = coordinator.submit(STATISTICS)
    seen = []
    async for status in jobs.Watch(pb.JobRequest(job_id=job_id), ANA):
        seen.append(status.state)
        following = {"submitted": JobState.OFFERED, "offered": JobState.REFUSED}.get(status.state)
        if following:
            coordinator.store.move(job_id, following)
    assert seen == ["submitted", "offered", "refused"]


async def test_the_result_is_for_its_analyst_alone(coordinator: Lab, jobs: JobService) -> None:
    coordinator.connect(BANKS)
    job_id = coordinator.submit(STATISTICS)
    request = pb.JobRequest(job_id=job_id)
    with pytest.raises(RefusedCallError, match="has no result: it is submitted"):
        await everything(jobs.Result(request, ANA))
    coordinator.conduct(job_id)
    *others, last = await everything(jobs.Result(request, ANA))
    assert last.envelope == b"sealed by bank-a"
    assert [receipt.institution for piece in others for receipt in piece.receipts] == list(BANKS)
    with pytest.raises(RefusedCallError, match="another analyst's") as refused:
        await everything(jobs.Result(request, Caller.of(BOB)))
    assert refused.value.code is grpc.StatusCode.PERMISSION_DENIED


async def test_what_is_not_there_is_said_so(jobs: JobService) -> None:
    request = pb.JobRequest(job_id="job-\x1b" + "x" * 500)
    with pytest.raises(RefusedCallError, match="there is no job"):
        await jobs.Get(request, ANA)
    for call in (jobs.Watch, jobs.Result):
        with pytest.raises(RefusedCallError, match="there is no job"):
            await everything(call(request, ANA))


def _altered(**changes: Any) -> pb.Submission:
    return signed(submission(STATISTICS).model_copy(update=changes))


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (pb.Submission(), "the submission was refused"),
        (pb.Submission(document=b"\xff" * 100), "the submission was refused"),
        (pb.Submission(document=signed().document + b" ", signature=signed().signature), "not in canonical form"),
        (pb.Submission(document=signed().document), "does not verify"),
        (signed(signer=BOB), "does not verify"),
        (signed(domain="receipt"), "does not verify"),
        (_altered(network="other"), "another network"),
        (_altered(analyst=BOB.public.fingerprint), "another analyst than its sender"),
        (_altered(spec=STATISTICS.model_copy(update={"parties": (*BANKS, "bank-z")})), "bank-z as a party"),
        (_altered(spec=STATISTICS.model_copy(update={"kind": "magic"})), "there is no kind 'magic'"),
    ],
)
async def test_what_is_no_submission_is_refused_logged_and_not_run(
    coordinator: Lab, jobs: JobService, request_: pb.Submission, why: str
) -> None:
    with pytest.raises(RefusedCallError, match=why) as refused:
        await jobs.Submit(request_, ANA)
    assert refused.value.told["remedy"]
    assert coordinator.events("message.refused")[0]["detail"]["peer"] == "bank-a/analyst/ana"
    assert coordinator.store.statuses(None) == []
    assert coordinator.journalled() == []


@pytest.mark.parametrize("caller", [Caller.of(NODES[0]), Caller("authority", "regulator", "rex")])
async def test_only_analysts_submit(coordinator: Lab, jobs: JobService, caller: Caller) -> None:
    with pytest.raises(RefusedCallError):
        await jobs.Submit(signed(), caller)
    assert coordinator.store.statuses(None) == []


@pytest.mark.parametrize(("old", "new"), list(itertools.product(JobState, JobState)))
def test_a_job_moves_as_the_table_says_and_no_other_way(old: JobState, new: JobState) -> None:
    if new is old or new in TRANSITIONS[old]:
        check_transition(old, new)
    else:
        with pytest.raises(CoordinatorError, match=f"can't go from {old} to {new}"):
            check_transition(old, new)


def test_every_job_can_end_and_an_end_is_one() -> None:
    assert {JobState.FINISHED, JobState.REFUSED, JobState.FAILED, JobState.CANCELLED} == FINAL
    for state in set(JobState) - FINAL:
        assert JobState.FAILED in TRANSITIONS[state]


def test_the_store_keeps_to_the_table(coordinator: Lab) -> None:
    job_id = coordinator.submit(STATISTICS)
    coordinator.store.move(job_id, JobState.FAILED, stage="why")
    with pytest.raises(CoordinatorError, match="can't go from failed to running"):
        coordinator.store.move(job_id, JobState.RUNNING, stage="again")
    assert (coordinator.store.get(job_id).state, coordinator.store.get(job_id).stage) == (JobState.FAILED, "why")
    assert coordinator.store.unfinished() == []


def test_memos_are_a_job_s_own(coordinator: Lab) -> None:
    one, two = (coordinator.submit(STATISTICS, nonce) for nonce in (1, 2))
    coordinator.store.keep(one, "sum/table/0", b"1")
    assert coordinator.store.memo(one, "sum/table/0") == b"1"
    assert coordinator.store.memo(two, "sum/table/0") is None
    coordinator.store.forget(two)
    assert coordinator.store.memo(one, "sum/table/0") == b"1"
    coordinator.store.forget(one)
    assert coordinator.store.memo(one, "sum/table/0") is None


async def test_an_analyst_has_so_many_jobs_at_a_time(coordinator: Lab, jobs: JobService) -> None:
    """No party is connected, so that jobs stay where they are; handing one in again is no other job."""
    handed_in = [signed(submission(STATISTICS, number)) for number in range(4)]
    for each in handed_in[:3]:
        await jobs.Submit(each, ANA)
    with pytest.raises(RefusedCallError) as refused:
        await jobs.Submit(handed_in[3], ANA)
    assert refused.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "max_jobs_per_analyst" in refused.value.told["remedy"]
    await jobs.Submit(handed_in[0], ANA)


async def test_a_party_that_is_away_is_given_so_many_tasks_and_no_more(coordinator: Lab, jobs: JobService) -> None:
    """A job that is there already may be handed in again."""
    known = Members(
        "lab", MembersStore(coordinator.engine), lambda: datetime(2026, 6, 1, tzinfo=UTC), coordinator.log
    )
    limits = JobLimits(9, 9, most_queued=2)
    few = JobService(
        known, coordinator.store, coordinator.mailbox, coordinator.log, coordinator.conductor, lambda: NOW_MS,
        limits=limits,
    )  # fmt: skip
    begun = await jobs.Submit(signed(), ANA)
    notices = [exchange_pb2.Task(task_id=f"notice/{number}/0/bank-b") for number in range(2)]
    coordinator.mailbox.post([(notice, "bank-b", None) for notice in notices])
    with pytest.raises(RefusedCallError, match="tasks wait for bank-b") as refused:
        await few.Submit(signed(submission(STATISTICS, 1)), ANA)
    assert refused.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await few.Submit(signed(), ANA)).job_id == begun.job_id


async def test_a_job_that_is_cancelled_ends_also_if_the_coordinator_is_restarted(
    coordinator: Lab, jobs: JobService
) -> None:
    """Nobody is connected: the job waits for its offers to be answered."""
    first = await jobs.Submit(signed(), ANA)
    with pytest.raises(RefusedCallError, match="another analyst's"):
        await jobs.Cancel(pb.JobRequest(job_id=first.job_id), Caller.of(BOB))
    coordinator.mailbox.close()  # a coordinator that stops just now
    await jobs.Cancel(pb.JobRequest(job_id=first.job_id), ANA)
    coordinator.restart()
    coordinator.conductor.stop(10)
    ended = coordinator.store.get(first.job_id)
    assert (ended.state, ended.stage) == (JobState.CANCELLED, "cancelled by the analyst")
    closing = [task for task in coordinator.journalled() if task.startswith(f"{first.job_id}/close/1/")]
    assert len(closing) == len(BANKS)
    with pytest.raises(RefusedCallError, match="it is cancelled"):
        await jobs.Cancel(pb.JobRequest(job_id=first.job_id), ANA)
