"""Attacks by honest-looking questions: each statistic is allowed, and together they would single somebody out."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from consortia_client import control
from consortia_node import gatekeeper
from consortia_node.cedar import Opinion
from consortia_proto.v1 import control_pb2, network_pb2
from tests.support.consortium import Consortium, build, prepare, running
from tests.support.specs import BANKS, spec
from tests.support.spoilt import in_this_process, logged


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    built = build(tmp_path_factory.mktemp("attacked"), seed=5)
    with running(built):
        prepare(built)
        yield built


@pytest.fixture(autouse=True)
def _without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    in_this_process(monkeypatch)


def ask(lab: Consortium, **parameters: Any) -> network_pb2.JobStatus:
    return lab.run(spec("statistics", **parameters))


def finished(lab: Consortium, **parameters: Any) -> str:
    status = ask(lab, **parameters)
    assert status.state == "finished", status.stage
    return status.job_id


def refused(status: network_pb2.JobStatus, clause: str) -> dict[str, str]:
    """What each institution that refused the job said, by institution."""
    assert status.state == "refused"
    assert {refusal.failure.clause for refusal in status.refusals} == {clause}
    return {refusal.institution: refusal.failure.what for refusal in status.refusals}


def consenting(bank: str, count: int) -> list[str]:
    """Customers 1, 2, … who have consented; see support.consortium.write_data."""
    numbers = (number for number in range(1, 300) if number % 10 != 3)
    return [f"{bank.upper()}-{number:05d}" for number in islice(numbers, count)]


def erase(lab: Consortium, bank: str, *subjects: str) -> None:
    with control.node(lab.node_config(bank)) as node:
        node.EraseSubjects(control_pb2.EraseSubjectsRequest(subjects=subjects), timeout=20)


@pytest.mark.slow
def test_one_customer_between_two_statistics(lab: Consortium) -> None:
    """The mean before and after a withdrawal gives the income of whoever withdrew; the second is never computed."""
    plain = {"by": [], "categories": {}, "columns": ["income"]}
    finished(lab, **plain)
    latest = finished(lab, **plain)  # the same customers: nothing new is learnt
    lab.withdraw("bank-a", "BANK-A-00000")
    second = ask(lab, **plain)
    why = refused(second, "differencing")
    assert list(why) == ["bank-a"]
    assert "would show fewer than 10 customers" in why["bank-a"]
    assert latest in why["bank-a"]
    assert not logged(lab, "bank-a", "update.sealed", second.job_id)
    assert logged(lab, "bank-a", "job.failed", second.job_id)
    refused(ask(lab, columns=["age", "income"], by=[], categories={}), "differencing")
    for subject in consenting("bank-a", 12):
        lab.withdraw("bank-a", subject)
    finished(lab, **plain)


def test_one_customer_erased_between_two_statistics(lab: Consortium) -> None:
    before = finished(lab, columns=["age"], by=[], categories={})
    erase(lab, "bank-b", "BANK-B-00000")
    why = refused(ask(lab, columns=["age"], by=[], categories={}), "differencing")
    assert before in why["bank-b"]


def test_a_small_group_by_two_divisions(lab: Consortium) -> None:
    """Groups {1},{2,other} and {2},{1,other} give "other" even where it was merged because it is small."""
    erase(lab, "bank-b", *consenting("bank-b", 14))
    first = finished(lab, categories={"region": [1]})
    why = refused(ask(lab, categories={"region": [2]}), "differencing")
    assert sorted(why) == list(BANKS)
    assert f"{first} divided the same rows into other groups" in why["bank-c"]


@pytest.mark.parametrize("second", [Opinion(accepted=True), Opinion(accepted=False, errors=("it broke",))])
def test_evaluators_that_disagree_refuse_and_alarm(
    lab: Consortium, second: Opinion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of the two says no, or can't say."""
    monkeypatch.setattr(gatekeeper, "opinion", lambda *_: second)
    asked = spec("statistics", columns=["income" if second.errors else "salary_note"], categories={"region": [1]})
    status = lab.run(asked)
    refused(status, "gate")
    (alarm,) = logged(lab, "bank-c", "gate.disagreed", status.job_id)
    assert alarm["detail"]["rules"] == ("accept" if second.errors else "datasets.columns")
    assert alarm["detail"]["cedar"] == ("refuse" if second.errors else "accept")
