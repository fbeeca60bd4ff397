"""One attempt at a sealed sum, and waiting for its parties: whoever fails or is late is lost to the attempt.

A party whose job has ended stays lost. A party that is late may be back for the next sum: its tasks wait for it,
and so does the total, so that it can go on.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from consortia_common import sealed
from consortia_common.content import Content
from consortia_common.errors import ExchangeError
from consortia_coordinator.errors import CoordinatorError, StoppingError, TooFewError
from consortia_coordinator.jobtasks import JobTasks
from consortia_coordinator.replies import party_of
from consortia_crypto.errors import CryptoError
from consortia_crypto.sum.terms import SumPolicy
from consortia_proto.v1 import exchange_pb2

SHARE, UPLOAD, FRAME, SIGN, REVEAL, TOTAL = sealed.STEPS
Failures = dict[str, exchange_pb2.Failure]


@dataclass(frozen=True)
class Attempt:
    """One attempt at one sum; ``step`` makes its summands, and the first attempt rides with it."""

    name: str
    turn: int
    step: str
    number: int
    policy: SumPolicy

    @property
    def key(self) -> str:
        """Prefix of its memos, and the name of its folder."""
        return f"{self.name}.{self.turn}.{self.number}"


def words_of(attempt: Attempt, **said: Any) -> dict[str, Any]:
    """What is said to a party of an attempt."""
    return {"sum": attempt.name, "attempt": attempt.number, **said}


class Waiting:
    """Asks the parties of one job, and keeps who is lost and why."""

    def __init__(self, run: JobTasks) -> None:
        self._run = run
        self._ended: Failures = {}
        self._lost: dict[str, Failures] = {}

    @property
    def left(self) -> tuple[str, ...]:
        """The parties whose job has not ended."""
        return tuple(party for party in self._run.spec.parties if party not in self._ended)

    def lose(self, failures: Mapping[str, exchange_pb2.Failure]) -> None:
        """These parties' jobs have ended."""
        self._ended |= failures

    def post(
        self, step: str, attempt: Attempt, said: Mapping[str, Mapping[str, Any]], frame: int | None = None
    ) -> list[str]:
        """Journal one task of the protocol for each party to which something is said; their ids."""
        made = {id(words): Content(config=words_of(attempt, **words)) for words in said.values()}
        asked = {party: made[id(words)] for party, words in said.items()}
        return list(self._run.post(step, attempt.turn, asked, _mark(attempt, frame)).values())

    def task_id(self, party: str, step: str, attempt: Attempt, frame: int | None = None) -> str:
        """The id of a task that was posted."""
        return self._run.task_id(party, step, attempt.turn, _mark(attempt, frame))

    def upload_id(self, party: str, attempt: Attempt) -> str:
        """The id of the task whose answer has R2: the step that makes the summand, or one of its own."""
        if attempt.number == 1:
            return self._run.task_id(party, attempt.step, attempt.turn)
        return self.task_id(party, UPLOAD, attempt)

    def uploads(self, attempt: Attempt, parties: Collection[str], need: int) -> dict[str, Content]:
        """R2 of these parties; see ``wait``."""
        ids = [self.upload_id(party, attempt) for party in parties]
        answers = self.wait(attempt, ids, need)
        if attempt.number > 1:
            return answers
        return {party: sealed.ridden(content, sealed.BEHIND) for party, content in answers.items()}

    def answers(self, attempt: Attempt, step: str, parties: Collection[str], need: int) -> dict[str, Content]:
        """What these parties answered to ``step``; see ``wait``."""
        return self.wait(attempt, [self.task_id(party, step, attempt) for party in parties], need)

    def wait(self, attempt: Attempt, ids: Collection[str], need: int) -> dict[str, Content]:
        """The answers to these tasks by party; whose does not come is lost. Once ``need`` are there, nobody is
        waited for in vain for long."""
        tools = self._run.tools
        patience = min(tools.dropout_timeout, tools.step_timeout) if need < len(ids) else tools.step_timeout
        answers = self._run.gather(list(ids), patience, every=need < len(ids))
        if len(answers.contents) < need and patience < tools.step_timeout:
            answers = self._run.gather(list(ids), tools.step_timeout - patience, every=True)
        over = answers.failures and need == len(ids)  # then a failure ended the wait, and nobody else is late
        self._lost.setdefault(attempt.key, {}).update(answers.failures if over else answers.failures | answers.late)
        self._ended |= answers.failures
        return {party_of(task_id): content for task_id, content in answers.contents.items()}

    def one(self, attempt: Attempt, step: str, party: str, frame: int) -> Content:
        """What ``party`` answered about a frame. Raises CoordinatorError if nothing comes."""
        ids = [self.task_id(party, step, attempt, frame)]
        patience = min(self._run.tools.dropout_timeout, self._run.tools.step_timeout)
        answers = self._run.gather(ids, patience, every=False)
        for failure in (answers.failures | answers.late).values():
            raise CoordinatorError(failure.what, blame=failure.blame, remedy=failure.remedy)
        return answers.contents[ids[0]]

    def follow(self, attempt: Attempt, first: int, ids: Collection[str]) -> None:
        """Wait until these tasks are done; a party that fails or is late can't follow any more, and is lost."""
        memo = f"{attempt.key}/followed.{first}"
        if self._run.memos.get(memo) is not None:
            return
        patience = min(self._run.tools.dropout_timeout, self._run.tools.step_timeout)
        answers = self._run.gather(list(ids), patience, every=True)
        self._ended |= answers.late | answers.failures
        self._run.memos.keep(memo, b"followed")
        self._run.tools.mailbox.drop(ids)

    def drop(self, ids: Collection[str]) -> None:
        """Erase what these answered tasks held."""
        if ids:
            self._run.tools.mailbox.drop(ids)

    @contextmanager
    def losing(self, attempt: Attempt, step: str, party: str) -> Iterator[None]:
        """What is wrong with a party's answer loses the party, and is logged."""
        try:
            with self._run.refusals_logged(step):
                yield
        except StoppingError:
            raise
        except (CryptoError, ExchangeError, CoordinatorError) as error:
            failure = exchange_pb2.Failure(code="failed", what=error.what, blame=error.blame, remedy=error.remedy)
            self._lost.setdefault(attempt.key, {})[party] = self._ended[party] = failure

    def require(self, attempt: Attempt, there: Collection[str], need: int) -> None:
        """Return if so many are there that the sum can go on. Raises TooFewError."""
        if len(there) < need:
            raise TooFewError(self._lost.get(attempt.key, {}))

    def reason(self, attempt: Attempt, party: str) -> str:
        """Why a party is not in a sum."""
        failure = self._run.causes(self._lost.get(attempt.key, {})).get(party)
        return failure.what if failure else "it was lost before the coordinator was restarted"


def _mark(attempt: Attempt, frame: int | None) -> str:
    return f".{attempt.name}.{attempt.number}" + ("" if frame is None else f".{frame}")
