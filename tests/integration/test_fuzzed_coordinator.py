"""A coordinator that spoils what it sends: real nodes answer with a reason, lose no step of others, and go on.

Tasks are those of honest jobs, with contents spoilt at the bytes of the wire: any step with any content, and whole
jobs in which each task may be spoilt, so that every state of a job meets hostile bytes.
"""

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from google.protobuf.message import DecodeError

from consortia_common.content import Content
from consortia_common.contents import in_memory
from consortia_crypto.errors import ConsortiaError
from consortia_proto.v1 import content_pb2
from consortia_proto.v1 import exchange_pb2 as pb
from tests.fuzz.mutation import mutate
from tests.support.consortium import build
from tests.support.hostile import Bank, Deal, Hostile, hostile
from tests.support.specs import BANKS, spec

NOTICES = (
    "notice.change", "notice.statement", "notice.consent", "notice.approval", "notice.confirmation",
    "notice.model", "notice.acknowledgement", "approval", "approval.end",
)  # fmt: skip
SHALLOW, DEEP = 150, 4


@dataclass
class Line:
    """Every task on its way to a node: recorded, and spoilt as often as ``chance`` says."""

    random: Random = field(default_factory=lambda: Random(1))
    chance: float = 0.0
    contents: list[bytes] = field(default_factory=list)
    steps: set[str] = field(default_factory=lambda: set(NOTICES))
    spoilt: int = 0

    def send(
        self, bank: Bank, step: str, content: Content | None = None, *, job: str = "", turn: int = 0
    ) -> pb.Reply:
        carried = (content or Content()).to_proto()
        self.contents.append(carried.SerializeToString())
        self.steps.add(step)
        if self.random.random() < self.chance:
            carried = self.spoil(self.contents[-1])
        return give(bank, step, carried, job, turn)

    def spoil(self, good: bytes) -> content_pb2.Content:
        """A content that can be decoded, but for what it says; bytes that can't are the exchange's affair."""
        self.spoilt += 1
        while True:
            with contextlib.suppress(DecodeError):
                return content_pb2.Content.FromString(mutate(good, self.contents, self.random))


def give(bank: Bank, step: str, content: content_pb2.Content, job: str, turn: int) -> pb.Reply:
    """What the node answers, which it must, whatever it is asked."""
    task_id = f"{job}/{step}/{turn}/{bank.tools.institution}/{secrets.token_hex(4)}"
    task = pb.Task(task_id=task_id, job_id=job, step=step, round=turn, content=content)
    bank.tools.tasks.receive(task, in_memory(task.SerializeToString()))
    reply = bank.agent.handle(task)
    if reply.WhichOneof("outcome") is None:
        raise RuntimeError(f"no answer to {task}")
    if "did not expect" in reply.failure.what:
        raise RuntimeError(f"{reply.failure}: {task}")
    return reply


@pytest.fixture(scope="module")
def line() -> Line:
    return Line()


@pytest.fixture(scope="module")
def seat(tmp_path_factory: pytest.TempPathFactory, line: Line) -> Iterator[Hostile]:
    def ask(bank: Bank, *said: Any, **where: Any) -> pb.Reply:
        return line.send(bank, *said, **where)

    consortium = build(tmp_path_factory.mktemp("spoils"))
    with pytest.MonkeyPatch.context() as patched, hostile(consortium, max_jobs=1000) as made:
        patched.setattr(Bank, "ask", ask)
        yield made


def run(seat: Hostile, job: Any) -> Deal:
    """A job from its offer to its receipts."""
    deal = seat.begun(job)
    seat.summed(deal, "table", "query.tabulate")
    seat.concluded(deal)
    seat.everyone(deal, "close", Content(config={"outcome": "finished"}))
    return deal


def test_every_step_refuses_what_is_spoilt(seat: Hostile, line: Line) -> None:
    jobs = [
        run(seat, spec("statistics")).job_id,
        seat.accepted(spec("train")).job_id,
        "job-" + "0" * 16,
        "",
        "\u202e",
    ]
    for number in range(SHALLOW):
        bank = seat.banks[BANKS[number % len(BANKS)]]
        step = line.random.choice(sorted(line.steps))
        content = line.spoil(line.random.choice(line.contents))
        give(bank, step, content, line.random.choice(jobs), line.random.choice((0, 0, 1, 2**32 - 1)))


def _spoilt_jobs(seat: Hostile, line: Line, count: int) -> None:
    """So many jobs in which every fourth task is spoilt; most end early, at one party or all."""
    line.chance, before = 0.25, line.spoilt
    for _ in range(count):
        with contextlib.suppress(AssertionError, KeyError, ConsortiaError):  # this side's, once a node has refused
            run(seat, spec("statistics"))
    line.chance = 0.0
    assert line.spoilt > before


def test_spoilt_jobs_end_and_others_go_on(seat: Hostile, line: Line) -> None:
    _spoilt_jobs(seat, line, DEEP)
    run(seat, spec("statistics"))


@pytest.mark.slow
def test_many_spoilt_jobs_end_and_others_go_on(seat: Hostile, line: Line) -> None:
    _spoilt_jobs(seat, line, 25 * DEEP)
    run(seat, spec("statistics"))
