"""Sums of five banks over the exchange: whoever drops out at whatever step, the others get the sum without them.

N = 5 and k = 1: a sum needs t = 4. Steps are taken in this process, and a bank drops out by failing, which ends the
job there for good, or by keeping silent for a while.
"""

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from consortia_node.agent import Agent
from consortia_node.errors import StateError, StoppingError
from consortia_node.learning.fit_network import AveragingRounds
from consortia_proto.v1 import exchange_pb2 as pb
from tests.support import consortium as support
from tests.support.consortium import Consortium
from tests.support.evidence import entries
from tests.support.specs import spec
from tests.support.spoilt import in_this_process, logged

FIVE = ("bank-a", "bank-b", "bank-c", "bank-d", "bank-e")
EACH = 270
"""Customers of each bank who consented."""
BEFORE_UPLOAD = ("sum.share", "query.tabulate")
STATISTICS = spec("statistics", parties=FIVE)


def later(step: str) -> Any:
    """The step, in a test that takes its time."""
    return pytest.param(step, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    built = support.build(tmp_path_factory.mktemp("five"), banks=FIVE)
    with built.coordinator_config.open("a") as file:
        file.write("\ndropout_seconds = 6\nstep_seconds = 20\n")
    with support.running(built):
        support.prepare(built)
        yield built


@pytest.fixture(autouse=True)
def _without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    in_this_process(monkeypatch)


def dropping(monkeypatch: pytest.MonkeyPatch, step: str, *banks: str) -> None:
    """Have these banks' nodes fail at ``step``."""
    honest = Agent._take

    def take(self: Agent, task: pb.Task, content: Any) -> Any:
        if task.step == step and self._tools.institution in banks:
            raise StateError("the disk is full", blame="its operator", remedy="make room")
        return honest(self, task, content)

    monkeypatch.setattr(Agent, "_take", take)


def silent(monkeypatch: pytest.MonkeyPatch, step: str, *banks: str) -> threading.Event:
    """Have these banks' nodes take ``step`` only once the event is set."""
    honest, back = Agent._take, threading.Event()

    def take(self: Agent, task: pb.Task, content: Any) -> Any:
        if task.step == step and self._tools.institution in banks and not back.wait(30):
            raise StoppingError
        return honest(self, task, content)

    monkeypatch.setattr(Agent, "_take", take)
    return back


def attempts(consortium: Consortium, job_id: str) -> set[int]:
    """The attempts in which somebody signed a set."""
    signed = [
        entry.body["detail"]["attempt"]
        for entry in entries(consortium, "bank-a", job_id)
        if entry.type == "sum.agreed"
    ]
    return set(signed)


@pytest.mark.parametrize("step", ["query.tabulate", later("sum.share")])
def test_the_sum_is_over_all_others(step: str, five: Consortium, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as dropped:
        dropping(dropped, step, "bank-b")
        status = five.run(STATISTICS)
    assert status.state == "finished", status
    with five.analyst() as session:
        opened = session.result(status.job_id)
    assert opened.result["overall"]["count"] == 4 * EACH
    assert [receipt.institution for receipt in opened.receipts] == [bank for bank in FIVE if bank != "bank-b"]
    for receipt in opened.receipts:
        assert receipt.sums is not None
        assert [(item.sum, item.institutions) for item in receipt.sums.missing] == [("table", ("bank-b",))]
        assert (receipt.sums.institutions, receipt.sums.threshold, receipt.sums.colluding) == (5, 4, 1)
        assert (receipt.sums.engine, receipt.sums.opened) == ("masked", 1)
        assert "64 bits" in receipt.sums.parameters
    (entry,) = logged(five, "coordinator", "sum.dropped", status.job_id)
    assert (entry["detail"]["institution"], entry["reason"]) == ("bank-b", "the disk is full")
    assert attempts(five, status.job_id) == {1}


@pytest.mark.parametrize("step", ["sum.share", "query.tabulate", "sum.sign"])
@pytest.mark.slow
def test_whoever_is_silent_for_a_while_has_the_result_too(
    step: str, five: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as late:
        back = silent(late, step, "bank-d")
        job_id = five.submit(STATISTICS)
        waiting = threading.Event()
        while not logged(five, "coordinator", "sum.added", job_id):
            waiting.wait(0.05)
        back.set()
        status = five.finish(job_id)
    assert status.state == "finished", status
    there = 4 if step in BEFORE_UPLOAD else 5
    assert five.result(job_id)["overall"]["count"] == there * EACH
    assert attempts(five, job_id) == {1}


@pytest.mark.parametrize("step", ["sum.share", *map(later, ("query.tabulate", "sum.sign"))])
def test_when_too_many_drop_out_the_job_fails_and_names_them(
    step: str, five: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dropped:
        dropping(dropped, step, "bank-b", "bank-e")
        status = five.run(STATISTICS)
    assert status.state == "failed"
    assert {refusal.institution for refusal in status.refusals} == {"bank-b", "bank-e"}
    assert {refusal.failure.what for refusal in status.refusals} == {"the disk is full"}
    for bank in FIVE:
        assert not [entry for entry in entries(five, bank, status.job_id) if entry.type == "sum.opened"]


def test_one_is_missing_and_another_one_gives_nothing_that_opens_the_sum(
    five: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dropped:
        dropping(dropped, "query.tabulate", "bank-b")
        dropping(dropped, "sum.reveal", "bank-e")
        status = five.run(STATISTICS)
    assert status.state == "failed"
    assert {refusal.institution for refusal in status.refusals} == {"bank-b", "bank-e"}
    for bank in FIVE:
        assert not logged(five, bank, "sum.opened", status.job_id)


@pytest.mark.parametrize("step", ["sum.sign", "query.conclude"])
def test_whoever_drops_out_behind_its_upload_is_in_the_sum(
    step: str, five: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others open it, finish the job without it, and say so in their receipts."""
    with monkeypatch.context() as dropped:
        dropping(dropped, step, "bank-b")
        status = five.run(STATISTICS)
    assert status.state == "finished", status
    assert five.result(status.job_id)["overall"]["count"] == 5 * EACH
    with five.analyst() as session:
        receipts = session.result(status.job_id).receipts
    assert [(receipt.absent, receipt.sums.missing) for receipt in receipts if receipt.sums] == [
        (("bank-b",), ())
    ] * 4
    for bank in set(FIVE) - {"bank-b"}:
        opened = logged(five, bank, "sum.opened", status.job_id)
        assert [entry["detail"]["institutions"] for entry in opened] == [list(FIVE)]
    assert attempts(five, status.job_id) == {1}


def test_both_engines_give_the_same(five: Consortium) -> None:
    results = []
    for engine in ("masked", "lattice"):
        status = five.run(spec("statistics", parties=FIVE, engine=engine))
        assert status.state == "finished", status
        results.append(five.result(status.job_id))
    assert results[0] == results[1]


LATER = [("query.prepare", 0), ("train", 1), ("train", 3), ("train", 4), ("evaluate", 0)]


@pytest.mark.parametrize("turn", [("train", 2), *(pytest.param(turn, marks=pytest.mark.slow) for turn in LATER)])
def test_training_goes_on_without_a_bank_that_drops_out_of_a_round(
    turn: tuple[str, int], five: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Agent._take

    def take(self: Agent, task: pb.Task, content: Any) -> Any:
        if (task.step, task.round, self._tools.institution) == (*turn, "bank-e"):
            raise StateError("the disk is full", blame="its operator", remedy="make room")
        return honest(self, task, content)

    with monkeypatch.context() as dropped:
        dropped.setattr(Agent, "_take", take)
        status = five.run(spec("train", parties=FIVE))
    assert status.state == "finished", status
    with five.analyst() as session:
        receipts = session.result(status.job_id).receipts
    assert len(receipts) == 4
    for receipt in receipts:
        assert receipt.sums is not None
        missing = {item.sum for item in receipt.sums.missing if "bank-e" in item.institutions}
        sums = ["prepared", *(f"update/{number}" for number in range(1, 5)), "evaluation"]
        turns = [("query.prepare", 0), *(("train", number) for number in range(1, 5)), ("evaluate", 0)]
        assert missing == set(sums[turns.index(turn) :])


@pytest.mark.slow
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_an_update_that_is_no_number_leaves_its_bank_out(
    number: float, five: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = AveragingRounds.contribute

    def contribute(self: AveragingRounds, *about: Any) -> Any:
        update = honest(self, *about)
        return np.full_like(update, number) if self._institution == "bank-e" else update

    with monkeypatch.context() as broken:
        broken.setattr(AveragingRounds, "contribute", contribute)
        status = five.run(spec("train", parties=FIVE))
    assert status.state == "finished", status
    (entry, *_) = logged(five, "coordinator", "sum.dropped", status.job_id)
    assert entry["detail"]["institution"] == "bank-e"
    assert "not a finite number" in entry["reason"]
