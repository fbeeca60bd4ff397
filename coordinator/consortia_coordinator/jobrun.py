"""One job as its kind sees it: steps that its parties take, letters between them, sums that are added sealed.

A restarted coordinator runs the job's kind again from the top; see jobtasks.py for why nothing happens twice.
"""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import cast

from consortia_common.content import Content
from consortia_common.documents.jobspec import CONCLUDE, PROGRESS, JobSpec
from consortia_common.documents.kinds.train import Parameters as TrainParameters
from consortia_coordinator.epochs import open_epoch
from consortia_coordinator.errors import PartiesRefusedError
from consortia_coordinator.federated import ExchangeGrid, run_strategy
from consortia_coordinator.jobtasks import CLOSE, JobTasks, Tools
from consortia_coordinator.replies import blob, party_of, short_blob
from consortia_coordinator.sums import SumRuns
from consortia_coordinator.training import Training
from consortia_crypto.sum.terms import threshold
from consortia_proto.v1 import exchange_pb2, network_pb2

_LETTER = "envelope."
"""Prefix of the names under which an answer carries letters, one for each recipient."""
_ANALYST = "analyst"
_RESULT = _LETTER + _ANALYST


class JobRun(JobTasks):
    """Implements consortia_coordinator.kinds.Job for one job."""

    def __init__(self, job_id: str, spec: JobSpec, tools: Tools) -> None:
        super().__init__(job_id, spec, tools)
        self._sums = SumRuns(self)

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


def _has_result(answers: Mapping[str, Content], party: str) -> bool:
    return party in answers and _RESULT in answers[party].config
