"""The coordinator's lines to witnesses: late, slow, gone and false answers, and what may call them."""

import asyncio
from pathlib import Path

import pytest

from consortia_coordinator import witnesslines
from consortia_coordinator.witnesslines import Line
from consortia_proto.v1 import witness_pb2 as pb


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witnesslines, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(witnesslines, "IMPATIENT_SECONDS", 0.02)


async def test_an_answer_comes_to_whoever_asked() -> None:
    line = Line()
    asked = [asyncio.create_task(line.ask(pb.WitnessQuestion(request=b"%d" % number))) for number in range(3)]
    sent = [await line.outgoing.get() for _ in asked]
    for question in reversed(sent):
        assert question is not None
        line.take(pb.WitnessAnswer(number=question.number, answer=pb.CosignAnswer(cosignatures=question.request)))
    assert [(await one).cosignatures for one in asked] == [b"0", b"1", b"2"]


async def test_what_was_not_answered_in_time_is_withdrawn_and_a_late_answer_dropped() -> None:
    line = Line()
    assert (await line.ask(pb.WitnessQuestion())).outcome == pb.ABSENT
    question = line.outgoing.get_nowait()
    assert question is not None
    assert not line.is_wanted(question)
    line.take(pb.WitnessAnswer(number=question.number, answer=pb.CosignAnswer(outcome=pb.COSIGNED)))


async def test_whoever_was_slow_is_waited_for_briefly_until_it_is_in_time() -> None:
    line = Line()
    loop = asyncio.get_running_loop()
    await line.ask(pb.WitnessQuestion())
    began = loop.time()
    await line.ask(pb.WitnessQuestion())
    assert loop.time() - began < 0.15
    task = asyncio.create_task(line.ask(pb.WitnessQuestion()))
    await asyncio.sleep(0)
    line.take(pb.WitnessAnswer(number=3, answer=pb.CosignAnswer(outcome=pb.COSIGNED)))
    assert (await task).outcome == pb.COSIGNED
    assert line._patience == 0.2


async def test_a_full_line_and_a_closed_one_answer_at_once() -> None:
    line = Line()
    waiting = [asyncio.create_task(line.ask(pb.WitnessQuestion())) for _ in range(witnesslines.MAX_WAITING)]
    await asyncio.sleep(0)
    assert (await line.ask(pb.WitnessQuestion())).outcome == pb.ABSENT
    line.tell(pb.WitnessQuestion(warning=pb.Contradiction()))
    line.close()
    assert {(await one).outcome for one in waiting} == {pb.ABSENT}
    while (last := line.outgoing.get_nowait()) is not None:
        assert not line.is_wanted(last)


async def test_an_answer_to_nothing_changes_nothing(tmp_path: Path) -> None:
    line = Line()
    line.take(pb.WitnessAnswer(number=99, answer=pb.CosignAnswer(outcome=pb.COSIGNED)))
    line.close()
    line.close()
