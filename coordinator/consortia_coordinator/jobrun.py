"""One job as its kind sees it: steps become journalled tasks, answers become contents, sums are added sealed.

Everything here can happen twice: a restarted coordinator runs the job's kind again from the top. Tasks and answers
are found in the mailbox by their ids, sums in the memos, and nothing is sent, added or logged a second time.
"""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from consortia_common import sealed
from consortia_common.audit_log import AuditLog
from consortia_common.content import Beside, Content
from consortia_common.documents.jobspec import CONCLUDE, PROGRESS, JobSpec
from consortia_common.documents.kinds.train import Parameters as TrainParameters
from consortia_common.errors import ExchangeError
from consortia_coordinator.adding import Workers
from consortia_coordinator.epochs import open_epoch
from consortia_coordinator.errors import PartiesRefusedError, StoppingError
from consortia_coordinator.federated import ExchangeGrid, run_strategy
from consortia_coordinator.mailbox import Mailbox, Post
from consortia_coordinator.replies import blob, failure_of, late, party_of, short_blob
from consortia_coordinator.store.jobs import JobStore, Memos
from consortia_coordinator.sums import SumRuns
from consortia_coordinator.training import Training
from consortia_crypto.audit.entry import Entry
from consortia_crypto.errors import CryptoError
from consortia_crypto.sum.terms import threshold
from consortia_proto.v1 import content_pb2, exchange_pb2, network_pb2

_LETTER = "envelope."
"""Prefix of the names under which an answer carries letters, one for each recipient."""
_ANALYST = "analyst"
_RESULT = _LETTER + _ANALYST
CLOSE = "close"
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


class JobRun:
    """Implements consortia_coordinator.kinds.Job for one job."""

    def __init__(self, job_id: str, spec: JobSpec, tools: Tools) -> None:
        self.job_id = job_id
        self._spec = spec
        seconds = min(tools.step_timeout, spec.step_seconds or tools.step_timeout)
        self._tools = replace(tools, step_timeout=seconds)
        self._sums = SumRuns(self)
        self._given_up = threading.Event()

    @property
    def tools(self) -> Tools:
        """What every job shares."""
        return self._tools

    @cached_property
    def memos(self) -> Memos:
        """What this job keeps of its course for a rerun; the job's own thread alone keeps any."""
        return Memos(self._tools.store, self.job_id)

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

    @property
    def spec(self) -> JobSpec:
        """See Job."""
        return self._spec

    def progress(self, stage: str, done: int, total: int) -> None:
        """See Job."""
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

    def log_once(self, memo: str, event: str, **fields: Any) -> None:
        """Log what this job met at the point ``memo``, unless a run before a restart has logged it."""
        if self.memos.get(memo) is None:
            self._tools.log.append(event, job=self.job_id, **fields)
            self.memos.keep(memo, b"logged", lasting=False)

    def offer(self, offer: Content) -> dict[str, Content]:
        """Ask every party's gate; waits for all of them together, so that a refused job shows every refusal."""
        patience = self._tools.offer_timeout
        ids = self.post("offer", 0, dict.fromkeys(self.spec.parties, offer), seconds=patience)
        answers = self.gather(list(ids.values()), patience, every=True)
        failures = answers.failures | answers.late
        for institution in self.spec.parties:
            self._log_decision(institution, failures.get(institution))
        if failures:
            raise PartiesRefusedError(failures)
        return {party_of(task_id): content for task_id, content in answers.contents.items()}

    def ask(self, step: str, requests: Mapping[str, Content], turn: int = 0) -> dict[str, Content]:
        """See Job."""
        return self._answers(step, turn, self.collect(self._take_step(step, turn, requests).values()))

    def _take_step(self, step: str, turn: int, requests: Mapping[str, Content]) -> dict[str, str]:
        """Journal a step of the kind's own, with what rides with it of the sums before and behind it."""
        ids = self.post(step, turn, self._sums.loaded(step, turn, requests))
        self._sums.sent()
        return ids

    def ask_all(self, step: str, request: Content, turn: int = 0) -> dict[str, Content]:
        """See Job."""
        return self.ask(step, dict.fromkeys(self.spec.parties, request), turn)

    def close(self) -> dict[str, Content]:
        """Have all end the job; the receipts of those who stayed, each of which says who did not."""
        self._sums.require_given()
        staying = self._sums.present
        absent = [party for party in self.spec.parties if party not in staying]
        closing = Content(config={"outcome": "finished", "reason": "", "absent": absent})
        ids = self.post(CLOSE, 0, dict.fromkeys(self.spec.parties, closing))
        return self._answers(CLOSE, 0, self.collect(ids[party] for party in staying))

    def open_epoch(self) -> None:
        """See Job."""
        self._sums.begin(open_epoch(self))

    def sum(self, name: str, step: str, turn: int = 0) -> None:
        """See Job."""
        self._sums.share(name, turn)
        self._take_step(step, turn, dict.fromkeys(self.spec.parties, Content()))
        self._sums.aggregate(name, turn, step)

    def fit(self, rounds: int) -> None:
        """See Job."""
        strategy = cast("TrainParameters", self.spec.parameters).strategy
        run_strategy(strategy, self.grid, Training(self, self._sums, rounds), rounds)

    def heard(self, step: str, turn: int) -> bool:
        """Hand on what a party has told the analyst in a step; whether all that are still there say that its rounds
        are over. Decided once, whatever comes late."""
        memo = f"heard/{step}/{turn}"
        if (kept := self.memos.get(memo)) is None:
            ids = [self.task_id(party, step, turn) for party in self.spec.parties]
            said = {party_of(each): content for each, content in self.answered(ids).items()}
            self._tell(turn, said)
            there = [said[party].config.get("over") is True for party in self._sums.present if party in said]
            kept = b"over" if there and all(there) else b"on"
            self.memos.keep(memo, kept, lasting=kept == b"over")
        return kept == b"over"

    def _tell(self, turn: int, said: Mapping[str, Content]) -> None:
        """Keep the newest word on how the job goes, which a party has sealed for the analyst."""
        for party in said:
            if PROGRESS in said[party].config:
                envelope = short_blob(said[party], PROGRESS, party)
                self._log_letter(party, _ANALYST, PROGRESS, turn, envelope)
                told = network_pb2.Progress(sealed_by=party, round=turn, envelope=envelope)
                self._tools.store.tell(self.job_id, told)

    def conclude(self, requests: Mapping[str, Content] | None = None) -> None:
        """See Job. The sealed result is kept until the receipts are in."""
        step, there = CONCLUDE.step, self._sums.present
        asked = requests or dict.fromkeys(self.spec.parties, Content())
        able = [party for party in self.spec.parameters.reporters(self.spec.parties) if party in there]
        reporters = able[: 1 + self._spare]
        ids = self._take_step(
            step,
            0,
            {
                party: Content(config={**content.config, "report": party in reporters})
                for party, content in asked.items()
            },
        )
        answers = self._answers(step, 0, self._staying({party: ids[party] for party in ids if party in there}))
        self.result = next(
            ((party, blob(answers[party], _RESULT, party)) for party in reporters if _has_result(answers, party)),
            ("", b""),
        )

    result: tuple[str, bytes] = ("", b"")
    """Who sealed the result for the analyst, and the envelope; empty if none leaves the institutions."""

    @cached_property
    def grid(self) -> ExchangeGrid:
        """The exchange as Flower sees it."""
        return ExchangeGrid(self.spec.parties, self._take_step, self.answered)

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

    @property
    def _spare(self) -> int:
        """How many parties the job can do without."""
        parties = len(self.spec.parties)
        return parties - threshold(parties, self.spec.colluders) if self.spec.parameters.sums() else 0

    def _staying(self, ids: Mapping[str, str]) -> dict[str, Content]:
        """The answers, by task id, of the parties that stay; others that the job can do without are lost."""
        need = len(self.spec.parties) - self._spare
        if len(ids) <= need:
            return self.collect(ids.values())
        patience = min(self._tools.dropout_timeout, self._tools.step_timeout)
        answers = self.gather(list(ids.values()), patience, every=True)
        if len(answers.contents) < need:
            raise PartiesRefusedError(self.causes(answers.failures or answers.late))
        self._sums.lose(answers.failures | answers.late)
        return answers.contents

    def _answers(self, step: str, turn: int, contents: Mapping[str, Content]) -> dict[str, Content]:
        """The answers by party; the letters in them are logged."""
        answers = {party_of(task_id): content for task_id, content in contents.items()}
        for institution, content in answers.items():
            self._log_letters(institution, step, turn, content)
        return answers

    def _log_decision(self, institution: str, failure: exchange_pb2.Failure | None) -> None:
        """What a party's gate said; a party that did not answer, or could not, has decided nothing."""
        if failure is None or failure.code == "refused":
            self.log_once(
                f"decided/{institution}",
                "job.decided",
                institution=institution,
                agreement=self.spec.agreement,
                decision="refuse" if failure else "accept",
                reason=failure.what if failure else "",
                policy_hash=self.spec.hash(),
                kind=self.spec.kind,
            )

    def _log_letters(self, sender: str, step: str, turn: int, content: Content) -> None:
        """The letters that a party's answer carries, which go on to their recipients as they came."""
        for name, envelope in content.config.items():
            recipient = name.removeprefix(_LETTER)
            if recipient != name and isinstance(envelope, bytes):
                self._log_letter(sender, recipient, "result" if recipient == _ANALYST else step, turn, envelope)

    def _log_letter(self, sender: str, recipient: str, step: str, turn: int, envelope: bytes) -> None:
        self.log_once(
            f"letter/{step}/{turn}/{sender}/{recipient}",
            "envelope.relayed",
            step=step,
            sender=sender,
            recipient=recipient,
            digest=hashlib.sha256(envelope).hexdigest(),
            bytes=len(envelope),
        )

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


def _has_result(answers: Mapping[str, Content], party: str) -> bool:
    return party in answers and _RESULT in answers[party].config
