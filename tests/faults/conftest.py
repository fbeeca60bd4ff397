"""A consortium of real processes, shared by the fault tests and whole again before each of them."""

from collections.abc import Iterator
from typing import Any

import pytest

from consortia_common.documents.jobspec import JobSpec
from tests.support import consortium as support
from tests.support.processes import Processes
from tests.support.specs import averaging, spec
from tests.support.spoilt import add_model


@pytest.fixture(scope="session")
def shared_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    built = support.build(tmp_path_factory.mktemp("processes"))
    with Processes(built) as processes:
        processes.mend()
        support.prepare(built, max_jobs=10_000, max_scored_rows=10_000_000)
        add_model(built, "bank-b")
        yield processes


@pytest.fixture
def processes(shared_processes: Processes) -> Processes:
    """Coordinator and banks, all running with plain settings and connected."""
    shared_processes.mend()
    return shared_processes


@pytest.fixture(scope="session")
def training() -> JobSpec:
    """The job that is disturbed. FedAdam carries more from round to round than the model."""
    return spec("train", model=averaging(rounds=6, strategy={"name": "FedAdam", "settings": {"eta": "0.1"}}))


@pytest.fixture(scope="session")
def undisturbed(shared_processes: Processes, training: JobSpec) -> Any:
    """What the job comes to when nothing happens to it."""
    shared_processes.mend()
    job_id = shared_processes.consortium.submit(training)
    assert shared_processes.finish(job_id).state == "finished"
    return shared_processes.outcome(job_id)
