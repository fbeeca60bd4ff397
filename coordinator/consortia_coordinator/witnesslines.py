"""The coordinator's line to one witness: questions out, answers in, and what becomes of those that come late.

A question that is not answered in time is withdrawn, and a late answer is dropped. A witness that was too slow is
waited for briefly until it is in time again, so that it can't hold up every round.
"""

import asyncio
import itertools
from contextlib import suppress
from typing import Any

from consortia_common.stream import refusal
from consortia_common.tls import Peer
from consortia_proto.v1 import witness_pb2 as pb

ANSWER_SECONDS = 5.0
"""How long a witness may take before it counts as absent."""
IMPATIENT_SECONDS = 0.25
"""The same for one that was too slow the last time, so that it does not hold up every round."""
MAX_WAITING = 64
"""Questions that may wait for one witness at a time."""
MAX_BYTES = 2 << 20


class Line:
    """One node's stream: questions out, answers in. For one event loop."""

    def __init__(self) -> None:
        self.outgoing: asyncio.Queue[pb.WitnessQuestion | None] = asyncio.Queue(MAX_WAITING)
        self._numbers = itertools.count(1)
        self._patience = ANSWER_SECONDS
        self._waiting: dict[int, asyncio.Future[pb.CosignAnswer]] = {}

    async def ask(self, question: pb.WitnessQuestion) -> pb.CosignAnswer:
        """The answer; ABSENT if it does not come in time, and the question is withdrawn then."""
        question.number = next(self._numbers)
        answer: asyncio.Future[pb.CosignAnswer] = asyncio.get_running_loop().create_future()
        self._waiting[question.number] = answer
        try:
            self.outgoing.put_nowait(question)
            async with asyncio.timeout(self._patience):
                given = await answer
            self._patience = ANSWER_SECONDS
            return given
        except (asyncio.QueueFull, TimeoutError):
            self._patience = IMPATIENT_SECONDS
            return pb.CosignAnswer()
        finally:
            del self._waiting[question.number]

    def is_wanted(self, question: pb.WitnessQuestion) -> bool:
        """Whether somebody still waits for the answer."""
        return question.HasField("warning") or question.number in self._waiting

    def tell(self, question: pb.WitnessQuestion) -> None:
        """Send what needs no answer; dropped if too much waits already."""
        with suppress(asyncio.QueueFull):
            self.outgoing.put_nowait(question)

    def take(self, said: pb.WitnessAnswer) -> None:
        """Give an answer to whoever waits for it; one that nobody waits for is dropped."""
        answer = self._waiting.get(said.number)
        if answer is not None and not answer.done():
            answer.set_result(said.answer)

    def close(self) -> None:
        """End the stream, and tell everybody who waits that no answer comes."""
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_result(pb.CosignAnswer())
        while self.outgoing.full():
            self.outgoing.get_nowait()
        self.outgoing.put_nowait(None)


async def write(line: Line, context: Any) -> None:
    """Send what is asked, until the line is closed."""
    while (question := await line.outgoing.get()) is not None:
        if line.is_wanted(question):
            await context.write(question)


async def read(line: Line, context: Any, peer: Peer) -> None:
    """Take answers, until the node hangs up. Raises BrokenRuleError for one that is too long."""
    while isinstance(said := await context.read(), pb.WitnessAnswer):
        if said.ByteSize() > MAX_BYTES:
            raise refusal("an answer is too long", peer.institution)
        line.take(said)
