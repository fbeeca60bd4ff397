"""The first messages of a job's sums are asked for a few at a time, and each sum still has its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consortia_common import sealed
from consortia_common.documents.jobspec import JobSpec
from consortia_common.sealed import TOGETHER, shared_together
from consortia_coordinator.jobs import JobState
from tests.support.parties import Lab, lab
from tests.support.specs import BANKS, averaging, spec

LONG = spec("train", model=averaging(rounds=TOGETHER + 2))


@pytest.fixture
def coordinator(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        yield made


@pytest.mark.parametrize("wanted", [LONG, spec("statistics"), spec("score")])
def test_every_sum_is_in_one_batch_in_order(wanted: JobSpec) -> None:
    batches = shared_together(wanted)
    assert tuple(each for batch in batches for each in batch) == wanted.summed()
    assert all(0 < len(batch) <= TOGETHER for batch in batches)


def test_a_job_asks_once_for_each_batch(coordinator: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "TOGETHER", 2)
    short = spec("train", model=averaging(rounds=3))
    coordinator.connect(BANKS)
    job_id = coordinator.submit(short)
    coordinator.conductor.start(job_id)
    coordinator.wait()
    assert coordinator.store.get(job_id).state is JobState.FINISHED, coordinator.store.get(job_id).stage
    asked = [task_id for task_id in coordinator.journalled() if "/sum.share" in task_id]
    batches = [batch[0] for batch in shared_together(short)]
    assert asked == [f"{job_id}/sum.share.{name}.1/{turn}/{bank}" for name, turn in batches for bank in BANKS]


@pytest.mark.parametrize("kind", ["statistics", "train", "evaluate"])
def test_behind_the_last_sum_comes_a_step_with_which_its_total_rides(kind: str) -> None:
    asked = spec(kind)
    for party in asked.parties:
        turns = asked.parameters.turns(party)
        assert any(turn.gives for turn in turns)
        assert not turns[-1].gives
