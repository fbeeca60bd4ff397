"""What rides with a job's steps at a node: the total before a step, the upload behind it, and hostile ones."""

from collections.abc import Iterator
from typing import Any

import pytest

from consortia_common import sealed
from consortia_common.content import Content
from consortia_node.store.jobs import JobStore
from consortia_proto.v1 import exchange_pb2 as pb
from tests.support.consortium import build
from tests.support.hostile import Hostile, blamed, content_of, counted, ended, failure_of, hostile
from tests.support.hostile_sums import Round
from tests.support.specs import BANKS, spec

VICTIM = "bank-c"


class KilledError(BaseException):
    """Stands for SIGKILL: nothing in the node catches it."""


@pytest.fixture(scope="module")
def seat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    with hostile(build(tmp_path_factory.mktemp("riding")), max_jobs=1000) as made:
        yield made


def tabled(seat: Hostile, last: str) -> Round:
    made = seat.round(seat.begun(spec("statistics")), "table", "query.tabulate")
    return made.until(last) if last else made


def ask(made: Round, step: str, ridden: dict[str, Any], turn: int = 0) -> pb.Reply:
    """The victim's answer to a step of the kind's with which this rides."""
    bank = made.seat.banks[VICTIM]
    return bank.ask(step, Content(config={"report": False, **ridden}), job=made.deal.job_id, turn=turn)


def riding(prefix: str, words: dict[str, Any]) -> dict[str, Any]:
    """These words but for those that are None."""
    return sealed.riding(prefix, {name: value for name, value in words.items() if value is not None})


def lists(made: Round, **changes: Any) -> dict[str, Any]:
    words = {"sum": "table", "attempt": 1, "message": made.lists[VICTIM].to_bytes()}
    return riding(sealed.BEHIND, words | changes)


def total(made: Round, **changes: Any) -> dict[str, Any]:
    words = {"sum": "table", "attempt": 1, "round": 0, "first": 0}
    said = {"frames": [made.sealed], "message": made.total.to_bytes()}
    return riding(sealed.BEFORE, words | said | changes)


def test_a_step_s_answer_carries_the_upload_that_is_signed(seat: Hostile) -> None:
    made = tabled(seat, "share")
    said = sealed.ridden(content_of(ask(made, "query.tabulate", lists(made))), sealed.BEHIND).config
    assert set(said) == {"message", "frames"}
    assert said["frames"] == made.told(VICTIM, "sum.frame", first=0)["frames"]
    assert counted(seat.banks[VICTIM], "update.sealed", made.deal) == 1


def test_a_step_finds_the_total_that_came_with_it(seat: Hostile) -> None:
    made = tabled(seat, "reveal")
    content_of(ask(made, "query.conclude", total(made)))
    assert counted(seat.banks[VICTIM], "sum.opened", made.deal) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sum": "tables"}, "no sum 'tables'"),
        ({"sum": 5}, "no sum"),
        ({"attempt": None}, "no attempt"),
        ({"attempt": 2}, "no part in this attempt"),
        ({"message": b"rubbish"}, ""),
        ({"message": None}, "did not come"),
    ],
)
def test_lists_that_are_none_end_the_job(seat: Hostile, changes: dict[str, Any], words: str) -> None:
    made = tabled(seat, "share")
    failure = failure_of(ask(made, "query.tabulate", lists(made, **changes)))
    assert words in ended(seat.banks[VICTIM], made.deal, "query.tabulate", failure)
    assert counted(seat.banks[VICTIM], "update.sealed", made.deal) == 0


def test_a_step_that_makes_no_summand_seals_none(seat: Hostile) -> None:
    made = tabled(seat, "opened")
    failure = failure_of(ask(made, "query.conclude", lists(made)))
    assert "can't be added again" in ended(seat.banks[VICTIM], made.deal, "query.conclude", failure)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"frames": []}, "too many, or none"),
        ({"frames": [b"x"]}, "wrong length"),
        ({"first": 1}, ""),
        ({"first": None}, "no first"),
        ({"round": 1}, "no sum 'table' of round 1"),
        ({"round": None}, "no round"),
        ({"message": b"rubbish"}, ""),
        ({"attempt": True}, "no attempt"),
    ],
)
def test_a_total_that_is_none_ends_the_job_before_its_step(
    seat: Hostile, changes: dict[str, Any], words: str
) -> None:
    made = tabled(seat, "reveal")
    failure = failure_of(ask(made, "query.conclude", total(made, **changes)))
    assert words in ended(seat.banks[VICTIM], made.deal, "query.conclude", failure)
    assert counted(seat.banks[VICTIM], "sum.opened", made.deal) == 0


@pytest.mark.parametrize("frames", [lambda made: made.uploads["bank-a"], lambda made: made.added(BANKS[:2])])
def test_another_total_than_the_sum_is_refused_and_its_step_not_taken(seat: Hostile, frames: Any) -> None:
    made = tabled(seat, "reveal")
    failure = failure_of(ask(made, "query.conclude", total(made, frames=[frames(made)])))
    ended(seat.banks[VICTIM], made.deal, "query.conclude", failure)
    assert failure.what == "the sealed total was refused"
    assert blamed(seat.banks[VICTIM], made.deal, "query.conclude")[0].startswith("the coordinator")
    assert counted(seat.banks[VICTIM], "result.computed", made.deal) == 0


def killed(made: Round, step: str, ridden: dict[str, Any]) -> None:
    """The node dies when the step is done and its answer not yet on disk, and is started again."""

    def die(self: JobStore, *_: Any) -> None:
        raise KilledError

    with pytest.MonkeyPatch.context() as dying:
        dying.setattr(JobStore, "count_step", die)
        with pytest.raises(KilledError):
            ask(made, step, ridden)
    made.seat.restart(VICTIM)


def again(made: Round) -> pb.Reply:
    """What the node makes of the task that it still has."""
    bank = made.seat.banks[VICTIM]
    (waiting,) = (task for task in bank.tools.tasks.pending() if task.job_id == made.deal.job_id)
    return bank.agent.handle(bank.tools.tasks.task(waiting.task_id))


def test_killed_behind_the_total_it_opens_the_same_again(seat: Hostile) -> None:
    made = tabled(seat, "reveal")
    killed(made, "query.conclude", total(made))
    content_of(again(made))
    assert counted(seat.banks[VICTIM], "sum.opened", made.deal) == 2  # logged first, each time
    assert "can't be added again" in failure_of(made.give(VICTIM)).what


def test_killed_behind_the_upload_no_byte_of_it_leaves_before_it_is_signed(seat: Hostile) -> None:
    made = tabled(seat, "share")
    killed(made, "query.tabulate", lists(made))
    folder = seat.banks[VICTIM].tools.settings.folder / "work" / made.deal.job_id / "sums"
    assert [path.suffix for path in folder.iterdir() if path.suffix == ".upload"]
    assert "its upload is not there" in failure_of(made.ask(VICTIM, "sum.frame", first=0)).what


def test_killed_behind_the_upload_it_seals_again_and_says_it_once(seat: Hostile) -> None:
    made = tabled(seat, "share")
    killed(made, "query.tabulate", lists(made))
    folder = seat.banks[VICTIM].tools.settings.folder / "work" / made.deal.job_id / "sums"
    (first,) = folder.glob("*.upload")
    first.write_bytes(spoilt := bytes(first.stat().st_size))  # had the step made another summand
    said = sealed.ridden(content_of(again(made)), sealed.BEHIND).config
    assert spoilt not in said["frames"]
    assert said["frames"] == made.told(VICTIM, "sum.frame", first=0)["frames"]
    assert counted(seat.banks[VICTIM], "update.sealed", made.deal) == 2  # logged first, each time
