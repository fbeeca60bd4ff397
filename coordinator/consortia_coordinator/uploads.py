"""Vectors over the exchange, in batches of frames: uploads are fetched from the parties, totals are given to them.

The first batch of an upload and the last of a total ride with the kind's steps. Each other is a task of its own,
journalled like any, so a long vector goes on where it was after a cut connection or a restart. Only a few are under
way at a time: two of the party whose turn it is, and the next party's first one.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from consortia_common import sealed
from consortia_common.content import Content, HashedBlobs
from consortia_coordinator.attempt import FRAME, TOTAL, Attempt, Waiting
from consortia_coordinator.replies import blobs
from consortia_coordinator.totals import Totals
from consortia_crypto.sum.messages import Total
from consortia_crypto.sum.vector import Layout


class Frames:
    """The frames of one attempt's uploads; ``answers`` hold each party's first batch."""

    def __init__(self, waiting: Waiting, attempt: Attempt, layout: Layout, answers: Mapping[str, Content]) -> None:
        self._waiting = waiting
        self._attempt = attempt
        self._batches = range(sealed.BATCH, layout.frames, sealed.BATCH)
        self._answers = answers
        self._order = list(answers)

    def of(self, party: str) -> Iterator[bytes]:
        """All frames of the party's upload, in order. Raises CoordinatorError if one does not come."""
        for asked in self._order[self._order.index(party) :][:2]:
            self._ask(asked, 0)
        yield from blobs(self._answers[party], "frames", party)
        for number, first in enumerate(self._batches):
            self._ask(party, number + 1)
            yield from blobs(self._waiting.one(self._attempt, FRAME, party, first), "frames", party)

    def digest(self, party: str) -> str:
        """SHA-256 of the party's upload, if it came whole in its answer and was hashed on its way; else empty."""
        first = self._answers[party].config.get("frames")
        return first.digest if isinstance(first, HashedBlobs) and not self._batches else ""

    def drop(self, party: str) -> None:
        """Erase what came of a party, once it is added."""
        self._waiting.drop([self._waiting.task_id(party, FRAME, self._attempt, first) for first in self._batches])

    def _ask(self, party: str, number: int) -> None:
        """Ask for the batch with this number, if there is one."""
        for first in self._batches[number : number + 1]:
            self._waiting.post(FRAME, self._attempt, {party: {"first": first}}, first)


def give(waiting: Waiting, attempt: Attempt, total: Total, totals: Totals) -> dict[str, Any]:
    """Give the sealed total to every party (R5), but for the last batch and what goes with it, which are returned.

    Of a long one, whoever is late can't follow and is lost.
    """
    last = (totals.layout.frames - 1) // sealed.BATCH * sealed.BATCH
    for first in range(0, last, sealed.BATCH):
        said = {"first": first, "frames": totals.frames(first), "message": b""}
        waiting.follow(attempt, first, waiting.post(TOTAL, attempt, dict.fromkeys(waiting.left, said), first))
    return {"first": last, "frames": totals.frames(last), "message": total.to_bytes()}
