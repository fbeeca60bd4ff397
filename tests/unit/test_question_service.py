"""Questions to nodes: whoever waits for an answer holds up nobody else, and answers have an end."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from consortia_common.content import Content
from consortia_common.documents.plan import PlanQuestion
from consortia_coordinator.members import Members
from consortia_coordinator.questions import MOST_AT_A_TIME, QuestionService
from consortia_coordinator.replies import MAX_SHORT
from consortia_coordinator.store.members import MembersStore
from consortia_crypto.keys import PrivateIdentity
from consortia_proto.v1 import network_pb2 as pb
from tests.support.callers import Caller, RefusedCallError, admit, everything, know_callers
from tests.support.parties import ANALYST, Lab, lab
from tests.support.specs import BANKS, spec

ANA = Caller.of(ANALYST)
NODES = [PrivateIdentity.generate("lab", bank, "node", "node") for bank in BANKS]


@pytest.fixture
def coordinator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    know_callers(monkeypatch)
    with lab(tmp_path) as made:
        admit(MembersStore(made.engine), ANALYST, *NODES)
        yield made


def service(coordinator: Lab, seconds: float) -> QuestionService:
    store = MembersStore(coordinator.engine)
    known = Members("lab", store, lambda: datetime(2026, 6, 1, tzinfo=UTC), coordinator.log)
    return QuestionService(known, coordinator.mailbox, coordinator.log, seconds)


def question(nonce: int = 0) -> pb.SignedQuestion:
    asked = PlanQuestion(
        network="lab", spec=spec("train"), nonce=f"{nonce:032x}", asked_ms=5, analyst=ANALYST.public.fingerprint
    )
    signature = ANALYST.sign(PlanQuestion.domain(), asked.canonical())
    return pb.SignedQuestion(step=PlanQuestion.STEP, document=asked.canonical(), signature=signature)


async def test_whoever_asks_banks_that_are_away_holds_up_nobody(coordinator: Lab) -> None:
    """More at a time than asyncio has threads, on which the exchange itself rests."""
    asked = service(coordinator, 1.5)
    waiting = [asyncio.create_task(everything(asked.Ask(question(number), ANA))) for number in range(40)]
    await asyncio.sleep(0)
    began = asyncio.get_running_loop().time()
    await asyncio.to_thread(bool)
    assert asyncio.get_running_loop().time() - began < 1.2
    ended: list[Any] = await asyncio.gather(*waiting, return_exceptions=True)
    refused = [one for one in ended if isinstance(one, RefusedCallError)]
    assert len(refused) == 40 - MOST_AT_A_TIME
    assert "as many as one may ask at a time" in str(refused[0])
    answered = [page for one in ended if isinstance(one, list) for page in one]
    assert {answer.failure.what for page in answered for answer in page.answers} == {
        "no answer to step 'plan', turn 0, within 2 s"
    }
    assert await everything(asked.Ask(question(99), ANA))


async def test_a_question_that_was_called_off_counts_until_it_is_over(coordinator: Lab) -> None:
    """Else an analyst who hangs up at once could take every thread."""
    asked = service(coordinator, 1.0)
    waiting = [
        asyncio.create_task(everything(asked.Ask(question(number), ANA))) for number in range(MOST_AT_A_TIME)
    ]
    while len(coordinator.journalled()) < MOST_AT_A_TIME * len(BANKS):
        await asyncio.sleep(0.01)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    with pytest.raises(RefusedCallError, match="as many as one may ask"):
        await everything(asked.Ask(question(99), ANA))


@pytest.mark.parametrize("longer", [0, 1])
async def test_an_answer_is_not_endless(coordinator: Lab, longer: int) -> None:
    said = Content(config={"answer": bytes(MAX_SHORT + longer), "signature": b""})
    coordinator.says[PlanQuestion.STEP] = lambda *_: said
    coordinator.connect(BANKS)
    found = await everything(service(coordinator, 5).Ask(question(), ANA))
    answers = [answer for page in found for answer in page.answers]
    assert len(found) == (1 if longer else len(BANKS))
    assert [len(answer.document) for answer in answers] == [0 if longer else MAX_SHORT] * len(BANKS)
    assert all(("more than" in answer.failure.what) == bool(longer) for answer in answers)
