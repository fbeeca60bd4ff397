"""The first messages (R1) of a job's sealed sums, asked of the parties for a few sums at a time.

They depend on neither data nor totals, so one task asks for those of several sums in a row, as shared_together cuts
them: a journalled task less for each of the others. Another attempt at a sum asks for its own. What a party answers
is read by whoever needs one of its messages; one that is missing is that party's fault, at that sum.
"""

from collections.abc import Collection
from dataclasses import replace

from consortia_common import sealed
from consortia_common.content import Content
from consortia_common.documents.jobspec import JobSpec
from consortia_coordinator.attempt import SHARE, Attempt, Waiting


class Shares:
    """Those of one job, for its own thread."""

    def __init__(self, job_id: str, spec: JobSpec, waiting: Waiting) -> None:
        self._job_id = job_id
        self._spec = spec
        self._waiting = waiting
        self._batches = sealed.shared_together(spec)
        self._asked: set[str] = set()

    def ask(self, attempt: Attempt) -> None:
        """Ask every party for the message of ``attempt``, and of the sums that are asked about with it."""
        first, sums, _ = self._together(attempt)
        if first.key in self._asked:
            return
        policies = [sealed.policy_of(self._job_id, self._spec, *each) for each in sums]
        terms = {
            "rids": [policy.rid(attempt.number) for policy in policies],
            "policies": [policy.digest() for policy in policies],
        }
        self._waiting.post(SHARE, first, dict.fromkeys(self._waiting.left, terms))
        self._asked.add(first.key)

    def answers(self, attempt: Attempt, parties: Collection[str], need: int) -> dict[str, Content]:
        """What these parties answered, each with the ``message`` of this attempt alone; see Waiting.wait."""
        first, _, place = self._together(attempt)
        ids = [self._waiting.task_id(party, SHARE, first) for party in parties]
        answers = self._waiting.wait(attempt, ids, need)
        return {party: _only(content, place) for party, content in answers.items()}

    def _together(self, attempt: Attempt) -> tuple[Attempt, tuple[tuple[str, int], ...], int]:
        """After which attempt the task is called, which sums it asks about, and the place of ``attempt``."""
        this = attempt.name, attempt.turn
        sums = (this,) if attempt.number > 1 else next(batch for batch in self._batches if this in batch)
        name, turn = sums[0]
        return replace(attempt, name=name, turn=turn), sums, sums.index(this)


def _only(content: Content, place: int) -> Content:
    messages = content.config.get("messages")
    if not isinstance(messages, list) or place >= len(messages):
        return Content()
    return Content(config={"message": messages[place]})
