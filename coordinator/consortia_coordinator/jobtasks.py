"""The tasks of one job: posted to its parties, waited for, their answers read; and what is kept of its course.

Everything here can happen twice: a restarted coordinator goes through the job again from the top. Tasks and answers
are found in the mailbox by their ids, and nothing is sent or logged a second time.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from consortia_common import sealed
from consortia_common.audit_log import AuditLog
from consortia_common.content import Beside, Content
from consortia_common.documents.jobspec import JobSpec
from consortia_common.errors import ExchangeError
from consortia_coordinator.adding import Workers
from consortia_coordinator.errors import PartiesRefusedError, StoppingError
from consortia_coordinator.mailbox import Mailbox, Post
from consortia_coordinator.replies import failure_of, late, party_of
from consortia_coordinator.store.jobs import JobStore, Memos
from consortia_crypto.audit.entry import Entry
from consortia_crypto.errors import CryptoError
from consortia_proto.v1 import content_pb2, exchange_pb2

CLOSE = "close"
"""The step that ends a job at a party."""
BEHIND = 2
"""So many steps may be asked of a party at a time, each of which is waited for in its turn."""


@dataclass(frozen=True)
class Tools:
    """What every job of this coordinator shares."""

    mailbox: Mailbox
    store: JobStore
    log: AuditLog
    offer_timeout: float
    """Seconds that a party may take to accept or refuse."""
    step_timeout: float
    """Seconds that a party may take for one step."""
    dropout_timeout: float
    """Seconds after which a sum goes on without a party, if enough others are there."""
    sums: Path
    """The folder of totals in the making."""
    workers: Workers
    """Processes for what SEAL must read."""
    witnessed: Callable[[Entry], None]
    """Returns when the witnesses have cosigned a log that has the entry in it; raises WitnessError."""
    now_ms: Callable[[], int]
    """Unix milliseconds by a clock that does not jump while the process runs."""


@dataclass(frozen=True)
class Answers:
    """What came of some tasks: contents by task id; by party, why it failed or that it is late."""

    contents: dict[str, Content]
    failures: dict[str, exchange_pb2.Failure]
    late: dict[str, exchange_pb2.Failure]


class JobTasks:
    """The tasks of one job, for the thread that runs it."""

    def __init__(self, job_id: str, spec: JobSpec, tools: Tools) -> None:
        self.job_id = job_id
        self._spec = spec
        seconds = min(tools.step_timeout, spec.step_seconds or tools.step_timeout)
        self._tools = replace(tools, step_timeout=seconds)
        self._given_up = threading.Event()

    @property
    def tools(self) -> Tools:
        """What every job shares."""
        return self._tools

    @cached_property
    def memos(self) -> Memos:
        """What this job keeps of its course for a rerun; the job's own thread alone keeps any."""
        return Memos(self._tools.store, self.job_id)

    @property
    def spec(self) -> JobSpec:
        """What the analyst asked for."""
        return self._spec

    def give_up(self) -> None:
        """End every wait of this job, now and later, with StoppingError. From any thread."""
        self._given_up.set()
        self._tools.mailbox.wake()

    def require_wanted(self) -> None:
        """Return if the job is still to go on. Raises StoppingError."""
        if self.is_given_up():
            raise StoppingError(
                "the job was let go: its analyst cancelled it, or a member of it was revoked",
                blame="nobody",
                remedy="submit it again if that was a mistake",
            )

    def is_given_up(self) -> bool:
        """Whether the job is to end without going on."""
        return self._given_up.is_set()

    def progress(self, stage: str, done: int, total: int) -> None:
        """Say how far the job is."""
        self._tools.store.progress(self.job_id, stage, done, total)

    def post(
        self, step: str, turn: int, asked: Mapping[str, Content], mark: str = "", seconds: float = 0.0
    ) -> dict[str, str]:
        """Journal a step's tasks together; their ids by party, the same whenever the same step is asked again.

        ``mark`` tells apart tasks of one step and turn. After ``seconds``, or else when nobody waits for the step
        any more, it is not begun; but a job's end is taken whenever it comes.
        """
        patience = seconds or BEHIND * self._tools.step_timeout
        deadline_ms = 0 if step == CLOSE else self._tools.now_ms() + int(patience * 1000)
        ids = {party: self.task_id(party, step, turn, mark) for party in asked}
        self._tools.mailbox.post(self._posts(step, turn, asked, ids, deadline_ms))
        return ids

    def _posts(
        self, step: str, turn: int, asked: Mapping[str, Content], ids: Mapping[str, str], deadline_ms: int
    ) -> Iterator[Post]:
        made, message, body = Content(), content_pb2.Content(), Beside()
        for party, content in asked.items():
            if content is not made:  # what all are asked is made once
                beside = Beside()
                made, message = content, content.to_proto(beside)
                body = body if body.is_same(beside) else beside
            task = exchange_pb2.Task(
                task_id=ids[party],
                job_id=self.job_id,
                step=step,
                round=turn,
                deadline_ms=deadline_ms,
                content=message,
            )
            yield task, party, body

    def task_id(self, institution: str, step: str, turn: int, mark: str = "") -> str:
        """The id under which a task is journalled."""
        return f"{self.job_id}/{step}{mark}/{turn}/{institution}"

    def collect(self, task_ids: Iterable[str], timeout: float | None = None) -> dict[str, Content]:
        """All answers by task id. Raises PartiesRefusedError as soon as one is a failure, or if one is late."""
        wait = self._tools.step_timeout if timeout is None else timeout
        answers = self.gather(list(task_ids), wait, every=False)
        if failures := answers.failures or answers.late:
            raise PartiesRefusedError(self.causes(failures))
        return answers.contents

    def causes(self, failures: Mapping[str, exchange_pb2.Failure]) -> dict[str, exchange_pb2.Failure]:
        """``failures``; where a party had given up the job before, in a step that nobody waited for, why."""
        first = {party: self._tools.mailbox.first_failure(self.job_id, party) for party in failures}
        return {
            party: failure_of(reply, reply.task_id) if (reply := first[party]) else failure
            for party, failure in failures.items()
        }

    def answered(self, task_ids: Iterable[str], timeout: float | None = None) -> dict[str, Content]:
        """The answers that come in time, by task id, without what rides with them; failures are left out."""
        return self.gather(list(task_ids), timeout or 0.0, every=True, bare=True).contents

    def gather(self, wanted: list[str], seconds: float, *, every: bool, bare: bool = False) -> Answers:
        """What comes of these tasks in time; unless ``every`` answer is wanted, a failure ends the wait.

        ``bare`` leaves unread what rides with the answers.
        """
        replies = self._tools.mailbox.answers(wanted, seconds, self.is_given_up, every=every)
        answers = Answers({}, {}, {party_of(each): late(each, seconds) for each in wanted if each not in replies})
        for task_id, (reply, body) in replies.items():
            if reply.WhichOneof("outcome") == "content":
                if bare:
                    sealed.unload(reply.content)
                answers.contents[task_id] = Content.from_proto(reply.content, party_of(task_id), body)
            else:
                answers.failures[party_of(task_id)] = failure_of(reply, task_id)
        return answers

    def log_once(self, memo: str, event: str, **fields: Any) -> None:
        """Log what this job met at the point ``memo``, unless a run before a restart has logged it."""
        if self.memos.get(memo) is None:
            self._tools.log.append(event, job=self.job_id, **fields)
            self.memos.keep(memo, b"logged", lasting=False)

    @contextmanager
    def refusals_logged(self, step: str) -> Iterator[None]:
        """Put on the log, with its sender's name, what a party sent and this coordinator refused."""
        try:
            yield
        except (CryptoError, ExchangeError) as error:
            self._tools.log.append(
                "ciphertext.refused", job=self.job_id, reason=error.what, peer=error.blame, step=step
            )
            raise
