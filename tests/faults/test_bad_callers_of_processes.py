"""A node that answers garbage, one that is there twice, a thousand callers who say nothing: others go on."""

import contextlib
from pathlib import Path
from typing import Any

import pytest

from consortia_common.documents.jobspec import JobSpec
from consortia_crypto.errors import ConsortiaError
from tests.support import vitals
from tests.support.aftermath import require_honest_logs, require_trained
from tests.support.processes import COORDINATOR, Processes
from tests.support.specs import spec
from tests.support.spoilt import check_explained
from tests.support.strangers import duplicated, garbage_node, silent_connections

pytestmark = pytest.mark.slow

SILENT = 1000
DUPLICATES = 20


@pytest.mark.parametrize("seed", range(5))
def test_a_node_that_answers_garbage_ends_its_job_and_no_other(
    seed: int, processes: Processes, training: JobSpec, tmp_path: Path
) -> None:
    before = vitals.of_all(processes)
    processes.kill("bank-c")
    with garbage_node(processes.consortium, "bank-c", tmp_path, seed):
        status = processes.finish(processes.consortium.submit(training))
        of_the_others = processes.finish(processes.consortium.submit(spec("score")))
    assert status.state == "failed", status
    (refusal,) = status.refusals
    assert "bank-c" in refusal.failure.blame, status
    check_explained(refusal.failure.what, refusal.failure.blame, refusal.failure.remedy)
    assert of_the_others.state == "finished", of_the_others
    processes.mend()
    vitals.require_calm(processes, before)


def test_a_job_goes_on_while_a_second_node_takes_its_nodes_place_again_and_again(
    processes: Processes, training: JobSpec, undisturbed: Any
) -> None:
    before = vitals.of_all(processes)
    job_id = processes.consortium.submit(training)
    processes.reach(job_id, stage="round 1")
    with duplicated(processes.consortium, "bank-b") as count:
        processes.until(f"it has come {DUPLICATES} times", lambda: count() >= DUPLICATES)
    require_trained(processes, job_id, undisturbed, {})
    require_honest_logs(processes.consortium, job_id)
    vitals.require_calm(processes, before)


def test_a_thousand_connections_that_say_nothing_hold_nobody_up(
    processes: Processes, training: JobSpec, undisturbed: Any
) -> None:
    before = vitals.of_all(processes)
    coordinator = processes.pid(COORDINATOR)
    with silent_connections(processes.consortium.port, SILENT):
        job_id = _submitted(processes, training)
        require_trained(processes, job_id, undisturbed, {})
        processes.kill("bank-b")
        processes.start("bank-b")
        processes.gather("bank-b")
    processes.until(
        "the coordinator has let go of them",
        lambda: vitals.of(processes.pid(COORDINATOR)).files < vitals.MOST_FILES,
    )
    assert processes.pid(COORDINATOR) == coordinator
    assert not processes.has_ended(COORDINATOR)
    vitals.require_calm(processes, before)


def _submitted(processes: Processes, asked: JobSpec) -> str:
    """The job, as soon as the coordinator has got through all those who said nothing."""
    handed_in: list[str] = []

    def submit() -> bool:
        with contextlib.suppress(ConsortiaError):
            handed_in.append(processes.consortium.submit(asked))
        return bool(handed_in)

    processes.until("the analyst gets in", submit)
    return handed_in[0]
