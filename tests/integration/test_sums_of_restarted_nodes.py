"""A node that is stopped or killed in the middle of a sealed sum: the job goes on, and nothing is said twice."""

from collections.abc import Iterator
from typing import Any

import pytest

from consortia_node.endings import finish_failures
from consortia_node.store.sums import SumStore
from consortia_proto.v1 import exchange_pb2 as pb
from tests.support.consortium import build
from tests.support.hostile import Bank, Hostile, content_of, counted, failure_of, hostile
from tests.support.hostile_sums import Round
from tests.support.specs import spec

VICTIM = "bank-c"
STEPS = ("share", "work", "upload", "sign", "reveal")


class KilledError(BaseException):
    """Stands for SIGKILL: nothing in the node catches it."""


@pytest.fixture(scope="module")
def seat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    with hostile(build(tmp_path_factory.mktemp("restarted")), max_jobs=1000) as made:
        yield made


def begun(seat: Hostile) -> Round:
    return seat.round(seat.begun(spec("statistics")), "table", "query.tabulate")


def killed(seat: Hostile, made: Round, step: str, **said: Any) -> pb.Reply:
    """The node dies before the new state is on disk; it is started again, and does the task that it still has."""
    bank = died(seat, made, step, **said)
    (waiting,) = (task for task in bank.tools.tasks.pending() if task.job_id == made.deal.job_id)
    return bank.agent.handle(bank.tools.tasks.task(waiting.task_id))


def died(seat: Hostile, made: Round, step: str, **said: Any) -> Bank:
    """The node after it died before the new state was on disk; the task waits."""

    def die(self: SumStore, stored: Any) -> None:
        raise KilledError

    with pytest.MonkeyPatch.context() as dying:
        dying.setattr(SumStore, "put", die)
        with pytest.raises(KilledError):
            made.ask(VICTIM, step, **said)
    return seat.restart(VICTIM)


def folder_of(bank: Bank, made: Round) -> list[str]:
    folder = bank.tools.settings.folder / "work" / made.deal.job_id / "sums"
    return sorted(path.suffix for path in folder.iterdir())


def test_started_again_at_every_step_it_comes_to_the_sum(seat: Hostile) -> None:
    made = begun(seat)
    for step in STEPS:
        getattr(made, step)()
        seat.restart(VICTIM)
    made.opened()
    answers = seat.concluded(made.deal)
    assert seat.opened(made.deal, answers)["overall"]["count"] == 810
    assert counted(seat.banks[VICTIM], "update.sealed", made.deal) == 1


def test_killed_as_it_uploads_it_uploads_the_same(seat: Hostile) -> None:
    made = begun(seat).until("work")
    message = made.lists[VICTIM].to_bytes()
    first = content_of(killed(seat, made, "sum.upload", message=message)).config
    again = made.told("bank-a", "sum.upload", message=made.lists["bank-a"].to_bytes())
    assert first["frames"] != again["frames"]
    assert failure_of(made.ask(VICTIM, "sum.upload", message=message)).what
    assert counted(seat.banks[VICTIM], "update.sealed", made.deal) == 2  # logged first, each time


def test_killed_as_it_reveals_it_reveals_the_same_and_is_spent(seat: Hostile) -> None:
    made = begun(seat).until("upload")
    message = made.proposal.to_bytes()
    said = content_of(killed(seat, made, "sum.sign", message=message)).config
    bank = seat.restart(VICTIM)
    assert made.told(VICTIM, "sum.sign", message=message) == said
    assert folder_of(bank, made) == []
    made.sign()
    assert made.revealed[VICTIM] == said["revealed"]
    made.reveal()
    made.opened()
    assert seat.opened(made.deal, seat.concluded(made.deal))["overall"]["count"] == 810


@pytest.mark.parametrize("step", ["sum.share", "sum.upload", "sum.frame"])
def test_what_was_revealed_is_spent_after_a_restart_too(seat: Hostile, step: str) -> None:
    made = begun(seat).until("reveal")
    bank = seat.restart(VICTIM)
    assert folder_of(bank, made) == []
    attempt = 2 if step == "sum.share" else 1
    said: dict[str, Any] = {
        "sum.share": {"rids": [made.policy.rid(2)], "policies": [made.policy.digest()]},
        "sum.upload": {"message": made.lists[VICTIM].to_bytes()},
        "sum.frame": {"first": 0},
    }
    assert failure_of(made.ask(VICTIM, step, attempt=attempt, **said[step])).what
    assert counted(bank, "update.sealed", made.deal) == 1
    assert counted(bank, "job.failed", made.deal) == 1


def test_killed_before_what_it_spent_is_on_record_it_uploads_no_more(seat: Hostile) -> None:
    """The vectors go before the state is stored: another attempt finds nothing to upload."""
    made = begun(seat).until("upload")
    bank = died(seat, made, "sum.sign", message=made.proposal.to_bytes())
    again = begun_again(made)
    assert (
        "its summand is not there"
        in failure_of(again.ask(VICTIM, "sum.upload", message=again.lists[VICTIM].to_bytes())).what
    )
    assert counted(bank, "update.sealed", made.deal) == 1


def begun_again(made: Round) -> Round:
    again = Round(made.seat, made.deal, made.name, made.step, attempt=2)
    again.share()
    return again


def test_a_job_that_the_log_gave_up_has_failed_after_a_restart(seat: Hostile) -> None:
    made = begun(seat)
    made.share()
    before = seat.banks[VICTIM]
    before.tools.log.append("job.failed", job=made.deal.job_id, reason="the disk was full", step="train")
    bank = seat.restart(VICTIM)
    finish_failures(bank.tools)
    assert not (bank.tools.settings.folder / "work" / made.deal.job_id).exists()
    failure = failure_of(bank.ask("query.tabulate", job=made.deal.job_id))
    assert failure.what == f"job {made.deal.job_id} is not under way at {VICTIM}: it failed, the disk was full"
    assert (failure.blame, VICTIM in failure.remedy) == (VICTIM, True)
