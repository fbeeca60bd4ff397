"""A stranger adds a job kind by adding three modules of one name, and touches nothing else."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consortia_common.documents import kinds as schemas
from consortia_common.documents.jobspec import JobSpec
from consortia_common.errors import DocumentError
from consortia_coordinator import kinds as conducts
from consortia_node import kinds as steps
from tests.support.parties import lab
from tests.support.specs import BANKS
from tests.support.work import Banks

SCHEMA = '''
"""``headcount``: how many customers all parties have together."""

from consortia_common.documents.base import Name
from consortia_common.documents.kinds import KindParameters, Reads, SumShape, Turn


class Parameters(KindParameters):
    """Of a ``headcount`` job."""

    dataset: Name

    def reads(self, party):
        return (Reads(dataset=self.dataset, columns=("age",)),)

    def turns(self, party):
        return (Turn("query.count", gives="count"), Turn("query.conclude"))

    def sums(self):
        return {"count": SumShape(word_bits=64, length=1)}
'''
NODE = '''
"""``headcount`` at the institution."""

import numpy as np

from consortia_node.kinds import Outcome, Step


def count(work, request):
    rows = len(work.matrix(work.spec.parameters.dataset, ("age",)))
    return Outcome(summand=np.array([rows]))


def conclude(work, request):
    return Outcome(result={"kind": "headcount", "count": int(work.total("count")[0])})


STEPS = {"query.count": Step(count, reads=True), "query.conclude": Step(conclude)}
'''
COORDINATOR = '''
"""``headcount`` at the coordinator."""


def conduct(job):
    job.open_epoch()
    job.progress("counting", 0, 1)
    job.sum("count", "query.count")
    job.conclude()
'''
SPEC = {
    "version": 1,
    "name": "how-many",
    "kind": "headcount",
    "agreement": "credit-risk@1",
    "purpose": "counting",
    "parties": list(BANKS),
    "parameters": {"dataset": "clients"},
}


@pytest.fixture
def headcount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The three modules, each found on an extended path of its package."""
    for package, source in ((schemas, SCHEMA), (steps, NODE), (conducts, COORDINATOR)):
        folder = tmp_path / package.__name__
        folder.mkdir()
        (folder / "headcount.py").write_text(source)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    yield
    for package in (schemas, steps, conducts):
        sys.modules.pop(f"{package.__name__}.headcount", None)
        vars(package).pop("headcount", None)


@pytest.mark.usefixtures("headcount")
def test_the_kind_is_known_and_its_spec_is_checked() -> None:
    assert schemas.names() == ["evaluate", "headcount", "score", "statistics", "train"]
    job = JobSpec.from_value(SPEC, "the spec")
    assert JobSpec.from_canonical(job.canonical(), "the spec") == job
    bad: dict[str, Any] = SPEC | {"parameters": {"dataset": "clients", "columns": []}}
    with pytest.raises(DocumentError, match=r"parameters.columns: there is no such field"):
        JobSpec.from_value(bad, "the spec")


@pytest.mark.usefixtures("headcount")
def test_its_steps_run_at_the_institutions() -> None:
    tables = {bank: {"clients": {"age": np.ones(10 + place)}} for place, bank in enumerate(BANKS)}
    banks = Banks(JobSpec.from_value(SPEC, "the spec"), tables)
    banks.add("query.count")
    assert banks.results()[0] == {"kind": "headcount", "count": 33}


@pytest.mark.usefixtures("headcount")
def test_the_coordinator_conducts_it(tmp_path: Path) -> None:
    with lab(tmp_path) as coordinator:
        coordinator.connect(BANKS)
        job_id = coordinator.submit(JobSpec.from_value(SPEC, "the spec"))
        coordinator.conduct(job_id)
        assert coordinator.store.get(job_id).state == "finished", coordinator.store.get(job_id).stage
        assert f"{job_id}/query.count/0/bank-b" in coordinator.asked


def test_without_its_modules_it_is_unknown() -> None:
    with pytest.raises(DocumentError, match="there is no kind 'headcount'"):
        JobSpec.from_value(SPEC, "the spec")
    with pytest.raises(DocumentError, match="there is no kind"):
        steps.steps_of("headcount")
    with pytest.raises(DocumentError, match="there is no kind"):
        conducts.conduct_of("../headcount")


@pytest.mark.parametrize("kind", schemas.names())
def test_every_kind_is_three_modules_that_fit_each_other(kind: str) -> None:
    parameters = schemas.parameters_of(kind)
    assert parameters.__doc__
    assert callable(conducts.conduct_of(kind).conduct)
    assert all(step.run.__doc__ for step in steps.steps_of(kind).values())
