"""One job as its kind sees it: steps become journalled tasks, answers become contents, sums are added sealed.

Everything here can happen twice: a restarted coordinator runs the job's kind again from the top. Tasks and answers
are found in the mailbox by their ids, sums in the memos, and nothing is sent, added or logged a second time.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from consortia_common import sealed
from consortia_common.audit_log import AuditLog
from consortia_common.content import Content
from consortia_common.documents.jobspec import JobSpec
from consortia_common.documents.kinds.train import Parameters as TrainParameters
from consortia_common.errors import ExchangeError
from consortia_coordinator.errors import CoordinatorError
from consortia_coordinator.federated import ExchangeGrid, run_strategy
from consortia_coordinator.mailbox import Mailbox
from consortia_coordinator.replies import blob, failure_of, late, party_of
from consortia_coordinator.store.jobs import JobStore
from consortia_crypto.errors import CryptoError
from consortia_crypto.sum.coordinator import LatticeCoordinator
from consortia_proto.v1 import exchange_pb2

_LETTER = "envelope."
"""Prefix of the names under which an answer carries letters, one for each recipient."""
_ANALYST = "analyst"


class PartiesRefusedError(CoordinatorError):
    """At least one party refused or failed; ``failures`` says which and why."""

    def __init__(self, failures: Mapping[str, exchange_pb2.Failure]) -> None:
        institution, first = next(iter(failures.items()))
        super().__init__(f"{institution}: {first.what}", blame=first.blame, remedy=first.remedy)
        self.failures = failures

    @property
    def refused(self) -> bool:
        """Whether a gate said no, as against something breaking."""
        return any(failure.code == "refused" for failure in self.failures.values())


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


class JobRun:
    """Implements consortia_coordinator.kinds.Job for one job."""

    def __init__(self, job_id: str, spec: JobSpec, tools: Tools) -> None:
        self.job_id = job_id
        self._spec = spec
        self._tools = tools
        self._public_context = b""

    @property
    def spec(self) -> JobSpec:
        """See Job."""
        return self._spec

    def progress(self, stage: str, done: int, total: int) -> None:
        """See Job."""
        self._tools.store.progress(self.job_id, stage, done, total)

    def post(self, institution: str, step: str, turn: int, content: Content) -> str:
        """Journal one task; returns its id, which is the same whenever the same step is asked again."""
        task_id = f"{self.job_id}/{step}/{turn}/{institution}"
        task = exchange_pb2.Task(
            task_id=task_id, job_id=self.job_id, step=step, round=turn, content=content.to_proto()
        )
        self._tools.mailbox.post(task, institution)
        return task_id

    def collect(self, task_ids: Iterable[str], timeout: float | None = None) -> dict[str, Content]:
        """All answers by task id. Raises PartiesRefusedError as soon as one is a failure, or if one is late."""
        wait = self._tools.step_timeout if timeout is None else timeout
        contents, failures = self._gather(list(task_ids), wait, every=False)
        if failures:
            raise PartiesRefusedError(failures)
        return contents

    def log_once(self, memo: str, event: str, **fields: Any) -> None:
        """Log what this job met at the point ``memo``, unless a run before a restart has logged it."""
        if self._tools.store.memo(self.job_id, memo) is None:
            self._tools.log.append(event, job=self.job_id, **fields)
            self._tools.store.keep(self.job_id, memo, b"logged")

    def offer(self, offer: Content) -> dict[str, Content]:
        """Ask every party's gate; waits for all of them together, so that a refused job shows every refusal."""
        ids = [self.post(institution, "offer", 0, offer) for institution in self.spec.parties]
        answers, failures = self._gather(ids, self._tools.offer_timeout, every=True)
        for institution in self.spec.parties:
            self._log_decision(institution, failures.get(institution))
        if failures:
            raise PartiesRefusedError(failures)
        return {party_of(task_id): content for task_id, content in answers.items()}

    def ask(self, step: str, requests: Mapping[str, Content], turn: int = 0) -> dict[str, Content]:
        """See Job."""
        ids = [self.post(institution, step, turn, content) for institution, content in requests.items()]
        answers = {party_of(task_id): content for task_id, content in self.collect(ids).items()}
        for institution, content in answers.items():
            self._log_letters(institution, step, turn, content)
        return answers

    def ask_all(self, step: str, request: Content, turn: int = 0) -> dict[str, Content]:
        """See Job."""
        return self.ask(step, dict.fromkeys(self.spec.parties, request), turn)

    def open_epoch(self) -> None:
        """The first party makes the key and seals it to the others; only its public part stays here."""
        leader, *others = self.spec.parties
        made = self.ask("epoch.make", {leader: Content()})[leader]
        self._public_context = blob(made, "public", leader)
        self._adder(next(iter(self.spec.parameters.sums())), 0)
        self.ask(
            "epoch.join",
            {other: Content(config={"envelope": blob(made, f"envelope.{other}", leader)}) for other in others},
        )

    def add(self, name: str, uploads: Mapping[str, Content], turn: int = 0) -> Content:
        """See Job. The sum is kept, so that a rerun neither computes nor logs it again."""
        memo = f"sum/{name}/{turn}"
        kept = self._tools.store.memo(self.job_id, memo)
        if kept is None:
            total = self._add(name, uploads, turn)
            kept = total.to_bytes()
            self._tools.log.append(
                "sum.added",
                job=self.job_id,
                round=turn,
                step=name,
                institutions=self.spec.parties,
                parts=[sealed.digest(uploads[party]) for party in self.spec.parties],
                digest=sealed.digest(total),
                bytes=len(kept),
            )
            self._tools.store.keep(self.job_id, memo, kept)
        return Content.from_bytes(kept, "this coordinator")

    def fit(self, rounds: int, first: Content) -> Content:
        """See Job."""
        return run_strategy(
            cast("TrainParameters", self.spec.parameters).strategy,
            self.grid,
            lambda uploads, turn: self.add("update", uploads, turn),
            rounds,
            first,
            lambda turn: self.progress(f"round {turn} of {rounds}", turn + 1, rounds + 3),
        )

    def conclude(self, requests: Mapping[str, Content]) -> None:
        """See Job. The sealed result is kept until the receipts are in."""
        replies = self.ask("query.conclude", requests)
        reporter = self.spec.parameters.reporter(self.spec.parties)
        if reporter in replies and "envelope.analyst" in replies[reporter].config:
            self.result = (reporter, blob(replies[reporter], "envelope.analyst", reporter))

    result: tuple[str, bytes] = ("", b"")
    """Who sealed the result for the analyst, and the envelope; empty if none leaves the institutions."""

    @cached_property
    def grid(self) -> ExchangeGrid:
        """The exchange as Flower sees it."""
        return ExchangeGrid(self.spec.parties, self.post, self.collect)

    def _gather(
        self, wanted: list[str], seconds: float, *, every: bool
    ) -> tuple[dict[str, Content], dict[str, exchange_pb2.Failure]]:
        """Answers by task id, and failures by party; who is late is one where nobody failed, or if ``every``."""
        replies = self._tools.mailbox.replies(wanted, seconds, every=every)
        contents, failures = {}, {}
        for task_id, reply in replies.items():
            if reply.WhichOneof("outcome") == "content":
                contents[task_id] = Content.from_proto(reply.content, party_of(task_id))
            else:
                failures[party_of(task_id)] = failure_of(reply, task_id)
        if every or not failures:
            failures |= {party_of(task_id): late(task_id, seconds) for task_id in wanted if task_id not in replies}
        return contents, failures

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
                is_result = recipient == _ANALYST
                self.log_once(
                    f"letter/{step}/{turn}/{sender}/{recipient}",
                    "envelope.relayed",
                    step="result" if is_result else step,
                    sender=sender,
                    recipient=recipient,
                    digest=hashlib.sha256(envelope).hexdigest(),
                    bytes=len(envelope),
                )

    def _add(self, name: str, uploads: Mapping[str, Content], turn: int) -> Content:
        adder = self._adder(name, turn)
        with self._refusals_logged(name):
            parts = {party: sealed.from_content(content, party) for party, content in uploads.items()}
            return sealed.to_content(adder.add(parts))

    def _adder(self, name: str, turn: int) -> LatticeCoordinator:
        """What adds the sum ``name``. A context that holds a secret key is refused here."""
        policy = sealed.policy_of(self.job_id, self.spec, name, turn)
        with self._refusals_logged("epoch.make"):
            return LatticeCoordinator(policy, self._public_context, self.spec.parties[0])

    @contextmanager
    def _refusals_logged(self, step: str) -> Iterator[None]:
        """Put on the log, with its sender's name, what a party sent and this coordinator refused."""
        try:
            yield
        except (CryptoError, ExchangeError) as error:
            self._tools.log.append(
                "ciphertext.refused", job=self.job_id, reason=error.what, peer=error.blame, step=step
            )
            raise
