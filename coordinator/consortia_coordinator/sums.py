"""The coordinator's side of a job's sealed sums, in the order of its course: it adds what it can't read.

A sum is one attempt (addition.py), or as many as it takes. A total rides with the step that comes next, the lists
of a sum with the step that makes its summand; first messages are asked for in shares.py, and the vectors are in
uploads.py. After a restart the same course is gone through again, from what was kept.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from consortia_common import sealed
from consortia_common.content import Content
from consortia_common.documents.kinds import Turn
from consortia_coordinator.addition import Addition, Given
from consortia_coordinator.attempt import Attempt, Waiting, words_of
from consortia_coordinator.epochs import Epoch
from consortia_coordinator.errors import CoordinatorError, PartiesRefusedError, TooFewError
from consortia_coordinator.jobtasks import JobTasks
from consortia_coordinator.shares import Shares
from consortia_coordinator.totals import Totals
from consortia_proto.v1 import exchange_pb2

ATTEMPTS = 3
"""How often a sum is tried in which too many parties were lost before any key was revealed."""


class SumRuns:
    """The sums of one job, in the order of its course."""

    def __init__(self, run: JobTasks) -> None:
        self._run = run
        self._waiting = Waiting(run)
        self._shares = Shares(run.job_id, run.spec, self._waiting)
        self._epoch = Epoch({}, b"")
        self._before = sealed.NOTHING_BEFORE
        self._newest: Addition | None = None
        self._given: Given | None = None
        self._last: tuple[str, ...] = run.spec.parties
        self._added: list[str] = []
        turns = run.spec.parameters.turns(run.spec.parties[0]) if run.spec.parameters.sums() else ()
        self._gives = {turn: turn.gives for turn in turns if turn.gives}

    def begin(self, epoch: Epoch) -> None:
        """Keep what is known of the parties' keys."""
        self._epoch = epoch

    @property
    def present(self) -> tuple[str, ...]:
        """The parties whose uploads were in the last sum, and whose job has not ended since."""
        return tuple(party for party in self._last if party in self._waiting.left)

    def lose(self, failures: Mapping[str, exchange_pb2.Failure]) -> None:
        """These parties have dropped out of the job."""
        self._waiting.lose(failures)

    def share(self, name: str, turn: int, number: int = 1) -> None:
        """Ask every party for its first message (R1); may be done long before its summand is ready."""
        self._shares.ask(self._about(name, turn, "", number))

    def loaded(self, step: str, turn: int, asked: Mapping[str, Content]) -> Mapping[str, Content]:
        """The requests of a step with what rides with them: the total before it, the lists of the sum behind it."""
        lists = self._lists(Turn(step, turn))
        if not lists and not self._given:
            return asked
        before = self._given.words if self._given else {}
        return {
            party: replace(content, config={**content.config, **before, **lists.get(party, {})})
            for party, content in asked.items()
        }

    def require_given(self) -> None:
        """Return if every total is on its way. Raises CoordinatorError if no step came behind the last sum."""
        if self._given:
            name = self._given.addition.attempt.name
            raise CoordinatorError(
                f"the total of {name} was given to nobody: no step of the kind came behind it",
                blame=f"the job kind {self._run.spec.kind}",
                remedy="have the kind conclude behind its last sum",
            )

    def sent(self) -> None:
        """What was loaded is journalled."""
        if self._given:
            given, self._given = self._given, None
            given.addition.keep("given", given.memo, lasting=given.totals.lasting)
            self._forget(given.addition.attempt, given.totals)

    def _lists(self, turn: Turn) -> dict[str, dict[str, Any]]:
        """U1 of the sum for which a step makes the summand, by party; none if that is for a later attempt."""
        name = self._gives.get(turn)
        if name is None:
            return {}
        addition = self._addition(name, turn.round, turn.step, 1)
        if addition.memo("abandoned") is None:
            with self._another_attempt_after(addition):
                _, lists = addition.listed
                said = {party: {"message": message.to_bytes()} for party, message in lists.items()}
                about = addition.attempt
                return {party: sealed.riding(sealed.BEHIND, words_of(about, **said[party])) for party in said}
        return {}

    def aggregate(self, name: str, turn: int, step: str) -> None:
        """Add the uploads and give every party the sealed total. Raises PartiesRefusedError if too few are left."""
        for number in range(1, ATTEMPTS + 1):
            addition = self._addition(name, turn, step, number)
            if number > 1:
                self.share(name, turn, number)
            if addition.memo("abandoned") is not None:
                continue
            with self._another_attempt_after(addition):
                self._take(addition)
                return

    @contextmanager
    def _another_attempt_after(self, addition: Addition) -> Iterator[None]:
        """Give the attempt up if too few parties are left in it. Raises PartiesRefusedError if it was the last."""
        try:
            yield
        except TooFewError as few:
            addition.keep("abandoned", sorted(few.failures), lasting=True)  # institutions are told of the next one
            attempt = addition.attempt
            if attempt.number == ATTEMPTS or len(self._waiting.left) < attempt.policy.threshold:
                raise PartiesRefusedError(self._run.causes(few.failures)) from few

    def _take(self, addition: Addition) -> None:
        """R1 to R5, or what came of them before a restart. Raises TooFewError while another attempt may be made."""
        given = addition.memo("given")
        if given is None:
            self._given = addition.add()
            given = self._given.memo
        else:
            self._forget(addition.attempt, addition.totals(0))
        self._before = sealed.chained(self._before, given["digest"])
        self._last = tuple(given["institutions"])

    def _forget(self, attempt: Attempt, totals: Totals) -> None:
        """Erase the total here, and the uploads of the sum before, whose total outlasts a power cut by now."""
        self._waiting.drop(self._added)
        self._added = [self._waiting.upload_id(party, attempt) for party in self._run.spec.parties]
        totals.remove()

    def _addition(self, name: str, turn: int, step: str, number: int) -> Addition:
        """An attempt; the newest is kept, of which a step may have carried the lists."""
        attempt = self._about(name, turn, step, number)
        if self._newest is None or self._newest.attempt.key != attempt.key:
            self._newest = Addition(self._run, self._waiting, self._shares, self._epoch, attempt, self._before)
        return self._newest

    def _about(self, name: str, turn: int, step: str, number: int) -> Attempt:
        return Attempt(name, turn, step, number, sealed.policy_of(self._run.job_id, self._run.spec, name, turn))
