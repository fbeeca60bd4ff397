"""Every way in which a job can end: the right state, who it was, told to the parties and put on the log."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consortia_common.content import Content
from consortia_coordinator.jobrun import JobRun
from consortia_coordinator.jobs import JobState
from consortia_crypto.errors import ConsortiaError
from consortia_proto.v1 import exchange_pb2 as pb
from consortia_proto.v1 import network_pb2
from tests.support.parties import ANALYST, LOGGED, NOW_MS, Lab, lab
from tests.support.specs import BANKS, spec

STATISTICS = spec("statistics")
REFUSED = pb.Failure(code="refused", what="No such column.", blame="the job", remedy="change it", clause="datasets")


@pytest.fixture
def coordinator(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        made.connect(BANKS)
        yield made


def ended(coordinator: Lab, job_id: str) -> network_pb2.JobStatus:
    coordinator.conduct(job_id)
    return coordinator.store.get(job_id).status()


def told(coordinator: Lab, job_id: str) -> dict[str, str]:
    """What each party was told of the end, besides the ordinary closing."""
    return {task_id.rsplit("/", 1)[1]: task_id for task_id in coordinator.asked if f"{job_id}/close/1" in task_id}


def test_a_job_that_works_is_finished(coordinator: Lab) -> None:
    job_id = coordinator.submit(STATISTICS)
    status = ended(coordinator, job_id)
    assert (status.state, status.stage, status.finished_ms) == ("finished", "finished", NOW_MS)
    result = network_pb2.JobResult.FromString(coordinator.store.get(job_id).result or b"")
    assert (result.sealed_by, result.envelope) == ("bank-a", b"sealed by bank-a")
    assert {item.institution: item.document for item in result.receipts} == {
        bank: f"receipt of {bank}".encode() for bank in BANKS
    }
    assert [body["type"] for body in coordinator.events()][1:] == LOGGED
    assert coordinator.events("sum.added")[0]["detail"]["institutions"] == list(BANKS)
    assert told(coordinator, job_id) == {}


def test_the_offer_holds_what_the_analyst_signed_and_the_identities(coordinator: Lab) -> None:
    offers: list[Content] = []

    def look(task: pb.Task, party: str) -> Content:
        offers.append(Content.from_proto(task.content, "the coordinator"))
        return Content()

    coordinator.says["offer"] = look
    job_id = coordinator.submit(STATISTICS)
    ended(coordinator, job_id)
    assert len(offers) == len(BANKS)
    assert offers[0].config["submission"] == coordinator.store.get(job_id).submission
    assert len(offers[0].config["identities"]) == 1
    assert ANALYST.public.network.encode() in offers[0].config["identities"][0]


def test_every_refusal_of_an_offer_is_shown(coordinator: Lab) -> None:
    coordinator.says["offer"] = lambda task, party: Content() if party == "bank-b" else REFUSED
    job_id = coordinator.submit(STATISTICS)
    status = ended(coordinator, job_id)
    assert status.state == "refused"
    assert status.stage.startswith("bank-a: No such column.")
    assert [item.institution for item in status.refusals] == ["bank-a", "bank-c"]
    assert all(item.failure == REFUSED for item in status.refusals)
    assert set(told(coordinator, job_id)) == set(BANKS)
    (entry,) = coordinator.events("job.failed")
    assert (entry["reason"], entry["detail"]["institution"]) == ("No such column.", "bank-a")


@pytest.mark.parametrize(
    ("step", "code", "state"),
    [
        ("epoch.key", "failed", "failed"),
        ("epoch.seed", "odd", "failed"),
        ("epoch.join", "failed", "failed"),
        ("epoch.confirm", "failed", "failed"),
        ("sum.share", "failed", "failed"),
        ("query.tabulate", "refused", "refused"),
        ("sum.sign", "refused", "refused"),
        ("query.conclude", "failed", "failed"),
        ("close", "failed", "failed"),
    ],
)
def test_a_party_that_gives_up_ends_the_job(coordinator: Lab, step: str, code: str, state: str) -> None:
    failure = pb.Failure(code=code, what="It broke.", blame="bank-b", remedy="mend it")
    culprit = "bank-b"

    def say(task: pb.Task, party: str) -> Any:
        return failure if party == culprit and task.round == 0 else coordinator.usual(task, party)

    coordinator.says[step] = say
    status = ended(coordinator, coordinator.submit(STATISTICS))
    assert status.state == state
    assert [(item.institution, item.failure.what) for item in status.refusals] == [(culprit, "It broke.")]
    assert len(coordinator.events("job.failed")) == 1


@pytest.mark.parametrize("step", ["offer", "epoch.key", "sum.share", "query.tabulate", "sum.sign"])
def test_a_party_that_keeps_silent_is_named(tmp_path: Path, step: str) -> None:
    with lab(tmp_path, offer_timeout=0.2, step_timeout=0.2) as coordinator:
        coordinator.connect(BANKS[:2])
        last = "sum.upload" if step == "query.tabulate" else step  # of another attempt
        for silent_at in (step, last):
            coordinator.says[silent_at] = lambda task, party: (
                None if party == "bank-b" else coordinator.usual(task, party)
            )
        if step != "offer":
            coordinator.connect(BANKS[2:])
        status = ended(coordinator, coordinator.submit(STATISTICS))
        silent = {"bank-b", "bank-c"} if step == "offer" else {"bank-b"}
        assert status.state == "failed"
        assert {item.institution for item in status.refusals} == silent
        assert all(f"no answer to step '{last}" in item.failure.what for item in status.refusals)


def test_a_job_gives_its_parties_less_time_and_never_more(tmp_path: Path) -> None:
    with lab(tmp_path, step_timeout=20) as coordinator:
        for asked, given in ((1, 1), (100, 20), (None, 20)):
            run = JobRun("job", STATISTICS.model_copy(update={"step_seconds": asked}), coordinator.tools)
            assert run.tools.step_timeout == given
        coordinator.connect(BANKS)
        coordinator.says["epoch.key"] = lambda task, party: None if party == "bank-b" else Content()
        status = ended(coordinator, coordinator.submit(STATISTICS.model_copy(update={"step_seconds": 1})))
        assert status.state == "failed"
        assert [item.institution for item in status.refusals] == ["bank-b"]
        assert "in 1 s" in status.refusals[0].failure.what


@pytest.mark.parametrize(
    ("step", "said", "why"),
    [
        ("epoch.key", Content(), "lacks its key"),
        ("epoch.key", Content(config={"key": "text"}), "lacks its key"),
        ("epoch.key", Content(config={"key": b"rubbish"}), "another kind of document"),
        ("epoch.seed", Content(config={"envelope.bank-b": b"rubbish"}), "lacks its envelope"),
        ("epoch.join", Content(), "lacks its confirm"),
        ("sum.share", Content(), "lacks its message"),
        ("sum.share", Content(config={"messages": [b"rubbish"]}), "message"),
        ("sum.share", Content(config={"messages": []}), "lacks its message"),
        ("sum.share", Content(config={"messages": ["rubbish"]}), "lacks its message"),
        ("query.tabulate", Content(), "lacks its message"),
        ("sum.sign", Content(config={"message": b""}), "message"),
        ("query.conclude", Content(config={"envelope.analyst": 5}), "lacks its envelope.analyst"),
        ("close", Content(), "lacks its receipt"),
        ("close", Content(config={"receipt": b"x", "signature": 5}), "lacks its signature"),
    ],
)
def test_an_answer_that_is_none_ends_the_job_with_whose_it_is(
    coordinator: Lab, step: str, said: Content, why: str
) -> None:
    coordinator.says[step] = lambda task, party: said
    status = ended(coordinator, coordinator.submit(STATISTICS))
    assert status.state == "failed"
    assert why in status.stage
    assert status.refusals[0].failure.blame in BANKS


@pytest.mark.parametrize("what", ["", "\x1b[31m\x00", "x" * 10_000, "one\ntwo", "\u202e"])
def test_whatever_a_party_says_of_its_failure_the_job_ends(coordinator: Lab, what: str) -> None:
    coordinator.says["offer"] = lambda task, party: pb.Failure(code=what, what=what, blame=what, clause=what)
    status = ended(coordinator, coordinator.submit(STATISTICS))
    assert status.state in ("failed", "refused")
    said = status.refusals[0].failure
    assert all(text and text.isprintable() and len(text) <= 600 for text in (said.what, said.blame, said.remedy))
    assert status.stage.isprintable()
    assert len(coordinator.events("job.failed")) == 1


def test_only_the_reporter_s_envelope_is_passed_on(coordinator: Lab) -> None:
    def say(task: pb.Task, party: str) -> Content:
        return Content(config={} if party == "bank-a" else {"envelope.analyst": b"not mine to give"})

    coordinator.says["query.conclude"] = say
    job_id = coordinator.submit(STATISTICS)
    assert ended(coordinator, job_id).state == "finished"
    result = network_pb2.JobResult.FromString(coordinator.store.get(job_id).result or b"")
    assert (result.sealed_by, result.envelope) == ("", b"")


def test_an_error_of_our_own_ends_the_job_and_says_no_more(
    coordinator: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise ZeroDivisionError("a value from somewhere")

    monkeypatch.setattr("consortia_coordinator.kinds.statistics.conduct", crash)
    status = ended(coordinator, coordinator.submit(STATISTICS))
    assert status.state == "failed"
    assert "did not expect" in status.stage
    assert "somewhere" not in status.stage + str(coordinator.events())


def test_a_submission_that_can_not_be_read_any_more_fails_its_job_alone(coordinator: Lab) -> None:
    job_id = coordinator.submit(STATISTICS)
    unreadable = b'{"v":0}'
    with coordinator.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE jobs SET submission = ?", (unreadable,))
    other = coordinator.submit(STATISTICS, nonce=1)
    coordinator.conductor.resume()
    coordinator.wait()
    assert coordinator.store.get(job_id).state is JobState.FAILED
    assert "the stored submission was refused" in coordinator.store.get(job_id).stage
    assert coordinator.store.get(other).state is JobState.FINISHED


def test_jobs_do_not_hinder_each_other(coordinator: Lab) -> None:
    coordinator.says["query.tabulate"] = lambda task, party: (
        pb.Failure(code="failed", what="no") if task.job_id == first else coordinator.usual(task, party)
    )
    first, second = (coordinator.submit(STATISTICS, nonce) for nonce in (1, 2))
    for job_id in (first, second):
        coordinator.conductor.start(job_id)
    coordinator.wait()
    assert [coordinator.store.get(job_id).state for job_id in (first, second)] == ["failed", "finished"]


def test_errors_carry_who_and_what_to_do(coordinator: Lab) -> None:
    with pytest.raises(ConsortiaError, match="there is no job job-x"):
        coordinator.store.get("job-x")
